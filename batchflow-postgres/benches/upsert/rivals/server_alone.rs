//! The server alone: one statement makes the rows and writes them. No client could be faster.

use batchflow_postgres::client::Client;

use crate::rows::{COLUMNS, ON_CONFLICT};

/// Upserts so many rows of the given pass, as [`crate::rows::narrow`] makes them.
pub(crate) async fn upsert(client: &Client, table: &str, count: usize, pass: usize) {
    let last = count - 1;
    let sql = format!(
        "INSERT INTO {table} ({COLUMNS}) SELECT id, 'user number ' || id + {pass}, \
         'user' || id || '@example.com', id % 97 + {pass}, id::float8 / 2 \
         FROM generate_series(0::bigint, {last}) id {ON_CONFLICT}"
    );
    client.execute(&sql, &[]).await.expect("the rows are written");
}
