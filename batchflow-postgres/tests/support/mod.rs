//! What the tests that need a server share: where it is, connections past the driver, and servers
//! of one's own to stop and kill.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod framing;
#[path = "../../../xtask/shared/servers.rs"]
pub(crate) mod servers;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use batchflow_postgres::client::{self, Client, NoTls};

/// The server that all tests share: none may stop it, or change its settings.
pub(crate) fn url() -> String {
    let url = std::env::var("BATCHFLOW_POSTGRES_URL");
    url.expect("no BATCHFLOW_POSTGRES_URL names a server: cargo xtask integration starts one")
}

/// The shared server's password, which nothing may show; any, where it asks for none.
pub(crate) fn password() -> String {
    let config: client::Config = url().parse().expect("BATCHFLOW_POSTGRES_URL is no URL");
    let password = config.get_password().unwrap_or(b"password-canary-90c4");
    String::from_utf8(password.to_vec()).expect("the password is no text")
}

/// Whether the shared server is reached through a pooler in transaction mode.
pub(crate) fn is_pooled() -> bool {
    direct_url() != url()
}

/// The shared server itself, where a pooler stands before it.
pub(crate) fn direct_url() -> String {
    std::env::var("BATCHFLOW_POSTGRES_DIRECT_URL").unwrap_or_else(|_| url())
}

/// A connection past the driver. It ends when the client is dropped.
pub(crate) async fn connect(url: &str) -> Client {
    try_connect(url).await.expect("cannot connect")
}

/// A connection past the driver, or why there is none, within ten seconds.
pub(crate) async fn try_connect(url: &str) -> Result<Client, client::Error> {
    let mut config: client::Config = url.parse()?;
    config.connect_timeout(Duration::from_secs(10));
    let (client, connection) = config.connect(NoTls).await?;
    // The client owns it: dropped, it ends the connection, and the task with it.
    tokio::spawn(connection);
    Ok(client)
}

/// Runs statements on a connection of their own, past the driver.
pub(crate) async fn execute(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
}

/// The rows of a query, their columns as text: `1|Ada|NULL`. Without a prepared statement.
pub(crate) async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages =
        client.simple_query(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    let rows = messages.iter().filter_map(|message| match message {
        client::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        let columns = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
        columns.collect::<Vec<_>>().join("|")
    })
    .collect()
}

/// A name for a table, a role or a type that no other test of any process uses.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("batchflow_{what}_{}_{number}", std::process::id())
}

/// The seeds of a random test: `BATCHFLOW_SEEDS` of them from `BATCHFLOW_FAULT_SEED` on, as
/// `cargo xtask integration --seeds N --seed S` sets them; one, left out.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("BATCHFLOW_FAULT_SEED").unwrap_or(1_u64);
    first..first.saturating_add(number("BATCHFLOW_SEEDS").unwrap_or(1))
}
