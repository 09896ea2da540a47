//! What needs a PostgreSQL: `cargo xtask integration --backend postgres` finds or starts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod at_once;
mod conformance;
mod ends;
/// Tests that stop and kill servers of their own.
mod faults;
// Tarpaulin builds no example.
#[cfg(not(tarpaulin))]
mod examples;
mod harness;
mod real_rows;
mod rows;
mod sessions;
mod shared;
mod tables;
#[cfg(feature = "tls")]
mod tls;
mod ways;
