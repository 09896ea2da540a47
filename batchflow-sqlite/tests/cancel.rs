//! Promises 7 to 9: what is cancelled ends, and what became of it can be asked for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use batchflow_sqlite::client::Connection;
use batchflow_sqlite::{
    Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Schema, Settled, SqliteConfig,
    SqliteDriver,
};
use support::{table, write};

/// A table whose trigger counts for hours.
const ENDLESS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY);
    CREATE TRIGGER slow AFTER INSERT ON t WHEN new.id = 7 BEGIN
      INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n)
        SELECT i FROM n WHERE i < 0;
    END;";

fn batch(ids: impl IntoIterator<Item = i64>) -> Batch {
    let t = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    Batch::from_requests(ids.into_iter().map(|id| t.row((id,)).unwrap()).collect()).unwrap()
}

/// A driver on a file of its own, and another connection to see it write.
struct Place {
    driver: Arc<SqliteDriver>,
    other: Connection,
    _folder: tempfile::TempDir,
}

async fn place() -> Place {
    place_with(SqliteConfig::new()).await
}

async fn place_with(config: SqliteConfig) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let driver = SqliteDriver::open_with(&path, config).await.unwrap();
    driver.execute(ENDLESS).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    Place { driver: Arc::new(driver), other, _folder: folder }
}

/// Starts a batch that never ends by itself, as row 7 is in it, and waits until it holds the lock.
async fn start_endless(
    place: &Place,
    attempt: &Attempt,
    ids: std::ops::Range<i64>,
) -> tokio::task::JoinHandle<Result<batchflow_sqlite::Report, batchflow_sqlite::WriteError>> {
    let (driver, attempt) = (Arc::clone(&place.driver), attempt.clone());
    let task = tokio::spawn(async move { driver.write(batch(ids), &attempt).await });
    while place.other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_9_a_cancelled_attempt_is_stopped_and_rolled_back_before_its_end_is_told() {
    let place = place().await;
    let (driver, attempt) = (&place.driver, Attempt::new());
    let task = start_endless(&place, &attempt, 0..10).await;
    attempt.cancel();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!error.is_still_running());
    let token = attempt.tokens().remove(0);
    assert_eq!(driver.settle(&token).await.unwrap(), Settled::NotApplied);
    assert!(table(driver, "SELECT * FROM t").await.is_empty());
    driver.write(batch([1]), &Attempt::new()).await.unwrap();
    assert_eq!(table(driver, "SELECT * FROM t").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_9_an_attempt_that_is_waited_for_awake_ends_when_it_is_cancelled() {
    let place = place_with(SqliteConfig::new().spin(Duration::MAX)).await;
    let attempt = Attempt::new();
    let task = start_endless(&place, &attempt, 7..8).await;
    attempt.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(60), task).await;
    let error = ended.expect("promise 9: it hangs").unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!error.is_still_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_8_a_dropped_write_is_settled_exactly() {
    let place = place().await;
    let (driver, attempt) = (&place.driver, Attempt::new());
    let task = start_endless(&place, &attempt, 0..10).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let token = attempt.tokens().remove(0);
    // Whatever the driver is asked next waits for the thread to be free.
    assert!(table(driver, "SELECT * FROM t").await.is_empty());
    assert_eq!(driver.settle(&token).await.unwrap(), Settled::NotApplied);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_7_a_batch_dropped_before_its_start_is_never_written() {
    let place = place().await;
    let (driver, first) = (&place.driver, Attempt::new());
    let endless = start_endless(&place, &first, 0..10).await;
    let second = Attempt::new();
    let waiting = {
        let (driver, second) = (Arc::clone(driver), second.clone());
        tokio::spawn(async move { driver.write(batch([50]), &second).await })
    };
    while second.tokens().is_empty() {
        tokio::task::yield_now().await;
    }
    let third = Attempt::new();
    third.cancel();
    let error = driver.write(batch([51]), &third).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    waiting.abort();
    assert!(waiting.await.is_err());
    let token = second.tokens().remove(0);
    assert_eq!(driver.settle(&token).await.unwrap(), Settled::NotApplied, "while the first runs");
    first.cancel();
    assert!(endless.await.unwrap().is_err());
    assert!(table(driver, "SELECT * FROM t").await.is_empty());
}

#[tokio::test]
async fn promise_8_a_committed_batch_settles_as_committed_for_good() {
    let Place { driver, .. } = place().await;
    let attempt = Attempt::new();
    driver.write(batch([1, 2]), &attempt).await.unwrap();
    let token = attempt.tokens().remove(0);
    attempt.cancel();
    assert_eq!(driver.settle(&token).await.unwrap(), Settled::Committed);
    driver.close().await;
    assert_eq!(driver.settle(&token).await.unwrap(), Settled::Committed);
}

#[tokio::test]
async fn promise_9_a_wait_for_a_lock_ends_when_it_is_cancelled() {
    let place = place().await;
    place.other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let attempt = Attempt::new();
    let task = start_endless(&place, &attempt, 0..10).await;
    while attempt.tokens().is_empty() {
        tokio::task::yield_now().await;
    }
    attempt.cancel();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
}

#[tokio::test]
async fn a_closed_driver_lets_go_of_the_file_and_writes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let driver = SqliteDriver::open(&path).await.unwrap();
    driver.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").await.unwrap();
    driver.write(batch([1]), &Attempt::new()).await.unwrap();
    driver.close().await;
    driver.close().await;
    assert!(!path.with_extension("db-wal").exists(), "the last connection takes its log with it");
    let error = driver.write(batch([2]), &Attempt::new()).await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    assert!(driver.query("SELECT 1").await.is_err());
}

#[tokio::test]
async fn a_connection_inside_a_transaction_is_refused_and_none_is_left_in_one() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY); BEGIN").unwrap();
    assert!(SqliteDriver::from_connection(connection).is_err());
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY)").unwrap();
    let driver = SqliteDriver::from_connection(connection).unwrap();
    driver.execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let t = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    write(&driver, vec![t.row((2_i64,)).unwrap()]).await.unwrap();
    assert_eq!(table(&driver, "SELECT * FROM t").await, ["2"]);
}
