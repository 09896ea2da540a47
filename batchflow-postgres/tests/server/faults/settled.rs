//! Promise 8: what a commit's token still tells once its server has crashed or failed over.

use std::time::Duration;

use batchflow_core::{Attempt, Batch, CommitToken, ConflictStrategy, Driver, ErrorKind, Settled};
use batchflow_postgres::{PostgresConfig, PostgresDriver, Schema};

use super::rig::in_time;
use super::servers_down::synchronous;
use crate::support::framing::{address, through};
use crate::support::servers::Servers;
use crate::support::{connect, execute, rows};

/// A driver, the token of a commit that was applied, and that of one that was refused.
struct Commits {
    driver: PostgresDriver,
    committed: CommitToken,
    refused: CommitToken,
}

impl Commits {
    /// Writes into the server that takes writes, by a driver that is told `url`: plain inserts,
    /// which go in transactions with a number.
    async fn new(server: &str, url: &str) -> Self {
        // A constraint that is checked by the commit refuses the second row.
        let create = "CREATE TABLE known (id int PRIMARY KEY); INSERT INTO known VALUES (1); \
                      CREATE TABLE t (id int PRIMARY KEY \
                        REFERENCES known DEFERRABLE INITIALLY DEFERRED)";
        execute(server, create).await;
        let config = PostgresConfig::from_url(url).unwrap();
        let config = config.connect_timeout(Duration::from_secs(10));
        let driver = PostgresDriver::connect_with(config).await.unwrap();
        let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
        let batch = |id: i32| Batch::from_requests(vec![schema.row((id,)).unwrap()]).unwrap();
        let (first, second) = (Attempt::new(), Attempt::new());
        driver.write(batch(1), &first).await.unwrap();
        driver.write(batch(2), &second).await.unwrap_err();
        let token = |attempt: &Attempt| attempt.tokens().first().cloned().unwrap();
        let (committed, refused) = (token(&first), token(&second));
        let commits = Self { driver, committed, refused };
        commits.are((Settled::Committed, Settled::NotApplied), "at once").await;
        commits
    }

    async fn are(&self, expected: (Settled, Settled), when: &str) {
        let committed = in_time(self.driver.settle(&self.committed)).await.unwrap();
        let refused = in_time(self.driver.settle(&self.refused)).await.unwrap();
        assert_eq!((committed, refused), expected, "{when}");
    }
}

/// What was applied may be another's, who got the same number; what was not, never will be.
const UNSURE: (Settled, Settled) = (Settled::Unknown, Settled::NotApplied);

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_server_that_crashed_is_believed_only_that_a_commit_was_not_applied() {
    let server = Servers::connect().server("").await;
    let commits = Commits::new(&server.url, &server.url).await;
    server.kill().await;
    let error = in_time(commits.driver.settle(&commits.committed)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "nobody is there: it is asked again");
    server.restart().await;
    commits.are(UNSURE, "killed").await;
    server.stop().await;
    server.restart().await;
    commits.are(UNSURE, "stopped").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_standby_tells_nothing_until_it_is_promoted_and_then_what_is_sure() {
    let primary = Servers::connect().server("").await;
    let standby = primary.standby().await;
    synchronous(&primary.url).await;
    let both = format!("{},{}", address(&primary.url), address(&standby.url));
    let commits = Commits::new(&primary.url, &through(&primary.url, both)).await;
    primary.kill().await;
    let error = in_time(commits.driver.settle(&commits.refused)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}: it is asked again");
    standby.promote().await;
    commits.are(UNSURE, "promoted").await;
    assert_eq!(rows(&connect(&standby.url).await, "SELECT id FROM t").await, ["1"]);
}

/// Of a row that is a transaction of its own, all that can be told is that nothing of it arrives
/// any more: by a server that has ended its backend, or that was started since, or that took over.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_row_sent_at_once_is_settled_once_its_backend_is_gone() {
    let primary = Servers::connect().server("").await;
    let standby = primary.standby().await;
    synchronous(&primary.url).await;
    execute(&primary.url, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let both = format!("{},{}", address(&primary.url), address(&standby.url));
    let config = PostgresConfig::from_url(&through(&primary.url, both)).unwrap();
    let driver = PostgresDriver::connect_with(config.pool_size(1)).await.unwrap();
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    let token = async |id: i32| {
        let batch = Batch::from_requests(vec![schema.row((id,)).unwrap()]).unwrap();
        loop {
            let attempt = Attempt::new();
            // The pool may not have heard yet that its connection has ended.
            if in_time(driver.write(batch.clone(), &attempt)).await.is_ok() {
                assert_eq!(attempt.way(), Some("at once"));
                break attempt.tokens().pop().unwrap();
            }
        }
    };
    let first = token(1).await;
    assert_eq!(in_time(driver.settle(&first)).await.unwrap(), Settled::Unknown);
    let alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batchflow'";
    let client = connect(&primary.url).await;
    in_time(async { while rows(&client, alive).await != ["0"] {} }).await;
    let second = token(2).await;
    primary.kill().await;
    let error = in_time(driver.settle(&second)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}: a standby is asked again");
    primary.restart().await;
    assert_eq!(in_time(driver.settle(&second)).await.unwrap(), Settled::Unknown, "restarted");
    synchronous(&primary.url).await;
    let third = token(3).await;
    primary.kill().await;
    standby.promote().await;
    assert_eq!(in_time(driver.settle(&third)).await.unwrap(), Settled::Unknown, "promoted");
    let found = rows(&connect(&standby.url).await, "SELECT id FROM t ORDER BY id").await;
    assert_eq!(found, ["1", "2", "3"]);
}
