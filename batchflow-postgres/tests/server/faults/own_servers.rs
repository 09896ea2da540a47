//! The servers that the other tests stop and kill do what they are told.

use std::time::Duration;

use crate::support::servers::Servers;
use crate::support::{connect, execute, rows, try_connect};

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_killed_server_comes_back_with_what_it_committed() {
    let server = Servers::connect().server("max_connections=7").await;
    execute(&server.url, "CREATE TABLE t AS SELECT 1 AS id").await;
    let client = connect(&server.url).await;
    assert_eq!(rows(&client, "SHOW max_connections").await, ["7"]);
    assert_eq!(rows(&client, "SHOW fsync").await, ["on"]);
    server.kill().await;
    assert!(client.simple_query("SELECT 1").await.is_err());
    assert!(try_connect(&server.url).await.is_err());
    server.restart().await;
    assert_eq!(rows(&connect(&server.url).await, "SELECT id FROM t").await, ["1"]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_stalled_server_answers_once_it_goes_on() {
    let server = Servers::connect().server("").await;
    let client = connect(&server.url).await;
    server.stall().await;
    let mut answer = std::pin::pin!(client.simple_query("SELECT 1"));
    let early = tokio::time::timeout(Duration::from_millis(300), answer.as_mut()).await;
    assert!(early.is_err(), "a stalled server answered");
    server.resume().await;
    answer.await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_promoted_standby_has_every_commit() {
    let primary = Servers::connect().server("").await;
    let standby = primary.standby().await;
    execute(&primary.url, "CREATE TABLE t AS SELECT 1 AS id").await;
    let client = connect(&primary.url).await;
    let state = "SELECT sync_state FROM pg_stat_replication";
    assert_eq!(rows(&client, state).await, ["sync"]);
    primary.kill().await;
    standby.promote().await;
    let client = connect(&standby.url).await;
    assert_eq!(rows(&client, "SELECT id, pg_is_in_recovery() FROM t").await, ["1|f"]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_pooler_stands_before_a_server() {
    let servers = Servers::connect();
    let server = servers.server("").await;
    let pooler = match server.pgbouncer("default_pool_size=1").await {
        Ok(pooler) => pooler,
        Err(why) => return servers.skipped("faults::a_pooler_stands_before_a_server", &why).await,
    };
    let pid = "SELECT pg_backend_pid()";
    let (one, two) = (connect(&pooler.url).await, connect(&pooler.url).await);
    assert_eq!(rows(&one, pid).await, rows(&two, pid).await, "one connection serves both");
    pooler.kill().await;
    assert!(one.simple_query("SELECT 1").await.is_err());
    pooler.restart().await;
    connect(&pooler.url).await;
}
