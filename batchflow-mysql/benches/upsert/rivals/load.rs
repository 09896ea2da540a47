//! `LOAD DATA LOCAL INFILE` from memory into a temporary table in memory, then one statement over
//! it.

use std::fmt::Write as _;

use batchflow_mysql::client::Conn;
use batchflow_mysql::client::prelude::Queryable as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{SIZE, by_commit, commit};
use crate::rows::{COLUMNS, ON_CONFLICT, Row, TYPES};
use crate::server::DATABASE;

pub(crate) async fn upsert(mut conn: Conn, table: String, rows: Vec<Row>) -> Conn {
    let stage = format!("{DATABASE}.stage");
    let create = format!("CREATE TEMPORARY TABLE {stage} ({TYPES}) ENGINE = MEMORY");
    conn.query_drop(create).await.expect("a temporary table can be made");
    by_commit(&mut conn).await;
    let load = format!("LOAD DATA LOCAL INFILE 'rows' INTO TABLE {stage} CHARACTER SET utf8mb4");
    let insert =
        format!("INSERT INTO {table} ({COLUMNS}) SELECT {COLUMNS} FROM {stage} AS s {ON_CONFLICT}");
    for rows in rows.chunks(SIZE) {
        let mut file = String::with_capacity(rows.len() * 64);
        for (id, name, email, hits, score) in rows {
            writeln!(file, "{id}\t{name}\t{email}\t{hits}\t{score}").expect("memory is written");
        }
        let file = Bytes::from(file);
        conn.set_infile_handler(async move { Ok(stream::iter([Ok(file)]).boxed()) });
        conn.query_drop(load.as_str()).await.expect("the file is loaded");
        conn.query_drop(insert.as_str()).await.expect("the rows are written");
        conn.query_drop(format!("DELETE FROM {stage}")).await.expect("the table is emptied");
        commit(&mut conn).await;
    }
    conn.query_drop(format!("DROP TEMPORARY TABLE {stage}")).await.expect("the table was there");
    conn
}
