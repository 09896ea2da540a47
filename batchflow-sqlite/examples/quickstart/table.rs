//! The table: made before the rows are sent, checked after.

use std::collections::HashMap;
use std::path::Path;

use batchflow_sqlite::client::types::{self, ValueRef};
use batchflow_sqlite::client::{Connection, params_from_iter};

use crate::options::Options;
use crate::rows::{Kind, Rows};
use crate::{Error, Value};

/// Makes the table.
pub(crate) fn create(rows: &Rows, options: &Options) -> Result<(), Error> {
    let db = options.db();
    let refuse = |error: &dyn std::error::Error| format!("cannot write {}: {error}", db.display());
    if options.is_default_db() {
        for suffix in ["", "-wal", "-shm"] {
            match std::fs::remove_file(format!("{}{suffix}", db.display())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(refuse(&error).into());
                }
                _ => {}
            }
        }
    }
    let connection = Connection::open(db).map_err(|error| refuse(&error))?;
    if connection.table_exists(None, rows.table.as_str()).map_err(|error| refuse(&error))? {
        let (db, table) = (db.display(), &rows.table);
        return Err(format!("{db} has a table {table} already: give another --db").into());
    }
    let columns = rows.columns.iter().zip(&rows.kinds).map(|(column, kind)| {
        let kind = match kind {
            Kind::Integer => "INTEGER",
            Kind::Float => "REAL",
            Kind::Text => "TEXT",
        };
        format!("{} {kind}", quoted(column))
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let key = rows.key_names().map(quoted).collect::<Vec<_>>().join(", ");
    let table = quoted(&rows.table);
    let sql = format!("CREATE TABLE {table} ({columns}, PRIMARY KEY ({key}))");
    connection.execute(&sql, []).map_err(|error| refuse(&error))?;
    Ok(())
}

/// What the table was found to hold.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) rows: i64,
    pub(crate) nulls: u64,
}

/// Compares the table with the rows, cell by cell: of each key, the last row stands.
pub(crate) fn check(rows: &Rows, db: &Path) -> Result<Found, Error> {
    let mut last = HashMap::new();
    for (number, record) in rows.read()?.enumerate() {
        let values: Vec<Value> = rows.values(&record?).collect();
        last.insert(key_text(rows, &values), number);
    }
    let connection = Connection::open(db)?;
    let table = quoted(&rows.table);
    let count = format!("SELECT count(*) FROM {table}");
    let mut found = Found { rows: connection.query_row(&count, [], |row| row.get(0))?, nulls: 0 };
    if usize::try_from(found.rows) != Ok(last.len()) {
        return Err(format!("{} rows in the table, {} keys", found.rows, last.len()).into());
    }
    let columns = rows.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
    let key = rows.key_names().map(|name| format!("{} = ?", quoted(name)));
    let key = key.collect::<Vec<_>>().join(" AND ");
    let mut select = connection.prepare(&format!("SELECT {columns} FROM {table} WHERE {key}"))?;
    for (number, record) in rows.read()?.enumerate() {
        let values: Vec<Value> = rows.values(&record?).collect();
        if last.get(&key_text(rows, &values)) != Some(&number) {
            continue;
        }
        let key = rows.key.iter().map(|&at| sql_value(&values[at]));
        let mut stored = select.query(params_from_iter(key))?;
        let Some(stored) = stored.next()? else {
            return Err(format!("row {} is not in the table", number + 1).into());
        };
        for (at, value) in values.iter().enumerate() {
            if stored.get_ref(at)? != ValueRef::from(&sql_value(value)) {
                let column = &rows.columns[at];
                return Err(format!("row {}, column {column:?}: not as given", number + 1).into());
            }
            found.nulls += u64::from(value.is_null());
        }
    }
    Ok(found)
}

/// The key as text that tells two keys apart.
fn key_text(rows: &Rows, values: &[Value]) -> String {
    let parts = rows.key.iter().map(|&at| format!("{:?}", sql_value(&values[at])));
    parts.collect::<Vec<_>>().join(",")
}

fn sql_value(value: &Value) -> types::Value {
    match value {
        Value::I64(value) => types::Value::Integer(*value),
        Value::F64(value) => types::Value::Real(*value),
        Value::Text(value) => types::Value::Text(value.to_string()),
        _ => types::Value::Null,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
