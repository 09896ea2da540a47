//! A year of real flights and weather through a flow into the server, equal cell by cell, and
//! written twice.

#[path = "../../../batchflow-core/tests/real_rows/mod.rs"]
mod real;

use batchflow_postgres::client::SimpleQueryMessage;
use batchflow_postgres::{ConflictStrategy, PostgresDriver, Schema, Stats};

use self::real::{FLIGHT, Kind, Rows, data, flights, read};
use crate::support::{connect, execute, fresh, rows, url};

fn sql(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "integer",
        Kind::Float => "double precision",
        Kind::Moment => "timestamptz",
        Kind::Text => "text",
    }
}

/// The column as the file writes it, but for floats.
fn select(column: &str, kind: Kind) -> String {
    match kind {
        Kind::Moment => {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
        }
        _ => format!("{column}::text"),
    }
}

/// The table must hold, cell by cell, the last row of each key.
async fn compare(file: &Rows, table: &str, key: &[&str]) {
    let query = format!("SELECT {} FROM {table}", file.columns(select));
    let messages = connect(&url()).await.simple_query(&query).await.unwrap();
    let stored = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
        }
        _ => None,
    });
    file.compare(stored, key);
}

/// Writes the rows with this key, twice: the second time changes when they were loaded, and
/// nothing else.
async fn check(file: &Rows, key: &[&str]) -> Stats {
    let table = fresh("real");
    let client = connect(&url()).await;
    let columns = file.columns(|name, kind| format!("{name} {}", sql(kind)));
    let own = format!("loaded_at timestamptz NOT NULL, PRIMARY KEY ({})", key.join(", "));
    execute(&url(), &format!("CREATE TABLE {table} ({columns}, {own})")).await;
    let schema = Schema::builder(&table)
        .columns(file.header.iter().map(String::as_str).chain(["loaded_at"]))
        .key(key.to_vec())
        .on_conflict(ConflictStrategy::Update)
        .touch("loaded_at")
        .build()
        .unwrap();
    let first = file.load(PostgresDriver::connect(&url()).await.unwrap(), &schema).await;
    compare(file, &table, key).await;
    let latest = rows(&client, &format!("SELECT max(loaded_at) FROM {table}")).await.concat();

    let second = file.load(PostgresDriver::connect(&url()).await.unwrap(), &schema).await;
    assert_eq!(second.submitted, first.submitted);
    compare(file, &table, key).await;
    let stale = format!("SELECT count(*) FROM {table} WHERE loaded_at <= '{latest}'");
    assert_eq!(rows(&client, &stale).await, ["0"]);
    execute(&url(), &format!("DROP TABLE {table}")).await;
    first
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_1_all_flights_of_a_year_are_in_the_table_and_a_second_load_changes_nothing() {
    let stats = check(&flights(), &FLIGHT).await;
    assert_eq!((stats.written, stats.superseded), (336_776, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_5_the_hour_that_daylight_saving_repeats_keeps_its_last_row() {
    let weather = read(data("weather.csv"));
    let stats = check(&weather, &["origin", "year", "month", "day", "hour"]).await;
    assert_eq!(stats.written + stats.superseded, 26_115);
    let stats = check(&weather, &["origin", "time_hour"]).await;
    assert_eq!((stats.written, stats.superseded), (26_115, 0));
}
