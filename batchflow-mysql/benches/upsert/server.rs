//! The server: found by `BATCHFLOW_MYSQL_URL`, else this machine's.

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Error, Opts, OptsBuilder};

/// The variable that names the server.
const VARIABLE: &str = "BATCHFLOW_MYSQL_URL";
/// Where a server usually listens.
const USUAL: &str = "mysql://root@127.0.0.1:3306/test";
/// The database that every table here is in.
pub(crate) const DATABASE: &str = "batchflow_bench";

/// A server that answers.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    version: String,
    /// Whether it takes `LOAD DATA LOCAL INFILE`.
    pub(crate) loads: bool,
}

impl Server {
    /// Finds the server, or says how to bring one. What the client says is not shown: it may hold
    /// parts of the URL.
    pub(crate) async fn find() -> Result<Self, String> {
        let (url, which) = match std::env::var(VARIABLE) {
            Ok(url) => (url, format!("the server of {VARIABLE}")),
            Err(_) => (USUAL.to_owned(), "a server at 127.0.0.1:3306 for root".to_owned()),
        };
        let mut server = Self { url, version: String::new(), loads: false };
        let asked = async {
            let sql = "SELECT VERSION(), @@GLOBAL.local_infile";
            let row: Option<(String, bool)> = server.try_connect().await?.query_first(sql).await?;
            Ok::<_, Error>(row)
        };
        let Ok(Some((version, loads))) = asked.await else {
            return Err(format!(
                "{which} does not let us in: set {VARIABLE} to a MySQL or MariaDB without TLS, \
                 mysql://user:password@host/database"
            ));
        };
        (server.version, server.loads) = (version, loads);
        Ok(server)
    }

    pub(crate) fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// Its family and version: `MariaDB 10.11`.
    pub(crate) fn name(&self) -> String {
        let family = if self.is_mariadb() { "MariaDB" } else { "MySQL" };
        let numbers: Vec<&str> = self.version.split(['.', '-']).take(2).collect();
        format!("{family} {}", numbers.join("."))
    }

    async fn try_connect(&self) -> Result<Conn, Error> {
        Conn::new(OptsBuilder::from_opts(Opts::from_url(&self.url)?).prefer_socket(false)).await
    }

    /// A connection of one's own.
    pub(crate) async fn connect(&self) -> Conn {
        self.try_connect().await.expect("the server that answered still does")
    }

    /// Runs statements that are not measured.
    pub(crate) async fn execute(&self, statements: &[String]) {
        let mut conn = self.connect().await;
        for sql in statements {
            conn.query_drop(sql).await.expect("the statements are sound");
        }
        conn.disconnect().await.expect("the connection ends");
    }

    /// Removes what an earlier run left, and makes the database of this one.
    pub(crate) async fn reset(self) {
        self.clone().remove().await;
        self.execute(&[format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")]).await;
    }

    pub(crate) async fn remove(self) {
        self.execute(&[format!("DROP DATABASE IF EXISTS {DATABASE}")]).await;
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> usize {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let count: Option<usize> =
            self.connect().await.query_first(sql).await.expect("the table is there");
        count.expect("a count is a row")
    }
}
