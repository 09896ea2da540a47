//! [`Server`]: what the conformance kit needs to know of a server.

use std::sync::Arc;

use async_trait::async_trait;
use batchflow_core::conformance::{Harness, Hold};
use batchflow_core::testing::{Column, Table};
use batchflow_core::{ColumnKind, Date, Driver, ErrorKind, Time, Timestamp, Value};
use batchflow_postgres::client::{SimpleQueryMessage, SimpleQueryRow};
use batchflow_postgres::{PostgresConfig, PostgresDriver, Way};

use super::support::{connect, direct_url, execute, fresh, is_pooled, password, url};

/// A server, and how drivers write to it.
pub(crate) struct Server {
    way: Option<Way>,
    /// What its drivers call themselves.
    name: String,
}

impl Server {
    pub(crate) fn new(way: Option<Way>) -> Self {
        Self { way, name: fresh("kit") }
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
    format!("CREATE TABLE {} ({})", quoted(table.name()), parts.join(", "))
}

fn column_ddl(column: &Column) -> String {
    let kind = match column.kind() {
        ColumnKind::Bool => "boolean".to_owned(),
        ColumnKind::Integer => "bigint".to_owned(),
        ColumnKind::Float32 => "real".to_owned(),
        ColumnKind::Float64 => "double precision".to_owned(),
        ColumnKind::Decimal => match column.digits() {
            Some(digits) => format!("numeric(38, {digits})"),
            None => "numeric".to_owned(),
        },
        ColumnKind::Bytes => "bytea".to_owned(),
        ColumnKind::Timestamp => "timestamptz".to_owned(),
        ColumnKind::Date => "date".to_owned(),
        ColumnKind::Time => "time".to_owned(),
        ColumnKind::Uuid => "uuid".to_owned(),
        _ => "text".to_owned(),
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

/// What a query shows, as a value of the column's kind.
fn value(column: &Column, row: &SimpleQueryRow, at: usize) -> Value {
    let Some(text) = row.get(at) else { return Value::Null };
    match column.kind() {
        ColumnKind::Bool => Value::Bool(text == "t"),
        ColumnKind::Integer => Value::I64(text.parse().unwrap()),
        ColumnKind::Float32 => Value::F32(text.parse().unwrap()),
        ColumnKind::Float64 => Value::F64(text.parse().unwrap()),
        ColumnKind::Decimal => Value::Decimal(text.into()),
        ColumnKind::Bytes => bytes(text.strip_prefix("\\x").unwrap()).into(),
        ColumnKind::Uuid => Value::Uuid(bytes(&text.replace('-', "")).try_into().unwrap()),
        ColumnKind::Timestamp => timestamp(text).into(),
        ColumnKind::Date => date(text).into(),
        ColumnKind::Time => time(text).into(),
        _ => Value::from(text),
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn timestamp(text: &str) -> Timestamp {
    let (day, clock) = text.split_once(' ').unwrap();
    Timestamp::from_parts(date(day), time(clock.strip_suffix("+00").unwrap()))
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

/// A driver. A pooler may hand out a connection that another test has just had cut.
async fn connected(config: PostgresConfig) -> PostgresDriver {
    let mut tries = if is_pooled() { 20 } else { 1 };
    loop {
        match PostgresDriver::connect_with(config.clone()).await {
            Ok(driver) => return driver,
            Err(error) if tries == 1 || error.kind() != ErrorKind::Connection => {
                panic!("cannot connect: {error}")
            }
            Err(_) => tries -= 1,
        }
    }
}

#[async_trait]
impl Harness for Server {
    async fn create(&self, table: &Table) {
        let name = quoted(table.name());
        execute(&direct_url(), &format!("DROP TABLE IF EXISTS {name}; {};", ddl(table))).await;
    }

    async fn driver(&self) -> Arc<dyn Driver> {
        let config = PostgresConfig::from_url(&url()).unwrap();
        let mut config = config.password(password()).application_name(&self.name);
        if let Some(way) = self.way {
            config = config.way(way);
        }
        Arc::new(connected(config).await)
    }

    async fn read(&self, table: &Table) -> Vec<Vec<Value>> {
        let client = connect(&direct_url()).await;
        let sql = format!(
            "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'; \
             SELECT * FROM {}",
            quoted(table.name())
        );
        let messages = client.simple_query(&sql).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let columns = table.columns().iter().enumerate();
        rows.map(|row| columns.clone().map(|(at, column)| value(column, row, at)).collect())
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        vec![password()]
    }

    async fn hold_up(&self, table: &Table) -> Option<Hold> {
        let client = connect(&direct_url()).await;
        let lock = format!("BEGIN; LOCK TABLE {} IN EXCLUSIVE MODE", quoted(table.name()));
        client.batch_execute(&lock).await.unwrap();
        Some(Box::new(client))
    }

    async fn cut_connections(&self) -> bool {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = '{}' AND pid <> pg_backend_pid()",
            self.name
        );
        execute(&direct_url(), &sql).await;
        true
    }
}
