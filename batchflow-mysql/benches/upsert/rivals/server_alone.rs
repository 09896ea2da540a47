//! The server alone: one statement takes the rows from another table and writes them. No client
//! could be much faster.

use batchflow_mysql::client::prelude::Queryable as _;

use super::{SIZE, multi_row};
use crate::rows::{COLUMNS, ON_CONFLICT, Row, narrow_table};
use crate::server::{DATABASE, Server};

/// The table that the rows are taken from.
fn source(pass: usize) -> String {
    format!("{DATABASE}.source_{pass}")
}

/// Puts the rows of a pass where they are taken from.
pub(crate) async fn prepare(server: &Server, pass: usize, rows: Vec<Row>) {
    let table = source(pass);
    server.execute(&narrow_table(&table)).await;
    multi_row::upsert(server.connect().await, table, rows).await;
}

/// Upserts so many rows of the given pass.
pub(crate) async fn upsert(server: &Server, table: &str, count: usize, pass: usize) {
    let mut conn = server.connect().await;
    for first in (0..count).step_by(SIZE) {
        let (from, last) = (source(pass), first + SIZE - 1);
        let sql = format!(
            "INSERT INTO {table} ({COLUMNS}) SELECT {COLUMNS} FROM {from} AS s \
             WHERE id BETWEEN {first} AND {last} {ON_CONFLICT}"
        );
        conn.query_drop(sql).await.expect("the rows are written");
    }
}
