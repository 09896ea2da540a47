//! Promise 5 across databases: each driver's own harness, and the same requests to all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]
#![allow(clippy::duplicate_mod, reason = "the drivers' tests ask for servers by one file")]

use std::time::Duration;

use batchflow_core::conformance::{self, Harness};

mod mysql;
mod postgres;
#[path = "../../../batchflow-sqlite/tests/support/harness.rs"]
mod sqlite;

/// Every strategy and merge rule; half of the cases hold rows that are refused.
#[tokio::test]
#[ignore = "needs PostgreSQL and MySQL: cargo xtask integration"]
async fn promise_5_the_same_requests_leave_the_same_rows_in_each_database() {
    let sqlite = sqlite::File::new().await;
    let postgres = postgres::harness::Server::new(None);
    let mysql = mysql::harness::Server::new(None).await;
    let all: [&dyn Harness; 3] = [&sqlite, &postgres, &mysql];
    let run = conformance::the_same_rows(&all, 0..600);
    tokio::time::timeout(Duration::from_secs(600), run).await.expect("promise 9: it hangs");
}
