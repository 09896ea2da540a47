//! What needs a Redis: `cargo xtask integration --backend redis` finds or starts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod conformance;
mod connecting;
mod ends;
/// Tests that kill, cut and stall connections.
mod faults;
mod layouts;
#[cfg(feature = "tls")]
mod tls;
mod verdicts;
