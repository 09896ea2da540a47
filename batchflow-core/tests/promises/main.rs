//! The ten promises of a flow, each by its stories. Random stories are told by `schedules`, those
//! of every backend by the conformance kit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod p01_conservation;
mod p02_verdicts;
mod p03_order;
mod p04_isolation;
mod p05_semantics;
mod p06_bounds;
mod p07_closing;
mod p08_unknown;
mod p09_deadlines;
mod p10_secrets;
mod support;
