//! A year of real flights and weather through a flow into a file, equal cell by cell.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use batchflow_sqlite::client::Connection;
use batchflow_sqlite::client::types::Value as Stored;
use batchflow_sqlite::{BatchFlow, ConflictStrategy, Schema, SqliteDriver, Stats, Value};

/// A CSV file of the repository: its header and its cells.
struct Rows {
    header: Vec<String>,
    cells: Vec<Vec<Stored>>,
}

fn data(name: &str) -> File {
    File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(name)).unwrap()
}

fn read(file: impl Read) -> Rows {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let cell = |cell: &str| match (cell, cell.parse::<i64>(), cell.parse::<f64>()) {
        ("NA", ..) => Stored::Null,
        (_, Ok(integer), _) => Stored::Integer(integer),
        (_, _, Ok(float)) => Stored::Real(float),
        _ => Stored::Text(cell.to_owned()),
    };
    let cells = reader.records().map(|row| row.unwrap().iter().map(cell).collect()).collect();
    Rows { header, cells }
}

fn value(stored: &Stored) -> Value {
    match stored {
        Stored::Null => Value::Null,
        Stored::Integer(v) => Value::I64(*v),
        Stored::Real(v) => Value::F64(*v),
        Stored::Text(v) => Value::from(v.as_str()),
        Stored::Blob(v) => Value::from(v.clone()),
    }
}

/// Text that tells apart what a cell may hold.
fn shown(cells: &[Stored]) -> String {
    format!("{cells:?}")
}

/// Writes the rows with this key, flushing nothing before the end; the table must then hold, cell
/// by cell, the last row of each key.
async fn check(rows: Rows, key: &[&str]) -> Stats {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("real.db");
    let driver = SqliteDriver::open(&path).await.unwrap();
    let columns = rows.header.join(", ");
    // A column without a type stores every value as it is given, but only SQLite compares it.
    let typed = |(name, first): (&String, &Stored)| match first {
        Stored::Integer(_) if key.contains(&name.as_str()) => format!("{name} INTEGER"),
        Stored::Text(_) if key.contains(&name.as_str()) => format!("{name} TEXT"),
        _ => name.clone(),
    };
    let typed: Vec<String> = rows.header.iter().zip(&rows.cells[0]).map(typed).collect();
    let (typed, keys) = (typed.join(", "), key.join(", "));
    driver.execute(&format!("CREATE TABLE t ({typed}, PRIMARY KEY ({keys}))")).await.unwrap();
    let schema = Schema::builder("t").columns(rows.header.clone()).key(key.to_vec());
    let schema = schema.on_conflict(ConflictStrategy::Replace).build().unwrap();
    let flow = BatchFlow::builder(driver)
        .flush_interval(Duration::from_secs(3_600))
        .buffer_size(50_000)
        .flush_size(30_000)
        .build()
        .unwrap();
    for row in &rows.cells {
        let values: Vec<Value> = row.iter().map(value).collect();
        flow.submit(schema.row(values).unwrap()).await.unwrap();
    }
    let summary = flow.close().await.unwrap();
    assert!(summary.all_written() && summary.stats.is_conserved(), "{summary:?}");

    let at: Vec<usize> =
        key.iter().map(|key| rows.header.iter().position(|own| own == key).unwrap()).collect();
    let key_of = |row: &[Stored]| at.iter().map(|&at| shown(&row[at..=at])).collect::<String>();
    let mut expected: HashMap<String, String> =
        rows.cells.iter().map(|row| (key_of(row), shown(row))).collect();
    let connection = Connection::open(&path).unwrap();
    let mut statement = connection.prepare(&format!("SELECT {columns} FROM t")).unwrap();
    let width = rows.header.len();
    let mut stored = statement.query([]).unwrap();
    while let Some(row) = stored.next().unwrap() {
        let row: Vec<Stored> = (0..width).map(|column| row.get(column).unwrap()).collect();
        assert_eq!(expected.remove(&key_of(&row)), Some(shown(&row)));
    }
    assert!(expected.is_empty(), "{} rows are missing", expected.len());
    summary.stats
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_all_flights_of_a_year_are_in_the_table_and_every_null_is_null() {
    let flights = read(flate2::read::GzDecoder::new(data("flights.csv.gz")));
    assert_eq!(flights.cells.len(), 336_776);
    let column = |name: &str| flights.header.iter().position(|own| own == name).unwrap();
    for (name, missing) in [("dep_time", 8_255), ("arr_delay", 9_430), ("tailnum", 2_512)] {
        let nulls = flights.cells.iter().filter(|row| row[column(name)] == Stored::Null);
        assert_eq!(nulls.count(), missing, "{name}");
    }
    let key = ["year", "month", "day", "carrier", "flight", "origin"];
    let stats = check(flights, &key).await;
    assert_eq!((stats.written, stats.superseded), (336_776, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_the_hour_that_daylight_saving_repeats_is_superseded_three_times() {
    let stats = check(read(data("weather.csv")), &["origin", "year", "month", "day", "hour"]).await;
    assert_eq!((stats.written, stats.superseded), (26_112, 3));
    let stats = check(read(data("weather.csv")), &["origin", "time_hour"]).await;
    assert_eq!((stats.written, stats.superseded), (26_115, 0));
}
