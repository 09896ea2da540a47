//! The ten promises of a flow, each by its stories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod p07_closing;
mod support;
