//! What can be wrong with a file, and how it is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::path::Path;
use std::time::Duration;

use batchflow_sqlite::client::{Connection, OpenFlags};
use batchflow_sqlite::{
    Applied, Attempt, Batch, ConflictStrategy, Driver, ErrorClass, ErrorKind, JournalMode, Request,
    Schema, ShowValues, SqliteConfig, SqliteDriver,
};
use support::{memory, table, write};
use tokio::time::Instant;

fn t() -> Schema {
    Schema::new("t", ConflictStrategy::Update, ["id", "name"]).unwrap()
}

fn rows(count: i64) -> Vec<Request> {
    (0..count).map(|id| t().row((id, "x".repeat(200))).unwrap()).collect()
}

async fn file(path: &Path) -> SqliteDriver {
    let driver = SqliteDriver::open(path).await.unwrap();
    driver
        .execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, name TEXT)")
        .await
        .unwrap();
    driver
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_says_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("text.csv"), "id,name\n1,Ada\n".repeat(100)).unwrap();
    let valid = file(&at("cut.db")).await;
    write(&valid, rows(2_000)).await.unwrap();
    valid.close().await;
    let whole = std::fs::read(at("cut.db")).unwrap();
    let mut damaged = whole[..4_096].to_vec();
    damaged[100..].fill(0xff);
    std::fs::write(at("cut.db"), damaged).unwrap();
    let cases = [
        (at("no/such/app.db"), "its folder does not exist", ErrorKind::Io),
        (folder.path().to_owned(), "it is a folder", ErrorKind::Io),
        (at("text.csv").join("app.db"), "text.csv/app.db: ", ErrorKind::Io),
        (at("text.csv"), "not a SQLite database", ErrorKind::Schema),
        (at("cut.db"), "damaged", ErrorKind::Schema),
    ];
    for (path, expected, kind) in cases {
        let error = SqliteDriver::open(&path).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{error} lacks {expected:?}");
        assert_eq!(error.kind(), kind, "{error}");
    }
    let missing = SqliteDriver::open_with(at("none.db"), SqliteConfig::new().create(false)).await;
    assert!(missing.unwrap_err().to_string().contains("no such file"));
    assert!(!at("none.db").exists());
}

#[tokio::test]
async fn a_full_disk_is_a_resource_error_that_may_pass() {
    let folder = tempfile::tempdir().unwrap();
    let driver = file(&folder.path().join("app.db")).await;
    driver.execute("PRAGMA max_page_count = 20").await.unwrap();
    let error = write(&driver, rows(1_000)).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Resource, Applied::Nothing));
    assert_eq!(error.kind().class(), ErrorClass::Transient);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    driver.execute("PRAGMA max_page_count = 100000").await.unwrap();
    write(&driver, rows(1_000)).await.unwrap();
    assert_eq!(table(&driver, "SELECT count(*) FROM t").await, ["1000"]);
}

#[tokio::test]
async fn a_read_only_database_is_a_read_only_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    file(&path).await.close().await;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(&path, flags).unwrap();
    let driver = SqliteDriver::from_connection(connection).unwrap();
    let error = write(&driver, rows(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    let mut permissions = path.metadata().unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    // An administrator may write any file.
    if let Err(error) = SqliteDriver::open(&path).await {
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    }
}

#[tokio::test]
async fn a_table_or_column_that_is_gone_is_a_schema_error_and_not_a_rows() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)").await;
    write(&driver, rows(40)).await.unwrap();
    driver.execute("ALTER TABLE t DROP COLUMN name").await.unwrap();
    let error = write(&driver, rows(40)).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("name")));
    driver.execute("DROP TABLE t").await.unwrap();
    let error = write(&driver, rows(40)).await.unwrap_err();
    assert_eq!((error.kind(), error.table()), (ErrorKind::Schema, Some("t")));
}

#[tokio::test]
async fn another_writer_is_waited_for_and_then_a_lock_timeout_harms_no_row() {
    for mode in [JournalMode::Wal, JournalMode::Delete] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let config = SqliteConfig::new().journal_mode(mode).busy_timeout(Duration::from_millis(80));
        let driver = SqliteDriver::open_with(&path, config).await.unwrap();
        driver.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)").await.unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (99, 'other')").unwrap();
        let error = write(&driver, rows(3)).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::LockTimeout, Applied::Nothing));
        assert!(error.blame().is_empty());
        other.execute_batch("COMMIT").unwrap();
        write(&driver, rows(3)).await.unwrap();
        assert_eq!(table(&driver, "SELECT count(*) FROM t").await, ["4"]);
    }
}

/// Two batches that are to share a commit wait for the lock once, not once more each.
#[tokio::test]
async fn batches_that_share_a_commit_wait_once_for_another_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let config = SqliteConfig::new().busy_timeout(Duration::from_millis(200));
    let driver = SqliteDriver::open_with(&path, config).await.unwrap();
    driver.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)").await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (99, 'other')").unwrap();
    // Six waits at most: 1.2 s. With one more for each that shares a commit, 2.4.
    let deadline = Instant::now() + Duration::from_secs(2);
    let one = async |id: i64| {
        let batch = Batch::from_requests(vec![t().row((id, "x")).unwrap()]).unwrap();
        driver.write(batch, &Attempt::new().with_deadline(deadline)).await.unwrap_err()
    };
    let (some, more) =
        tokio::join!(async { tokio::join!(one(1), one(2), one(3), one(4)) }, async {
            tokio::join!(one(5), one(6), one(7), one(8), one(9))
        },);
    for error in <[_; 4]>::from(some).into_iter().chain(<[_; 5]>::from(more)) {
        assert_eq!((error.kind(), error.applied()), (ErrorKind::LockTimeout, Applied::Nothing));
        assert_eq!(error.table(), Some("t"));
    }
    other.execute_batch("COMMIT").unwrap();
    write(&driver, rows(3)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_let_go_in_time_is_not_even_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let driver = file(&path).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (99, 'other')").unwrap();
    let waiting = tokio::spawn(async move {
        write(&driver, rows(3)).await.unwrap();
        driver
    });
    tokio::task::yield_now().await;
    other.execute_batch("COMMIT").unwrap();
    let driver = waiting.await.unwrap();
    assert_eq!(table(&driver, "SELECT count(*) FROM t").await, ["4"]);
}

#[tokio::test]
async fn promise_9_a_lock_is_waited_for_no_longer_than_the_attempts_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let driver = file(&path).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_millis(100));
    let error = driver.write(Batch::from_requests(rows(1)).unwrap(), &attempt).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LockTimeout | ErrorKind::Timeout), "{error}");
}

#[tokio::test]
async fn a_foreign_key_checked_at_commit_leaves_nothing_behind() {
    let driver = memory(
        "CREATE TABLE p (id INTEGER PRIMARY KEY);
         CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, \
         FOREIGN KEY (id) REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let error = write(&driver, rows(3)).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Constraint, Applied::Nothing));
    driver.execute("INSERT INTO p VALUES (0), (1), (2)").await.unwrap();
    write(&driver, rows(3)).await.unwrap();
}

#[tokio::test]
async fn a_triggers_own_error_is_its_rows_even_where_it_ends_the_transaction() {
    for action in ["ABORT", "FAIL", "ROLLBACK"] {
        let driver = memory(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
             CREATE TRIGGER no BEFORE INSERT ON t WHEN new.id = 35
             BEGIN SELECT RAISE({action}, 'canary'); END"
        ))
        .await;
        let error = write(&driver, rows(100)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Other, Some("SQLITE_CONSTRAINT_TRIGGER"))
        );
        let expected: &[usize] = if action == "ROLLBACK" { &[] } else { &[35] };
        assert_eq!(error.blame(), expected, "{action}");
        assert!(!format!("{error}{error:?}").contains("canary"));
        assert!(table(&driver, "SELECT * FROM t").await.is_empty());
        write(&driver, rows(30)).await.unwrap();
    }
}

#[tokio::test]
async fn promise_10_nothing_shows_a_value_unless_asked_for() {
    let driver =
        memory("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT CHECK (name <> 'canary'))").await;
    let row = |id: i64| t().row((id, "canary")).unwrap();
    let batch = Batch::from_requests(vec![row(1), row(2)]).unwrap();
    let preview = driver.preview(&batch, ShowValues::No).await.unwrap();
    assert_eq!(preview.statements.len(), 2);
    assert!(preview.statements[0].starts_with("INSERT OR ABORT INTO \"t\" (\"id\", \"name\")"));
    assert_eq!(preview.parameters, ["I64", "Text(6 bytes)"]);
    let shown = driver.preview(&batch, ShowValues::Yes).await.unwrap();
    assert_eq!(shown.parameters, ["1", "'canary'"]);
    assert!(table(&driver, "SELECT * FROM t").await.is_empty(), "a preview writes nothing");
    let error = write(&driver, vec![row(1)]).await.unwrap_err();
    let name = t();
    let error_text = format!("{error}{error:?}{driver:?}{name:?}");
    assert!(!error_text.replace("name <> 'canary'", "").contains("canary"), "{error_text}");
}
