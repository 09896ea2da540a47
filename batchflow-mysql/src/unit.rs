//! A server for unit tests of what the crate keeps to itself, and tables that are on none.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};

use batchflow_core::Comparison;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Opts, OptsBuilder};

use crate::server::{Known, Server};
use crate::table::{Table, TableColumn, UniqueKey};
use crate::types::{ColumnType, TypeKind};

/// What a driver's sessions have: as strict as the server gets, and UTC.
const SESSION: &str = "SET sql_mode = 'STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,\
                       NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,\
                       NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', NAMES utf8mb4";

/// A connection to the server that `BATCHFLOW_MYSQL_URL` names, in a database of its own, and what
/// the server is.
pub(crate) async fn connect() -> (Conn, Server) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut conn = open().await;
    let database = format!("batchflow_unit_{}_{number}", std::process::id());
    run(&mut conn, &format!("DROP DATABASE IF EXISTS {database}")).await;
    run(&mut conn, &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")).await;
    run(&mut conn, &format!("USE {database}")).await;
    let server = Known::read(&mut conn, true).await.expect("a server").server;
    (conn, server)
}

/// A connection as a driver's are, in no database.
pub(crate) async fn open() -> Conn {
    let url = std::env::var("BATCHFLOW_MYSQL_URL").expect("BATCHFLOW_MYSQL_URL");
    let opts = OptsBuilder::from_opts(Opts::from_url(&url).expect("a URL"))
        .prefer_socket(false)
        .stmt_cache_size(0);
    let mut conn = Conn::new(opts).await.expect("a connection");
    run(&mut conn, SESSION).await;
    conn
}

/// Drops what [`connect`] made.
pub(crate) async fn clean_up(mut conn: Conn) {
    let database = texts(&mut conn, "SELECT DATABASE()").await.unwrap().remove(0).unwrap();
    run(&mut conn, &format!("DROP DATABASE {database}")).await;
    conn.disconnect().await.unwrap();
}

/// Runs statements that must succeed, each ended by a semicolon at a line's end.
pub(crate) async fn run(conn: &mut Conn, sql: &str) {
    for statement in sql.split(";\n") {
        if let Err(error) = conn.query_drop(statement).await {
            panic!("{statement}: {error:?}");
        }
    }
}

/// The first column of each row, as text.
pub(crate) async fn texts(conn: &mut Conn, sql: &str) -> Result<Vec<Option<String>>, Error> {
    conn.query(sql).await
}

/// A type by its name without and with lengths.
pub(crate) fn ty(sql: &str, kind: TypeKind) -> ColumnType {
    ColumnType { sql: sql.to_owned(), kind }
}

/// An ordinary table, of columns of these names and types, that allows everything; its primary key
/// is its first column.
pub(crate) fn table(name: &str, columns: &[(&str, &str, TypeKind)]) -> Table {
    let column = |(name, sql, kind): &(&str, &str, TypeKind)| TableColumn {
        name: (*name).to_owned(),
        ty: ty(sql, kind.clone()),
        not_null: false,
        refuses_null: false,
        has_default: false,
        generated: false,
        auto_increment: false,
        charset: Some("utf8mb4".to_owned()),
        comparison: Comparison::Natural,
    };
    Table {
        name: format!("`db`.`{name}`"),
        columns: columns.iter().map(column).collect(),
        other_unique_keys: false,
        may_stage: true,
        unique_keys: vec![UniqueKey { name: "PRIMARY".to_owned(), columns: vec![0] }],
    }
}
