//! Real rows from the repository's CSV files, for tests that write them into a server and compare
//! them cell by cell.

#![allow(dead_code, reason = "each crate's test uses a part of this")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use batchflow_core::{BatchFlow, Date, Driver, Schema, Stats, Time, Timestamp, Value};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum Kind {
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

    fn value(self, cell: &str) -> Value {
        match self {
            _ if cell == "NA" => Value::Null,
            Self::Integer => cell.parse::<i64>().unwrap().into(),
            Self::Float => cell.parse::<f64>().unwrap().into(),
            Self::Moment => moment(cell).unwrap().into(),
            Self::Text => cell.into(),
        }
    }

    /// The cell's text with one spelling for each value.
    pub(crate) fn canonical(self, cell: &str) -> String {
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
pub(crate) struct Rows {
    pub(crate) header: Vec<String>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) cells: Vec<csv::StringRecord>,
}

pub(crate) fn data(name: &str) -> File {
    File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(name)).unwrap()
}

pub(crate) fn read(file: impl Read) -> Rows {
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
    /// The columns by their kinds, in the order of the file.
    pub(crate) fn columns(&self, each: impl Fn(&str, Kind) -> String) -> String {
        let columns = self.header.iter().zip(&self.kinds);
        let columns: Vec<String> = columns.map(|(name, &kind)| each(name, kind)).collect();
        columns.join(", ")
    }

    /// Writes all rows through a flow.
    pub(crate) async fn load(&self, driver: impl Driver, schema: &Schema) -> Stats {
        let flow = BatchFlow::builder(driver)
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
    pub(crate) fn compare(&self, stored: impl Iterator<Item = Vec<Option<String>>>, key: &[&str]) {
        let at = key.iter().map(|key| self.header.iter().position(|own| own == key).unwrap());
        let at: Vec<usize> = at.collect();
        let key_of = |row: &[String]| at.iter().map(|&at| row[at].clone()).collect::<Vec<_>>();
        let mut expected: HashMap<Vec<String>, Vec<String>> = HashMap::new();
        for row in &self.cells {
            let row: Vec<String> =
                self.kinds.iter().zip(row).map(|(kind, cell)| kind.canonical(cell)).collect();
            expected.insert(key_of(&row), row);
        }
        for row in stored {
            let cells = row.iter().zip(&self.kinds).map(|(cell, kind)| match cell {
                None => "NULL".to_owned(),
                Some(text) => kind.canonical(text),
            });
            let row: Vec<String> = cells.collect();
            assert_eq!(expected.remove(&key_of(&row)), Some(row));
        }
        assert!(expected.is_empty(), "{} rows are missing", expected.len());
    }
}

/// A year of flights, in which some cells are missing.
pub(crate) fn flights() -> Rows {
    let flights = read(flate2::read::GzDecoder::new(data("flights.csv.gz")));
    assert_eq!(flights.cells.len(), 336_776);
    let column = |name: &str| flights.header.iter().position(|own| own == name).unwrap();
    for (name, missing) in [("dep_time", 8_255), ("arr_delay", 9_430), ("tailnum", 2_512)] {
        let nulls = flights.cells.iter().filter(|row| &row[column(name)] == "NA");
        assert_eq!(nulls.count(), missing, "{name}");
    }
    flights
}

/// The columns that tell a flight from any other.
pub(crate) const FLIGHT: [&str; 6] = ["year", "month", "day", "carrier", "flight", "origin"];
