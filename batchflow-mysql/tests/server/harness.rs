//! [`Server`]: what the conformance kit needs to know of a server.

use std::sync::Arc;

use async_trait::async_trait;
use batchflow_core::conformance::{Harness, Hold};
use batchflow_core::testing::{Column, Table};
use batchflow_core::{ColumnKind, Comparison, Date, Driver, Time, Timestamp, Value};
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{MysqlConfig, MysqlDriver, Way};

use super::support::{Database, connect, password, sessions, url};

/// A database of a test's own, and how drivers write to it.
pub(crate) struct Server {
    way: Option<Way>,
    database: Database,
}

impl Server {
    pub(crate) async fn new(way: Option<Way>) -> Self {
        Self { way, database: Database::new("kit").await }
    }
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn ddl(table: &Table) -> String {
    let keys: Vec<&[String]> = table.unique_keys().collect();
    let is_key = |name: &str| keys.iter().any(|key| key.iter().any(|own| own == name));
    let columns = table.columns().iter();
    let mut parts: Vec<String> =
        columns.map(|column| column_ddl(column, is_key(column.name()))).collect();
    for (at, key) in keys.iter().enumerate() {
        let is_null = |name: &String| {
            let column = table.position(name).map(|at| &table.columns()[at]);
            column.is_none_or(|column| !column.is_not_null())
        };
        // A primary key's columns would not be NULL.
        let is_primary = at == 0 && !key.iter().any(is_null);
        let kind = if is_primary { "PRIMARY KEY" } else { "UNIQUE KEY" };
        let columns: Vec<String> = key.iter().map(|name| quoted(name)).collect();
        parts.push(format!("{kind} ({})", columns.join(", ")));
    }
    format!("CREATE TABLE {} ({}) ENGINE=InnoDB", quoted(table.name()), parts.join(", "))
}

fn column_ddl(column: &Column, is_key: bool) -> String {
    let kind = match column.kind() {
        ColumnKind::Bool => "BOOLEAN".to_owned(),
        ColumnKind::Integer => "BIGINT".to_owned(),
        ColumnKind::Float32 => "FLOAT".to_owned(),
        ColumnKind::Float64 => "DOUBLE".to_owned(),
        ColumnKind::Decimal => format!("DECIMAL(65, {})", column.digits().unwrap_or(30)),
        ColumnKind::Bytes if is_key => "VARBINARY(700)".to_owned(),
        ColumnKind::Bytes => "LONGBLOB".to_owned(),
        ColumnKind::Timestamp => "DATETIME(6)".to_owned(),
        ColumnKind::Date => "DATE".to_owned(),
        ColumnKind::Time => "TIME(6)".to_owned(),
        _ => {
            // Text compares as the model's does, byte by byte, where a test does not say otherwise.
            let collation = match column.compares() {
                Comparison::PrintableNoCase => "utf8mb4_general_ci",
                _ => "utf8mb4_bin",
            };
            let kind = if is_key { "VARCHAR(190)" } else { "LONGTEXT" };
            format!("{kind} CHARACTER SET utf8mb4 COLLATE {collation}")
        }
    };
    let name = quoted(column.name());
    let not_null = if column.is_not_null() { " NOT NULL" } else { "" };
    let default = match column.default() {
        Some(Value::I64(v)) => format!(" DEFAULT {v}"),
        Some(Value::Text(v)) => format!(" DEFAULT ('{}')", v.as_str()),
        None => String::new(),
        Some(other) => panic!("no test has a default of {other:?}"),
    };
    let check = column.least().map(|least| format!(" CHECK ({name} >= {least})"));
    format!("{name} {kind}{not_null}{default}{}", check.unwrap_or_default())
}

/// How a column is read, so that it comes as text.
fn shown(column: &Column) -> String {
    let name = quoted(column.name());
    match column.kind() {
        ColumnKind::Bytes => format!("HEX({name})"),
        // As text a float has six digits: as a double it has all of its own.
        ColumnKind::Float32 => format!("{name} + 0e0"),
        _ => name,
    }
}

/// What a query shows, as a value of the column's kind.
fn value(column: &Column, text: Option<String>) -> Value {
    let Some(text) = text else { return Value::Null };
    match column.kind() {
        ColumnKind::Bool => Value::Bool(text != "0"),
        ColumnKind::Integer => Value::I64(text.parse().unwrap()),
        ColumnKind::Float32 => Value::F32(text.parse().unwrap()),
        ColumnKind::Float64 => Value::F64(text.parse().unwrap()),
        ColumnKind::Decimal => Value::Decimal(text.as_str().into()),
        ColumnKind::Bytes => bytes(&text).into(),
        ColumnKind::Timestamp => timestamp(&text).into(),
        ColumnKind::Date => date(&text).into(),
        ColumnKind::Time => time(&text).into(),
        _ => Value::from(text),
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn timestamp(text: &str) -> Timestamp {
    let (day, clock) = text.split_once(' ').unwrap();
    Timestamp::from_parts(date(day), time(clock))
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
impl Harness for Server {
    async fn create(&self, table: &Table) {
        self.database.execute(&format!("DROP TABLE IF EXISTS {}", quoted(table.name()))).await;
        self.database.execute(&ddl(table)).await;
    }

    async fn driver(&self) -> Arc<dyn Driver> {
        let config = MysqlConfig::from_url(self.database.url()).unwrap().password(password());
        // One that asks for no password takes none.
        let config = if url().contains(&password()) { config } else { config.password("") };
        let mut config = config.local_infile(true);
        if let Some(way) = self.way {
            config = config.way(way);
        }
        Arc::new(MysqlDriver::connect_with(config).await.unwrap())
    }

    async fn read(&self, table: &Table) -> Vec<Vec<Value>> {
        let mut conn = self.database.connect().await;
        conn.query_drop("SET time_zone = '+00:00'").await.unwrap();
        let columns: Vec<String> = table.columns().iter().map(shown).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), quoted(table.name()));
        let found: Vec<batchflow_mysql::client::Row> = conn.query(sql).await.unwrap();
        let rows = found.into_iter().map(|row| {
            let texts = row.unwrap().into_iter().map(batchflow_mysql::client::from_value);
            table.columns().iter().zip(texts).map(|(column, text)| value(column, text)).collect()
        });
        rows.collect()
    }

    /// Without `Uuid`: MySQL has no such type, and MariaDB's is tested with the types.
    fn kinds(&self) -> Vec<ColumnKind> {
        use ColumnKind::{
            Bool, Bytes, Date, Decimal, Float32, Float64, Integer, Text, Time, Timestamp,
        };
        vec![Bool, Integer, Float32, Float64, Decimal, Text, Bytes, Timestamp, Date, Time]
    }

    fn secrets(&self) -> Vec<String> {
        vec![password()]
    }

    async fn hold_up(&self, table: &Table) -> Option<Hold> {
        let mut conn = self.database.connect().await;
        conn.query_drop(format!("LOCK TABLES {} WRITE", quoted(table.name()))).await.unwrap();
        Some(Box::new(conn))
    }

    async fn cut_connections(&self) -> bool {
        let mut conn = connect(&url()).await;
        for session in sessions(&mut conn, self.database.name()).await.unwrap() {
            // It may have ended by itself.
            let _ = conn.query_drop(format!("KILL CONNECTION {}", session.id)).await;
        }
        true
    }
}
