//! What the tests that need a server share: where it is, databases of their own, and connections
//! past the driver.
#![allow(dead_code, reason = "each test file uses its own part")]

mod database;
pub(crate) mod framing;
#[path = "../../../xtask/shared/servers.rs"]
pub(crate) mod servers;

pub(crate) use database::Database;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Error, Opts, OptsBuilder, Row, Value};

/// The server that all tests share: none may stop it, or change its settings.
pub(crate) fn url() -> String {
    let url = std::env::var("BATCHFLOW_MYSQL_URL");
    url.expect("no BATCHFLOW_MYSQL_URL names a server: cargo xtask integration starts one")
}

/// The shared server's password, which nothing may show; any, where it asks for none.
pub(crate) fn password() -> String {
    let opts = Opts::from_url(&url()).expect("BATCHFLOW_MYSQL_URL is no URL");
    opts.pass().unwrap_or("password-canary-90c4").to_owned()
}

/// A URL with another database: `mysql://root:secret@127.0.0.1:3306/DATABASE`.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    let rest = url[end..].find('?').map_or("", |at| &url[end + at..]);
    format!("{}/{database}{rest}", &url[..end])
}

/// A connection past the driver. It ends when it is dropped.
pub(crate) async fn connect(url: &str) -> Conn {
    try_connect(url).await.unwrap_or_else(|error| panic!("cannot connect: {error}"))
}

/// A connection past the driver, or why there is none, within ten seconds.
pub(crate) async fn try_connect(url: &str) -> Result<Conn, Error> {
    let opts = OptsBuilder::from_opts(Opts::from_url(url)?)
        // A server's socket would go past a proxy.
        .prefer_socket(false)
        .stmt_cache_size(0);
    let ended = tokio::time::timeout(Duration::from_secs(10), Conn::new(opts)).await;
    ended.unwrap_or_else(|elapsed| Err(std::io::Error::from(elapsed).into()))
}

/// Runs one statement on a connection of its own, past the driver.
pub(crate) async fn execute(url: &str, sql: &str) {
    let mut conn = connect(url).await;
    conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    conn.disconnect().await.ok();
}

/// A session of a server, what it does, `Query` or `Sleep` say, and the beginning of its statement.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) id: u32,
    pub(crate) does: String,
    pub(crate) statement: Vec<u8>,
}

impl Listed {
    /// Whether it executes an `INSERT`: one that is being prepared has its text already, and a `KILL`
    /// of it would be over before it is executed.
    pub(crate) fn inserts(&self) -> bool {
        self.does != "Prepare" && self.statement.starts_with(b"INSERT")
    }
}

/// The sessions that use a database. Not by `information_schema.PROCESSLIST`, which MySQL cannot
/// tell while any session runs a statement that is no text (error 3854).
pub(crate) async fn sessions(conn: &mut Conn, database: &str) -> Result<Vec<Listed>, Error> {
    let all: Vec<Row> = conn.query("SHOW PROCESSLIST").await?;
    let ours = all.into_iter().filter_map(|mut session| {
        let db: Option<String> = session.take("db")?;
        let statement: Option<Vec<u8>> = session.take("Info")?;
        let (id, does) = (session.take("Id")?, session.take("Command")?);
        (db? == database).then(|| Listed { id, does, statement: statement.unwrap_or_default() })
    });
    Ok(ours.collect())
}

/// The rows of a query, their columns as text: `1|Ada|NULL`; bytes that are no text as `0x…`.
/// Without a prepared statement.
pub(crate) async fn rows(conn: &mut Conn, sql: &str) -> Vec<String> {
    let found: Vec<Row> = conn.query(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    let shown = found.into_iter().map(|row| {
        let columns: Vec<String> = row.unwrap().into_iter().map(shown).collect();
        columns.join("|")
    });
    shown.collect()
}

fn shown(value: Value) -> String {
    match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => String::from_utf8(bytes).unwrap_or_else(|error| {
            let bytes: Vec<String> =
                error.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{}", bytes.concat())
        }),
        other => other.as_sql(true),
    }
}

/// A name for a database, a table or a user that no other test of any process uses.
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
