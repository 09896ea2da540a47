//! [`File`]: what the conformance kit needs to know of a SQLite file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::conformance::{Harness, Hold};
use batchflow_core::testing::{Column, Table};
use batchflow_core::{ColumnKind, Date, Driver, Time, Timestamp, Value};
use batchflow_sqlite::client::Connection;
use batchflow_sqlite::client::types::ValueRef;
use batchflow_sqlite::{SqliteConfig, SqliteDriver, Synchronous};

/// One file, and a driver that all tests of a harness share.
pub(crate) struct File {
    path: std::path::PathBuf,
    driver: Arc<SqliteDriver>,
    _folder: tempfile::TempDir,
}

impl File {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conformance.db");
        // The kit judges what is in the table, not what survives a power cut.
        let config = SqliteConfig::default().synchronous(Synchronous::Off);
        let driver = Arc::new(SqliteDriver::open_with(&path, config).await.unwrap());
        Self { path, driver, _folder: folder }
    }

    fn connect(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn ddl(table: &Table) -> String {
    let mut parts: Vec<String> = table.columns().iter().map(column_ddl).collect();
    for (at, key) in table.unique_keys().enumerate() {
        let kind = if at == 0 { "PRIMARY KEY" } else { "UNIQUE" };
        let columns: Vec<String> = key.iter().map(|name| quoted(name)).collect();
        parts.push(format!("{kind} ({})", columns.join(", ")));
    }
    format!("CREATE TABLE {} ({}) STRICT", quoted(table.name()), parts.join(", "))
}

fn column_ddl(column: &Column) -> String {
    let kind = match column.kind() {
        ColumnKind::Bool | ColumnKind::Integer => "INTEGER",
        ColumnKind::Float32 | ColumnKind::Float64 => "REAL",
        ColumnKind::Bytes | ColumnKind::Uuid => "BLOB",
        _ => "TEXT",
    };
    let name = quoted(column.name());
    let not_null = if column.is_not_null() { " NOT NULL" } else { "" };
    let default = match column.default() {
        Some(Value::I64(v)) => format!(" DEFAULT {v}"),
        Some(Value::Text(v)) => format!(" DEFAULT '{}'", v.as_str()),
        None => String::new(),
        Some(other) => panic!("no test has a default of {other:?}"),
    };
    let check = column.least().map(|least| format!(" CHECK ({name} >= {least})"));
    format!("{name} {kind}{not_null}{default}{}", check.unwrap_or_default())
}

/// What SQLite holds, as a value of the column's kind.
fn value(column: &Column, stored: ValueRef<'_>) -> Value {
    match (column.kind(), stored) {
        (_, ValueRef::Null) => Value::Null,
        (ColumnKind::Bool, ValueRef::Integer(v)) => Value::Bool(v != 0),
        (ColumnKind::Uuid, ValueRef::Blob(v)) => Value::Uuid(v.try_into().unwrap()),
        (_, ValueRef::Integer(v)) => Value::I64(v),
        (_, ValueRef::Real(v)) => Value::F64(v),
        (_, ValueRef::Blob(v)) => Value::from(v),
        (kind, ValueRef::Text(text)) => {
            let text = str::from_utf8(text).unwrap();
            match kind {
                ColumnKind::Decimal => Value::Decimal(text.into()),
                ColumnKind::Timestamp => timestamp(text).into(),
                ColumnKind::Date => date(text).into(),
                ColumnKind::Time => time(text).into(),
                _ => Value::from(text),
            }
        }
    }
}

fn timestamp(text: &str) -> Timestamp {
    let (day, clock) = text.split_once([' ', 'T']).unwrap();
    Timestamp::from_parts(date(day), time(clock.trim_end_matches("+00:00")))
}

fn date(text: &str) -> Date {
    let parts: Vec<i32> = text.split('-').map(|part| part.parse().unwrap()).collect();
    let [year, month, day] = parts[..] else { panic!("not a date: {text}") };
    Date::from_ymd(year, month.try_into().unwrap(), day.try_into().unwrap()).unwrap()
}

fn time(text: &str) -> Time {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts: Vec<u8> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    let [hour, minute, second] = parts[..] else { panic!("not a time: {text}") };
    let nanos = format!("{fraction:0<9}").parse().unwrap();
    Time::from_hms_nano(hour, minute, second, nanos).unwrap()
}

#[async_trait]
impl Harness for File {
    async fn create(&self, table: &Table) {
        let name = quoted(table.name());
        let sql = format!("DROP TABLE IF EXISTS {name}; {};", ddl(table));
        self.driver.execute(&sql).await.unwrap();
    }

    async fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    async fn read(&self, table: &Table) -> Vec<Vec<Value>> {
        let connection = self.connect();
        let sql = format!("SELECT * FROM {}", quoted(table.name()));
        let mut statement = connection.prepare(&sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut read = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let columns = table.columns().iter().enumerate();
            read.push(
                columns.map(|(at, column)| value(column, row.get_ref(at).unwrap())).collect(),
            );
        }
        read
    }

    fn is_strict(&self, kind: ColumnKind) -> bool {
        matches!(kind, ColumnKind::Integer | ColumnKind::Float32 | ColumnKind::Float64)
    }

    fn second_digits(&self) -> u8 {
        9
    }

    async fn hold_up(&self, _: &Table) -> Option<Hold> {
        let connection = self.connect();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Some(Box::new(connection))
    }
}
