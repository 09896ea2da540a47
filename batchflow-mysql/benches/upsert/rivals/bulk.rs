//! MariaDB's bulk command, by `exec_batch`.

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Params};

use super::{SIZE, by_commit, commit, values};
use crate::rows::{COLUMNS, ON_CONFLICT, Row};

pub(crate) async fn upsert(mut conn: Conn, table: String, rows: Vec<Row>) -> Conn {
    let sql = format!("INSERT INTO {table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?) {ON_CONFLICT}");
    by_commit(&mut conn).await;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some = rows.by_ref().take(SIZE).map(|row| Params::Positional(values(row).into()));
        conn.exec_batch(sql.as_str(), some).await.expect("the rows are written");
        commit(&mut conn).await;
    }
    conn
}
