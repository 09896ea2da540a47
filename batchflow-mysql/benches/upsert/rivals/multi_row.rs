//! Prepared inserts of 2,000 rows each.

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Params};

use super::{SIZE, by_commit, commit, values};
use crate::rows::{COLUMNS, ON_CONFLICT, Row};

/// As measured the best size of all.
const ROWS: usize = 2_000;

pub(crate) async fn upsert(mut conn: Conn, table: String, rows: Vec<Row>) -> Conn {
    let text = |rows: usize| {
        let values = vec!["(?, ?, ?, ?, ?)"; rows].join(", ");
        format!("INSERT INTO {table} ({COLUMNS}) VALUES {values} {ON_CONFLICT}")
    };
    let full = text(ROWS);
    by_commit(&mut conn).await;
    let (mut rows, mut since) = (rows.into_iter(), 0);
    while rows.len() > 0 {
        let count = rows.len().min(ROWS);
        let params = rows.by_ref().take(count).flat_map(values).collect();
        let sql = if count == ROWS { full.clone() } else { text(count) };
        conn.exec_drop(sql, Params::Positional(params)).await.expect("the rows are written");
        since += count;
        if since >= SIZE || rows.len() == 0 {
            commit(&mut conn).await;
            since = 0;
        }
    }
    conn
}
