//! A year of real flights and weather through a flow into the server, equal cell by cell, and
//! written twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use batchflow_postgres::client::{self, Client};
use batchflow_postgres::{
    BatchFlow, ConflictStrategy, Date, PostgresDriver, Schema, Stats, Time, Timestamp, Value,
};

use crate::support::{connect, execute, fresh, rows, url};

/// What a column holds, and the type that the table gives it.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Kind {
    Integer,
    Float,
    Moment,
    Text,
}

impl Kind {
    /// The narrowest that holds the cell.
    fn of(cell: &str) -> Self {
        if cell.parse::<i32>().is_ok_and(|number| number.to_string() == cell) {
            Self::Integer
        } else if cell.parse::<f64>().is_ok() {
            Self::Float
        } else if moment(cell).is_some() {
            Self::Moment
        } else {
            Self::Text
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "double precision",
            Self::Moment => "timestamptz",
            Self::Text => "text",
        }
    }

    fn value(self, cell: &str) -> Value {
        match self {
            _ if cell == "NA" => Value::Null,
            Self::Integer => cell.parse::<i64>().unwrap().into(),
            Self::Float => cell.parse::<f64>().unwrap().into(),
            Self::Moment => moment(cell).unwrap().into(),
            Self::Text => cell.into(),
        }
    }

    /// The column as the file writes it, but for floats.
    fn select(self, column: &str) -> String {
        match self {
            Self::Moment => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
            }
            _ => format!("{column}::text"),
        }
    }

    /// The cell's text with one spelling for each value.
    fn canonical(self, cell: &str) -> String {
        match self {
            _ if cell == "NA" => "NULL".to_owned(),
            Self::Float => format!("{:?}", cell.parse::<f64>().unwrap()),
            _ => cell.to_owned(),
        }
    }
}

/// `2013-01-01T10:00:00Z`
fn moment(cell: &str) -> Option<Timestamp> {
    let (date, time) = cell.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<u32>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let date = Date::from_ymd(year as i32, month as _, day as _)?;
    Some(Timestamp::from_parts(date, Time::from_hms_nano(hour as _, minute as _, second as _, 0)?))
}

/// A CSV file of the repository: its header, its cells and what they hold.
struct Rows {
    header: Vec<String>,
    kinds: Vec<Kind>,
    cells: Vec<csv::StringRecord>,
}

fn data(name: &str) -> File {
    File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(name)).unwrap()
}

fn read(file: impl Read) -> Rows {
    let mut reader = csv::Reader::from_reader(file);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let cells: Vec<_> = reader.records().map(Result::unwrap).collect();
    let mut kinds = vec![Kind::Integer; header.len()];
    for row in &cells {
        for (kind, cell) in kinds.iter_mut().zip(row).filter(|(_, cell)| *cell != "NA") {
            let own = Kind::of(cell);
            if own > *kind {
                *kind = own;
            }
        }
    }
    Rows { header, kinds, cells }
}

impl Rows {
    fn create(&self, table: &str, key: &[&str]) -> String {
        let columns = self.header.iter().zip(&self.kinds);
        let columns: Vec<_> =
            columns.map(|(name, kind)| format!("{name} {}", kind.sql())).collect();
        format!(
            "CREATE TABLE {table} ({}, loaded_at timestamptz NOT NULL, PRIMARY KEY ({}))",
            columns.join(", "),
            key.join(", ")
        )
    }

    async fn load(&self, schema: &Schema) -> Stats {
        let flow = BatchFlow::builder(PostgresDriver::connect(&url()).await.unwrap())
            .flush_size(10_000)
            .flush_interval(Duration::from_secs(60))
            .buffer_size(40_000)
            .build()
            .unwrap();
        for row in &self.cells {
            let values: Vec<Value> =
                self.kinds.iter().zip(row).map(|(kind, cell)| kind.value(cell)).collect();
            flow.submit(schema.row(values).unwrap()).await.unwrap();
        }
        let summary = flow.close().await.unwrap();
        assert!(summary.all_written() && summary.stats.is_conserved(), "{summary:?}");
        summary.stats
    }

    /// The table must hold, cell by cell, the last row of each key.
    async fn compare(&self, client: &Client, table: &str, key: &[&str]) {
        let at = key.iter().map(|key| self.header.iter().position(|own| own == key).unwrap());
        let at: Vec<usize> = at.collect();
        let key_of = |row: &[String]| at.iter().map(|&at| row[at].clone()).collect::<Vec<_>>();
        let mut expected: HashMap<Vec<String>, Vec<String>> = HashMap::new();
        for row in &self.cells {
            let row: Vec<String> =
                self.kinds.iter().zip(row).map(|(kind, cell)| kind.canonical(cell)).collect();
            expected.insert(key_of(&row), row);
        }
        let columns = self.kinds.iter().zip(&self.header);
        let columns: Vec<_> = columns.map(|(kind, name)| kind.select(name)).collect();
        let sql = format!("SELECT {} FROM {table}", columns.join(", "));
        for message in client.simple_query(&sql).await.unwrap() {
            let client::SimpleQueryMessage::Row(row) = message else { continue };
            let cell = |at: usize| match row.get(at) {
                None => "NULL".to_owned(),
                Some(text) => self.kinds[at].canonical(text),
            };
            let row: Vec<String> = (0..self.header.len()).map(cell).collect();
            assert_eq!(expected.remove(&key_of(&row)), Some(row));
        }
        assert!(expected.is_empty(), "{} rows are missing", expected.len());
    }
}

/// Writes the rows with this key, twice: the second time changes when they were loaded, and
/// nothing else.
async fn check(file: &Rows, key: &[&str]) -> Stats {
    let table = fresh("real");
    let client = connect(&url()).await;
    execute(&url(), &file.create(&table, key)).await;
    let schema = Schema::builder(&table)
        .columns(file.header.iter().map(String::as_str).chain(["loaded_at"]))
        .key(key.to_vec())
        .on_conflict(ConflictStrategy::Update)
        .touch("loaded_at")
        .build()
        .unwrap();
    let first = file.load(&schema).await;
    file.compare(&client, &table, key).await;
    let latest = rows(&client, &format!("SELECT max(loaded_at) FROM {table}")).await.concat();

    let second = file.load(&schema).await;
    assert_eq!(second.submitted, first.submitted);
    file.compare(&client, &table, key).await;
    let stale = format!("SELECT count(*) FROM {table} WHERE loaded_at <= '{latest}'");
    assert_eq!(rows(&client, &stale).await, ["0"]);
    execute(&url(), &format!("DROP TABLE {table}")).await;
    first
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_1_all_flights_of_a_year_are_in_the_table_and_a_second_load_changes_nothing() {
    let flights = read(flate2::read::GzDecoder::new(data("flights.csv.gz")));
    assert_eq!(flights.cells.len(), 336_776);
    let column = |name: &str| flights.header.iter().position(|own| own == name).unwrap();
    for (name, missing) in [("dep_time", 8_255), ("arr_delay", 9_430), ("tailnum", 2_512)] {
        let nulls = flights.cells.iter().filter(|row| &row[column(name)] == "NA");
        assert_eq!(nulls.count(), missing, "{name}");
    }
    let key = ["year", "month", "day", "carrier", "flight", "origin"];
    let stats = check(&flights, &key).await;
    assert_eq!((stats.written, stats.superseded), (336_776, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_5_the_hour_that_daylight_saving_repeats_keeps_its_last_row() {
    let weather = read(data("weather.csv"));
    let stats = check(&weather, &["origin", "year", "month", "day", "hour"]).await;
    assert_eq!(stats.written + stats.superseded, 26_115);
    let stats = check(&weather, &["origin", "time_hour"]).await;
    assert_eq!((stats.written, stats.superseded), (26_115, 0));
}
