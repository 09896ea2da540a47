//! What the tests share: batches by hand, and reading tables back.
#![allow(dead_code, reason = "each test file uses its own part")]

use batchflow_sqlite::{
    Attempt, Batch, Driver, Report, Request, Schema, SqliteDriver, Value, WriteError,
};

pub(crate) async fn memory(sql: &str) -> SqliteDriver {
    let driver = SqliteDriver::in_memory().unwrap();
    driver.execute(sql).await.unwrap();
    driver
}

pub(crate) async fn write(driver: &SqliteDriver, rows: Vec<Request>) -> Result<Report, WriteError> {
    driver.write(Batch::from_requests(rows).unwrap(), &Attempt::new()).await
}

pub(crate) fn schema(builder: batchflow_sqlite::SchemaBuilder) -> Schema {
    builder.build().unwrap()
}

/// A table's rows as text: `1|Ada|NULL`.
pub(crate) async fn table(driver: &SqliteDriver, sql: &str) -> Vec<String> {
    let rows = driver.query(sql).await.unwrap();
    rows.iter().map(|row| row.iter().map(show).collect::<Vec<_>>().join("|")).collect()
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::I64(v) => v.to_string(),
        Value::F64(v) => format!("{v:?}"),
        Value::Text(v) => v.to_string(),
        Value::Bytes(v) => format!("{v:02x?}").replace(['[', ']', ',', ' '], ""),
        other => format!("{other:?}"),
    }
}
