//! The table: made before the rows are sent, checked after.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{self, Conn, Opts, Row};

use crate::options::Options;
use crate::rows::{Kind, Rows};
use crate::{Error, Value};

/// The table, and a connection past the driver to make and check it.
pub(crate) struct Table {
    pub(crate) name: String,
    conn: Conn,
}

impl Table {
    /// Makes the table.
    pub(crate) async fn create(rows: &Rows, options: &Options) -> Result<Self, Error> {
        let opts = Opts::from_url(&options.url)?;
        let mut conn = Conn::new(opts).await.map_err(told)?;
        let name = options.table(rows);
        let table = quoted_table(&name);
        if options.is_default_table() {
            conn.query_drop(format!("DROP TABLE IF EXISTS {table}")).await.map_err(told)?;
        }
        let columns = rows.columns.iter().zip(&rows.kinds).enumerate();
        let columns = columns.map(|(at, (column, kind))| {
            let kind = match kind {
                Kind::Integer => "bigint",
                Kind::Float => "double",
                // A key is no longer than 3,072 bytes, and compares as bytes do.
                Kind::Text if rows.key.contains(&at) => "varchar(150) COLLATE utf8mb4_bin",
                Kind::Text => "text",
            };
            format!("{} {kind}", quoted(column))
        });
        let (columns, key) = (columns.collect::<Vec<_>>().join(", "), list(rows.key_names()));
        let sql = format!(
            "CREATE TABLE {table} ({columns}, PRIMARY KEY ({key})) ENGINE = InnoDB \
             DEFAULT CHARACTER SET utf8mb4"
        );
        conn.query_drop(sql).await.map_err(told)?;
        Ok(Self { name, conn })
    }

    /// Compares the table with the rows, cell by cell: of each key, the last row stands.
    pub(crate) async fn check(&mut self, rows: &Rows) -> Result<Found, Error> {
        // Of a row only this is kept: what its key and its cells come to.
        let mut given = HashMap::new();
        for record in rows.read()? {
            let record = record?;
            let cells: Vec<Cell> = rows.values(&record).map(Cell::from).collect();
            given.insert(sum(rows.key.iter().map(|&at| &cells[at])), sum(&cells));
        }
        let columns = list(rows.columns.iter().map(String::as_str));
        let select = format!("SELECT {columns} FROM {}", quoted_table(&self.name));
        let mut stored = self.conn.exec_iter(select, ()).await.map_err(told)?;
        let mut found = Found { rows: 0, nulls: 0 };
        while let Some(row) = stored.next().await.map_err(told)? {
            let cells: Vec<Cell> = Row::unwrap(row).into_iter().map(Cell::from).collect();
            let key = sum(rows.key.iter().map(|&at| &cells[at]));
            if given.remove(&key) != Some(sum(&cells)) {
                let key: Vec<_> = rows.key.iter().map(|&at| &cells[at]).collect();
                return Err(format!("the row of key {key:?} is not as given").into());
            }
            found.rows += 1;
            found.nulls += cells.iter().filter(|cell| **cell == Cell::Null).count();
        }
        match given.len() {
            0 => Ok(found),
            missing => Err(format!("{missing} rows are not in the table").into()),
        }
    }
}

/// What the table was found to hold.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) rows: usize,
    pub(crate) nulls: usize,
}

/// A cell, given or stored.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Cell {
    Null,
    Integer(i64),
    /// Its bits: a cell is the same or it is not.
    Float(u64),
    Text(Vec<u8>),
    Other(String),
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::I64(value) => Self::Integer(value),
            Value::F64(value) => Self::Float(value.to_bits()),
            Value::Text(value) => Self::Text(value.as_bytes().to_vec()),
            other => Self::Other(format!("{other:?}")),
        }
    }
}

impl From<client::Value> for Cell {
    fn from(value: client::Value) -> Self {
        match value {
            client::Value::NULL => Self::Null,
            client::Value::Int(value) => Self::Integer(value),
            client::Value::Double(value) => Self::Float(value.to_bits()),
            client::Value::Bytes(value) => Self::Text(value),
            other => Self::Other(format!("{other:?}")),
        }
    }
}

fn sum<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> u64 {
    let mut hasher = DefaultHasher::new();
    cells.into_iter().for_each(|cell| cell.hash(&mut hasher));
    hasher.finish()
}

/// What the server says in one line; else what the client says.
#[allow(clippy::needless_pass_by_value, reason = "it is called by map_err")]
fn told(error: client::Error) -> String {
    match error {
        client::Error::Server(server) => server.message,
        error => error.to_string(),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

/// `app.weather` names the database, as in a [`Schema`](batchflow_mysql::Schema).
fn quoted_table(name: &str) -> String {
    name.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
