//! [`Database`]: a database of a test's own on the server that all tests share.

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Error};

use super::{connect, execute, fresh, rows, sessions, try_connect, url, with_database};

/// A database of a test's own. It goes when this is dropped, whoever still uses it.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    url: String,
}

impl Database {
    /// An empty one on the shared server, in `utf8mb4` and its server's default collation for it.
    pub(crate) async fn new(what: &str) -> Self {
        Self::on(&url(), what).await
    }

    /// An empty one on another server.
    pub(crate) async fn on(server: &str, what: &str) -> Self {
        let name = fresh(what);
        // A run that was killed may have left one, and process ids come round again.
        execute(server, &format!("DROP DATABASE IF EXISTS `{name}`")).await;
        execute(server, &format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4")).await;
        Self { url: with_database(server, &name), name }
    }

    /// It is on another server from now on, which has got it from its own.
    pub(crate) fn move_to(&mut self, server: &str) {
        self.url = with_database(server, &self.name);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The server's URL with this database in it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it, past the driver.
    pub(crate) async fn connect(&self) -> Conn {
        connect(&self.url).await
    }

    /// Runs one statement in it, past the driver.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// The rows of a query, their columns as text: `1|Ada|NULL`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        rows(&mut self.connect().await, sql).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, url) = (self.name.clone(), self.url.clone());
        // On a thread and a runtime of its own: the test's runtime may be ending, or panicking.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(remove(&name, &url))
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("cannot drop {}: {error}", self.name);
        }
    }
}

/// Drops a database after those who use it, whose open transactions would hold it.
async fn remove(name: &str, url: &str) -> Result<(), Error> {
    // The database may have been dropped by its test.
    let mut conn = try_connect(&with_database(url, "")).await?;
    conn.query_drop("SET lock_wait_timeout = 20").await?;
    for user in sessions(&mut conn, name).await? {
        // It may have ended by itself.
        let _ = conn.query_drop(format!("KILL CONNECTION {}", user.id)).await;
    }
    conn.query_drop(format!("DROP DATABASE IF EXISTS `{name}`")).await?;
    conn.disconnect().await
}
