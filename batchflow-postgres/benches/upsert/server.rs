//! The server: found by `BATCHFLOW_POSTGRES_URL`, else this machine's.

use batchflow_postgres::client::{self, Client, NoTls};

pub(crate) use crate::common::{Took, timed};

/// The variable that names the server.
const VARIABLE: &str = "BATCHFLOW_POSTGRES_URL";
/// Where a server usually listens.
const USUAL: &str = "postgres://postgres@127.0.0.1:5432/postgres";
/// The schema that every table here is in.
pub(crate) const SCHEMA: &str = "batchflow_bench";

/// A server that answers.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
}

impl Server {
    /// Finds the server, or says how to bring one. What the client says is not shown: it may hold
    /// parts of the URL.
    pub(crate) async fn find() -> Result<Self, String> {
        let (url, which) = match std::env::var(VARIABLE) {
            Ok(url) => (url, format!("the server of {VARIABLE}")),
            Err(_) => (USUAL.to_owned(), "a server at 127.0.0.1:5432 for postgres".to_owned()),
        };
        // The rivals speak plainly, and so does everyone.
        let url = if url.contains("sslmode") {
            url
        } else {
            format!("{url}{}sslmode=disable", if url.contains('?') { '&' } else { '?' })
        };
        let server = Self { url };
        match server.try_connect().await {
            Ok(_) => Ok(server),
            Err(_) => Err(format!(
                "{which} does not let us in: set {VARIABLE} to a PostgreSQL without TLS, \
                 postgres://user:password@host/database"
            )),
        }
    }

    async fn try_connect(&self) -> Result<Client, client::Error> {
        let (client, connection) = client::connect(&self.url, NoTls).await?;
        // Ends when the client is dropped.
        tokio::spawn(connection);
        Ok(client)
    }

    /// A connection of one's own.
    pub(crate) async fn connect(&self) -> Client {
        self.try_connect().await.expect("the server that answered still does")
    }

    /// Runs statements that are not measured.
    pub(crate) async fn execute(&self, sql: &str) {
        self.connect().await.batch_execute(sql).await.expect("the statements are sound");
    }

    /// Removes what an earlier run left, and makes the schema of this one.
    pub(crate) async fn reset(self) {
        let sql = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}");
        self.execute(&sql).await;
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> usize {
        let sql = format!("SELECT count(*) FROM {table}");
        let row = self.connect().await.query_one(&sql, &[]).await.expect("the table is there");
        row.get::<_, i64>(0) as usize
    }
}
