//! A primary, and the replica that follows it, as each family calls them.

use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Opts, Row};
use tokio::time::{Instant, sleep};

use crate::support::servers::{OwnServer, Servers};
use crate::support::{connect, rows, url};

/// What the two families call a primary, a replica and the log between them.
#[derive(Clone, Copy)]
pub(super) struct Words {
    follow: fn(&Opts) -> String,
    status: &'static str,
    wait: &'static str,
    /// As it begins the name of a setting or of a column: `Read_Source_Log_Pos`.
    pub(super) primary: &'static str,
    pub(super) replica: &'static str,
}

const MARIADB: Words = Words {
    follow: |of| {
        format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = '{}', \
             MASTER_PASSWORD = '{}', MASTER_LOG_FILE = 'log.000001', MASTER_LOG_POS = 4",
            of.tcp_port(),
            of.user().unwrap(),
            of.pass().unwrap()
        )
    },
    status: "SHOW MASTER STATUS",
    wait: "MASTER_POS_WAIT",
    primary: "Master",
    replica: "Slave",
};

const MYSQL: Words = Words {
    follow: |of| {
        format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, \
             SOURCE_USER = '{}', SOURCE_PASSWORD = '{}', SOURCE_LOG_FILE = 'log.000001', \
             SOURCE_LOG_POS = 4, GET_SOURCE_PUBLIC_KEY = 1",
            of.tcp_port(),
            of.user().unwrap(),
            of.pass().unwrap()
        )
    },
    status: "SHOW BINARY LOG STATUS",
    wait: "SOURCE_POS_WAIT",
    primary: "Source",
    replica: "Replica",
};

/// A primary and its replica, and a connection to each.
pub(super) struct Pair {
    pub(super) words: Words,
    pub(super) first: OwnServer,
    pub(super) second: OwnServer,
    pub(super) primary: Conn,
    pub(super) replica: Conn,
}

impl Pair {
    /// Two servers, of which the second is told where the first is. The first has these settings
    /// too.
    pub(super) async fn new(settings: &str) -> Self {
        let version = rows(&mut connect(&url()).await, "SELECT VERSION()").await.remove(0);
        let words = if version.contains("MariaDB") { MARIADB } else { MYSQL };
        let servers = Servers::connect();
        let first = servers.server(&format!("log_bin=log server_id=1 {settings}")).await;
        let second = servers.server("log_bin=log server_id=2").await;
        let primary = connect(&first.url).await;
        let mut replica = connect(&second.url).await;
        let follow = (words.follow)(&Opts::from_url(&first.url).unwrap());
        replica.query_drop(follow).await.unwrap();
        Self { words, first, second, primary, replica }
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.words.primary == MARIADB.primary
    }

    /// `START REPLICA`, `STOP REPLICA IO_THREAD`.
    pub(super) async fn replication(&mut self, order: &str) {
        let (verb, thread) = order.split_once(' ').unwrap_or((order, ""));
        self.replica.query_drop(format!("{verb} REPLICA {thread}")).await.unwrap();
    }

    /// Waits until the replica has all that its primary has logged.
    pub(super) async fn caught_up(&mut self) {
        let status = rows(&mut self.primary, self.words.status).await.remove(0);
        let mut parts = status.split('|');
        let (file, position) = (parts.next().unwrap(), parts.next().unwrap());
        let wait = format!("SELECT {}('{file}', {position}, 20)", self.words.wait);
        let events = rows(&mut self.replica, &wait).await.remove(0);
        if !events.parse::<i64>().is_ok_and(|events| events >= 0) {
            let why = self.told("Last_SQL_Error").await + &self.told("Last_IO_Error").await;
            panic!("{wait}: {events}: {why}");
        }
    }

    /// Waits until the replica has applied all that it has got. Its primary may be gone, in the
    /// middle of a word.
    pub(super) async fn applied(&mut self) {
        let primary = self.words.primary;
        let (got, done) = (format!("Read_{primary}_Log_Pos"), format!("Exec_{primary}_Log_Pos"));
        let (until, mut before) = (Instant::now() + Duration::from_secs(30), String::new());
        let mut since = Instant::now();
        loop {
            let is_idle = self.told(&format!("{}_SQL_Running_State", self.words.replica)).await;
            let is_idle = is_idle.contains("has read all relay log");
            let now = self.told(&done).await;
            if now != before || !is_idle {
                (before, since) = (now, Instant::now());
            }
            // What is only begun is never applied. How far it is, is told every now and then.
            let is_quiet = since.elapsed() > Duration::from_secs(2);
            if is_idle && (before == self.told(&got).await || is_quiet) {
                return;
            }
            assert!(Instant::now() < until, "{}", self.told("Last_SQL_Error").await);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A column of the replica's status.
    async fn told(&mut self, column: &str) -> String {
        let row: Option<Row> = self.replica.query_first("SHOW REPLICA STATUS").await.unwrap();
        row.unwrap().get::<Option<String>, _>(column).flatten().unwrap_or_default()
    }

    /// A variable of the primary's state, such as `Rpl_semi_sync_master_clients`.
    pub(super) async fn state(&mut self, name: &str) -> String {
        let found: Option<(String, String)> =
            self.primary.query_first(format!("SHOW STATUS LIKE '{name}'")).await.unwrap();
        found.unwrap_or_else(|| panic!("{name} is not known")).1
    }
}
