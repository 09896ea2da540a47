//! A year of real flights and weather through a flow into the server, equal cell by cell, and
//! written twice.

#[path = "../../../batchflow-core/tests/real_rows/mod.rs"]
mod real;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Row, from_value};
use batchflow_mysql::{ConflictStrategy, MysqlConfig, MysqlDriver, Schema, Stats, Way};

use self::real::{FLIGHT, Kind, Rows, data, flights, read};
use crate::support::Database;

fn sql(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "int",
        Kind::Float => "double",
        Kind::Moment => "datetime",
        Kind::Text => "varchar(60) COLLATE utf8mb4_bin",
    }
}

/// The column as the file writes it, but for floats.
fn select(column: &str, kind: Kind) -> String {
    match kind {
        Kind::Moment => format!("DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%sZ')"),
        _ => format!("CAST({column} AS CHAR)"),
    }
}

/// The table must hold, cell by cell, the last row of each key.
async fn compare(file: &Rows, database: &Database, key: &[&str]) {
    let query = format!("SELECT {} FROM real_rows", file.columns(select));
    let stored: Vec<Row> = database.connect().await.query(query).await.unwrap();
    let cells = |row: Row| row.unwrap().into_iter().map(from_value).collect();
    file.compare(stored.into_iter().map(cells), key);
}

async fn load(file: &Rows, database: &Database, schema: &Schema, way: Option<Way>) -> Stats {
    let config = MysqlConfig::from_url(database.url()).unwrap().local_infile(true);
    let config = way.into_iter().fold(config, MysqlConfig::way);
    file.load(MysqlDriver::connect_with(config).await.unwrap(), schema).await
}

/// Writes the rows with this key, twice: the second time, by these ways, changes when they were
/// loaded, and nothing else.
async fn check(file: &Rows, key: &[&str], ways: [Option<Way>; 2]) -> Stats {
    let database = Database::new("real").await;
    let columns = file.columns(|name, kind| format!("{name} {}", sql(kind)));
    let own = format!("loaded_at datetime(6) NOT NULL, PRIMARY KEY ({})", key.join(", "));
    database.execute(&format!("CREATE TABLE real_rows ({columns}, {own})")).await;
    let schema = Schema::builder("real_rows")
        .columns(file.header.iter().map(String::as_str).chain(["loaded_at"]))
        .key(key.to_vec())
        .on_conflict(ConflictStrategy::Update)
        .touch("loaded_at")
        .build()
        .unwrap();
    let first = load(file, &database, &schema, ways[0]).await;
    compare(file, &database, key).await;
    let latest = database.rows("SELECT MAX(loaded_at) FROM real_rows").await.concat();

    let second = load(file, &database, &schema, ways[1]).await;
    assert_eq!(second.submitted, first.submitted);
    compare(file, &database, key).await;
    let stale = format!("SELECT COUNT(*) FROM real_rows WHERE loaded_at <= '{latest}'");
    assert_eq!(database.rows(&stale).await, ["0"]);
    first
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_all_flights_of_a_year_are_in_the_table_and_a_second_load_changes_nothing() {
    let stats = check(&flights(), &FLIGHT, [None, Some(Way::Load)]).await;
    assert_eq!((stats.written, stats.superseded), (336_776, 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_5_the_hour_that_daylight_saving_repeats_keeps_its_last_row() {
    let weather = read(data("weather.csv"));
    let stats =
        check(&weather, &["origin", "year", "month", "day", "hour"], [Some(Way::Rows), None]).await;
    assert_eq!(stats.written + stats.superseded, 26_115);
    let stats = check(&weather, &["origin", "time_hour"], [Some(Way::Bulk), None]).await;
    assert_eq!((stats.written, stats.superseded), (26_115, 0));
}
