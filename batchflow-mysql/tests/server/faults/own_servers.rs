//! The servers that the other tests stop and kill do what they are told.

use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;

use crate::support::servers::Servers;
use crate::support::{connect, execute, rows, try_connect};

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_killed_server_comes_back_with_what_it_committed() {
    let server = Servers::connect().server("max_connections=17").await;
    execute(&server.url, "CREATE TABLE t ENGINE=InnoDB SELECT 1 AS id").await;
    let mut conn = connect(&server.url).await;
    assert_eq!(rows(&mut conn, "SELECT @@max_connections").await, ["17"]);
    assert_eq!(rows(&mut conn, "SELECT @@innodb_flush_log_at_trx_commit").await, ["1"]);
    server.kill().await;
    assert!(conn.query_drop("SELECT 1").await.is_err());
    assert!(try_connect(&server.url).await.is_err());
    server.restart().await;
    assert_eq!(rows(&mut connect(&server.url).await, "SELECT id FROM t").await, ["1"]);
    server.stop().await;
    assert!(try_connect(&server.url).await.is_err());
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_stalled_server_answers_once_it_goes_on() {
    let server = Servers::connect().server("").await;
    let mut conn = connect(&server.url).await;
    server.stall().await;
    let mut answer = std::pin::pin!(conn.query_drop("SELECT 1"));
    let early = tokio::time::timeout(Duration::from_millis(300), answer.as_mut()).await;
    assert!(early.is_err(), "a stalled server answered");
    server.resume().await;
    answer.await.unwrap();
}
