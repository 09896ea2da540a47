//! What needs a PostgreSQL: `cargo xtask integration --backend postgres` finds or starts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod conformance;
/// Tests that stop and kill servers of their own.
mod faults;
mod shared;
mod ways;
