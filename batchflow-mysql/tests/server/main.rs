//! What needs a MySQL or a MariaDB: `cargo xtask integration --backend mysql` finds or starts them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod altered;
mod conformance;
mod connect;
mod ends;
mod errors;
mod examples;
mod faults;
mod guard;
mod harness;
mod ledger;
mod moments;
mod real_rows;
mod rows;
mod shared;
mod strategies;
mod tls;
mod ways;
