//! A server for unit tests of what the crate keeps to itself, and tables that are on none.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use batchflow_core::Comparison;
use bytes::BytesMut;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::table::{Identity, Table, TableColumn};
use crate::types::{ColumnType, TypeKind};

/// A connection to the server that `BATCHFLOW_POSTGRES_URL` names, in a schema of its own.
pub(crate) async fn connect() -> Client {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let url = std::env::var("BATCHFLOW_POSTGRES_URL").expect("BATCHFLOW_POSTGRES_URL");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("unit_{}_{number}", std::process::id());
    run(&client, &format!("CREATE SCHEMA {schema}; SET search_path = {schema}, public")).await;
    run(&client, "SET TimeZone = 'UTC'; SET client_min_messages = warning").await;
    client
}

/// Whether that server is reached through a pooler in transaction mode.
pub(crate) fn is_pooled() -> bool {
    let url = |name: &str| std::env::var(name).ok();
    url("BATCHFLOW_POSTGRES_DIRECT_URL")
        .is_some_and(|direct| url("BATCHFLOW_POSTGRES_URL").is_some_and(|shared| shared != direct))
}

/// Whether the server has an extension, which is then there; a loud line where not.
pub(crate) async fn has_extension(client: &Client, name: &str) -> bool {
    let ask = format!("SELECT 1 FROM pg_available_extensions WHERE name = '{name}'");
    let is_there = !column(client, &ask).await.expect("an answer").is_empty();
    if is_there {
        // One at a time: tests run side by side, and the extension is the database's.
        let make = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(811); \
             CREATE EXTENSION IF NOT EXISTS {name} SCHEMA public; COMMIT"
        );
        run(client, &make).await;
    } else {
        println!("NOT RUN: {name}: the server is built without it");
    }
    is_there
}

/// Whether the server could make a collation of ICU's; a loud line where it is built without.
pub(crate) async fn made_icu_collation(client: &Client, sql: &str) -> bool {
    match client.batch_execute(sql).await {
        Ok(()) => true,
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            println!("NOT RUN: ICU's collations: the server is built without them");
            false
        }
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

/// Drops what [`connect`] made.
pub(crate) async fn clean_up(client: Client) {
    run(&client, "DO $$ BEGIN EXECUTE 'DROP SCHEMA ' || current_schema() || ' CASCADE'; END $$")
        .await;
}

/// Runs statements that must succeed.
pub(crate) async fn run(client: &Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql).await {
        panic!("{sql}: {error:?}");
    }
}

/// The first column of each row, as text.
pub(crate) async fn column(
    client: &Client,
    sql: &str,
) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
        _ => None,
    });
    Ok(rows.collect())
}

/// A parameter that is encoded already.
#[derive(Debug)]
pub(crate) struct Encoded(pub(crate) BytesMut);

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// An ordinary table, of columns of these names and types, that allows everything.
pub(crate) fn table(name: &str, columns: &[(&str, &str, TypeKind)]) -> Table {
    let column = |(name, sql, kind): &(&str, &str, TypeKind)| {
        let cast = sql.split('(').next().unwrap_or_default().to_owned();
        TableColumn {
            name: (*name).to_owned(),
            ty: ColumnType { oid: 23, sql: (*sql).to_owned(), cast, kind: kind.clone() },
            not_null: false,
            refuses_null: false,
            has_default: false,
            generated: false,
            identity: Identity::None,
            comparison: Comparison::Natural,
        }
    };
    Table {
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
        layout: (0..columns.len()).map(Some).collect(),
        row_security: false,
        may_copy: true,
        may_stage: true,
    }
}
