//! Rows through a flow into a file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use batchflow_sqlite::client::Connection;
use batchflow_sqlite::{
    BatchFlow, ConflictStrategy, ErrorKind, Merge, Outcome, Request, RowError, Schema,
    SqliteDriver, Value,
};

async fn open(path: &Path, table: &str) -> SqliteDriver {
    let driver = SqliteDriver::open(path).await.unwrap();
    driver.execute(table).await.unwrap();
    driver
}

fn count(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The weather file: its header, and its rows with `NA` as NULL.
fn weather() -> (Vec<String>, Vec<Vec<Value>>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/weather.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().split(',').map(str::to_owned).collect();
    let cell = |cell: &str| match (cell, cell.parse::<i64>(), cell.parse::<f64>()) {
        ("NA", ..) => Value::Null,
        (_, Ok(integer), _) => Value::I64(integer),
        (_, _, Ok(float)) => Value::F64(float),
        _ => Value::from(cell),
    };
    (header, lines.map(|line| line.split(',').map(cell).collect()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_weather_of_a_year_leaves_one_row_a_key_and_every_row_has_its_verdict() {
    let (header, rows) = weather();
    let types = "origin TEXT, year INT, month INT, day INT, hour INT, temp REAL, dewp REAL, \
                 humid REAL, wind_dir INT, wind_speed REAL, wind_gust REAL, precip REAL, \
                 pressure REAL, visib REAL, time_hour TEXT";
    for (key, kept) in [
        (&["origin", "year", "month", "day", "hour"][..], 26_112),
        (&["origin", "time_hour"], 26_115),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weather.db");
        let table = format!("CREATE TABLE weather ({types}, PRIMARY KEY ({}))", key.join(", "));
        let weather = Schema::builder("weather").columns(header.clone()).key(key.to_vec());
        let weather = weather.on_conflict(ConflictStrategy::Update).build().unwrap();
        let flow = BatchFlow::builder(open(&path, &table).await).build().unwrap();
        for row in rows.clone() {
            flow.submit(weather.row(row).unwrap()).await.unwrap();
        }
        let summary = flow.close().await.unwrap();
        assert!(summary.all_written() && summary.stats.is_conserved(), "{summary:?}");
        assert_eq!(summary.stats.written + summary.stats.superseded, 26_115);
        assert_eq!(count(&path, "SELECT count(*) FROM weather"), kept);
        let nulls = "SELECT count(*) FROM weather WHERE wind_gust IS NULL";
        let gusts = rows.iter().filter(|row| row[10].is_null()).count() as i64;
        assert!(gusts - count(&path, nulls) <= 26_115 - kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_4_two_bad_rows_among_a_thousand_harm_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n >= 0))";
    let flow = BatchFlow::builder(open(&path, table).await).flush_size(1_000).build().unwrap();
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "n"]).unwrap();
    let mut receipts = Vec::new();
    for id in 0..1_000_i64 {
        let n = if id == 300 || id == 700 { -1 } else { id };
        receipts.push(flow.submit_tracked(t.row((id, n)).unwrap()).await.unwrap());
    }
    for (id, receipt) in receipts.into_iter().enumerate() {
        match receipt.await {
            Ok(outcome) => assert_eq!(outcome, Outcome::Written, "{id}"),
            Err(RowError::Rejected(error)) => {
                assert!(id == 300 || id == 700, "{id}: {error}");
                assert_eq!(error.kind(), ErrorKind::Constraint);
                assert!(error.constraint().is_some_and(|check| check.contains("n >= 0")));
            }
            Err(other) => panic!("{id}: {other}"),
        }
    }
    let summary = flow.close().await.unwrap();
    assert_eq!((summary.stats.written, summary.stats.rejected), (998, 2));
    assert_eq!(count(&path, "SELECT count(*) FROM t"), 998);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_4_a_bad_row_merged_over_a_good_one_leaves_the_good_one_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n >= 0))";
    let flow = BatchFlow::builder(open(&path, table).await).build().unwrap();
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "n"]).unwrap();
    flow.submit(t.row((1_i64, 5_i64)).unwrap()).await.unwrap();
    flow.submit(t.row((1_i64, -5_i64)).unwrap()).await.unwrap();
    let stats = flow.close().await.unwrap().stats;
    assert_eq!((stats.written, stats.rejected), (1, 1), "{stats:?}");
    assert_eq!(count(&path, "SELECT n FROM t"), 5);
}

/// Another flow on the same driver, or a preview, is the first to see the altered table.
#[tokio::test(flavor = "multi_thread")]
async fn promise_3_keys_compare_as_the_altered_table_does_whoever_saw_it_first() {
    for first in ["a preview", "another flow"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let driver = Arc::new(open(&path, "CREATE TABLE t (name TEXT PRIMARY KEY)").await);
        let t = Schema::new("t", ConflictStrategy::Ignore, ["name"]).unwrap();
        let row = |name: &str| t.row((name,)).unwrap();
        let flow = BatchFlow::builder(driver.clone()).build().unwrap();
        let other = BatchFlow::builder(driver.clone()).build().unwrap();
        for flow in [&flow, &other] {
            flow.submit_tracked(row("before")).await.unwrap().await.unwrap();
        }
        let altered = "DROP TABLE t; CREATE TABLE t (name TEXT COLLATE NOCASE PRIMARY KEY)";
        Connection::open(&path).unwrap().execute_batch(altered).unwrap();
        if first == "a preview" {
            flow.preview(&[row("seen")]).await.unwrap();
        } else {
            other.submit_tracked(row("seen")).await.unwrap().await.unwrap();
        }
        flow.submit_tracked(row("after")).await.unwrap().await.unwrap();
        for name in ["Ada", "ADA"] {
            flow.submit(row(name)).await.unwrap();
        }
        let counts = flow.flush().await.unwrap();
        assert_eq!((counts.written, counts.superseded), (1, 1), "{first}: {counts:?}");
        let _ = other.close().await.unwrap();
        let _ = flow.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_a_key_is_one_key_as_its_column_compares() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let table = "CREATE TABLE t (name TEXT COLLATE NOCASE PRIMARY KEY, hits INTEGER)";
    let flow = BatchFlow::builder(open(&path, table).await).build().unwrap();
    let t = Schema::builder("t").columns(["name", "hits"]).key(["name"]);
    let t = t.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add).build().unwrap();
    for name in ["Ada", "ADA", "ada", "bob", "Ádá", "ádá"].repeat(500) {
        flow.submit(t.row((name, 1_i64)).unwrap()).await.unwrap();
    }
    assert!(flow.close().await.unwrap().all_written());
    assert_eq!(count(&path, "SELECT count(*) FROM t"), 4);
    assert_eq!(count(&path, "SELECT hits FROM t WHERE name = 'ada'"), 1_500);
    assert_eq!(count(&path, "SELECT hits FROM t WHERE name = 'ádá'"), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_3_the_last_submitted_of_a_key_is_the_last_applied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)";
    let driver = Arc::new(open(&path, table).await);
    let flow =
        BatchFlow::builder(Arc::clone(&driver)).flush_size(7).concurrency(8).build().unwrap();
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "n"]).unwrap();
    for n in 0..5_000_i64 {
        flow.submit(t.row((n % 13, n)).unwrap()).await.unwrap();
    }
    assert!(flow.close().await.unwrap().all_written());
    let last = "SELECT count(*) FROM t WHERE n >= 5000 - 13 AND n % 13 = id";
    assert_eq!(count(&path, last), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_fails_its_own_rows_at_once_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let flow = BatchFlow::builder(open(&path, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await);
    let flow = flow.build().unwrap();
    let [t, gone] =
        ["t", "gone"].map(|table| Schema::new(table, ConflictStrategy::Ignore, ["id"]).unwrap());
    for id in 0..100_i64 {
        flow.submit(gone.row((id,)).unwrap()).await.unwrap();
        flow.submit(t.row((id,)).unwrap()).await.unwrap();
    }
    let stats = flow.close().await.unwrap().stats;
    assert_eq!((stats.written, stats.rejected), (100, 100), "{stats:?}");
    assert_eq!(count(&path, "SELECT count(*) FROM t"), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_writer_of_the_file_delays_rows_and_fails_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)";
    let flow = BatchFlow::builder(open(&path, table).await).flush_size(50).build().unwrap();
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "n"]).unwrap();
    let other = Arc::new(Mutex::new(Connection::open(&path).unwrap()));
    let writing = {
        let other = Arc::clone(&other);
        tokio::task::spawn_blocking(move || {
            let other = other.lock().unwrap();
            for id in 0..200 {
                let sql =
                    format!("BEGIN IMMEDIATE; INSERT INTO t VALUES ({}, 0); COMMIT", id + 10_000);
                other.execute_batch(&sql).unwrap();
            }
        })
    };
    for id in 0..2_000_i64 {
        flow.submit(t.row((id, id)).unwrap()).await.unwrap();
    }
    assert!(flow.close().await.unwrap().all_written());
    writing.await.unwrap();
    assert_eq!(count(&path, "SELECT count(*) FROM t"), 2_200);
}

/// The process that the next test kills: it prints each row's number once that is written.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_is_killed() {
    let Some(path) = std::env::var_os("BATCHFLOW_KILLED_PATH") else {
        return;
    };
    let table = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)";
    let flow = BatchFlow::builder(open(Path::new(&path), table).await).build().unwrap();
    let t = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    let mut id = 0_i64;
    loop {
        let mut receipts = Vec::new();
        for _ in 0..20 {
            let request = Request::new(&t).set("id", id);
            receipts.push((id, flow.submit_tracked(request).await.unwrap()));
            id += 1;
        }
        for (id, receipt) in receipts {
            receipt.await.unwrap();
            // At once, so that the kill leaves no part of it.
            let line = format!("acknowledged {id}\n");
            eprint!("{line}");
        }
    }
}

#[test]
fn promise_2_a_killed_process_keeps_every_acknowledged_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env("BATCHFLOW_KILLED_PATH", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let number = |line: String| line.strip_prefix("acknowledged ")?.parse::<i64>().ok();
    let mut acknowledged: Vec<i64> = Vec::new();
    while acknowledged.len() < 200 {
        acknowledged.extend(number(lines.next().unwrap().unwrap()));
    }
    // SIGKILL, in the middle of the work.
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(lines.map_while(Result::ok).filter_map(number));
    let connection = Connection::open(&path).unwrap();
    for id in acknowledged {
        let sql = format!("SELECT count(*) FROM t WHERE id = {id}");
        let found: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(found, 1, "{id}");
    }
}

/// Where the table itself fills in what a row leaves unset, only it can tell what two rows of one
/// key leave.
#[tokio::test(flavor = "multi_thread")]
async fn promise_5_merged_rows_leave_what_the_same_rows_leave_one_after_the_other() {
    let counts = Schema::builder("t").columns(["id", "name", "hits"]).key(["id"]);
    let counts = counts.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add);
    let counts = counts.build().unwrap();
    let numbers = Schema::new("u", ConflictStrategy::Replace, ["id", "number"]).unwrap();
    for merging in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let tables = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, hits INTEGER);
             CREATE TRIGGER fill AFTER INSERT ON t WHEN NEW.hits IS NULL
             BEGIN UPDATE t SET hits = 5 WHERE id = NEW.id; END;
             CREATE TABLE u (id INTEGER UNIQUE NOT NULL, number INTEGER PRIMARY KEY)";
        let flow = BatchFlow::builder(open(&path, tables).await).merge(merging);
        let flow = flow.flush_interval(std::time::Duration::from_secs(60)).build().unwrap();
        let rows = [
            Request::new(&counts).set("id", 1_i64).set("name", "a"),
            Request::new(&counts).set("id", 1_i64).set("hits", 3_i64),
            Request::new(&numbers).set("id", 1_i64).set("number", 7_i64),
            Request::new(&numbers).set("id", 1_i64),
        ];
        flow.submit_all(rows).await.unwrap();
        assert!(flow.close().await.unwrap().all_written());
        let left = [count(&path, "SELECT hits FROM t"), count(&path, "SELECT number FROM u")];
        assert_eq!(left, [8, 7], "merging: {merging}");
    }
}

/// A key's collation changes while the flow runs: which rows have one key is asked anew.
#[tokio::test(flavor = "multi_thread")]
async fn promise_3_a_table_that_was_altered_is_described_again() {
    let create = |collation: &str| {
        format!("CREATE TABLE t (name TEXT PRIMARY KEY COLLATE {collation}, n INTEGER)")
    };
    let driver = Arc::new(SqliteDriver::in_memory().unwrap());
    driver.execute(&create("BINARY")).await.unwrap();
    let flow = BatchFlow::builder(Arc::clone(&driver));
    let flow = flow.flush_interval(std::time::Duration::from_secs(60)).build().unwrap();
    let t = Schema::new("t", ConflictStrategy::Ignore, ["name", "n"]).unwrap();
    let submit = async |names: &[&str]| {
        for name in names {
            flow.submit(t.row((*name, 1_i64)).unwrap()).await.unwrap();
        }
        let counts = flow.flush().await.unwrap();
        (counts.written, counts.superseded)
    };
    assert_eq!(submit(&["Ada", "ADA"]).await, (2, 0));
    driver.execute(&format!("DROP TABLE t; {}", create("NOCASE"))).await.unwrap();
    assert_eq!(submit(&["first"]).await, (1, 0));
    assert_eq!(submit(&["Ada", "ADA"]).await, (1, 1));
}
