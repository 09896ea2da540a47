//! A single row whose repetition is harmless goes in one round trip, and fares as any other.

use std::time::Duration;

use batchflow_core::{
    Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Report, ShowValues, WriteError,
};
use batchflow_postgres::{PostgresConfig, PostgresDriver, Schema};
use tokio::time::Instant;

use crate::support::servers::Servers;
use crate::support::{connect, execute, fresh, is_pooled, rows, url};

/// A driver of one connection, and one whose connections are not its own to know.
async fn drivers(url: &str) -> [PostgresDriver; 2] {
    let config = PostgresConfig::from_url(url).unwrap().pool_size(1);
    let manager =
        deadpool_postgres::Manager::new(url.parse().unwrap(), batchflow_postgres::client::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(1).build().unwrap();
    [PostgresDriver::connect_with(config).await.unwrap(), PostgresDriver::from_pool(pool)]
}

/// Writes one row, by the way that is expected of the driver.
async fn write(
    driver: &PostgresDriver,
    schema: &Schema,
    row: (i32, Option<i64>),
    way: &str,
) -> Result<Report, WriteError> {
    let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_secs(20));
    let batch = Batch::from_requests(vec![schema.row(row).unwrap()]).unwrap();
    let written = driver.write(batch, &attempt).await;
    assert_eq!(attempt.way(), Some(way), "{written:?}");
    written
}

/// The way of a single row on a connection of the driver's own.
fn at_once() -> &'static str {
    if is_pooled() { "unnest" } else { "at once" }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_refused_row_has_the_error_that_it_has_in_a_transaction() {
    let cases = [
        ("CHECK (n > 0)", -1, ErrorKind::Constraint),
        ("UNIQUE", 7, ErrorKind::DuplicateKey),
        ("UNIQUE DEFERRABLE INITIALLY DEFERRED", 7, ErrorKind::DuplicateKey),
        ("REFERENCES known DEFERRABLE INITIALLY DEFERRED", 8, ErrorKind::Constraint),
        ("CHECK (n / 0 > 0)", 1, ErrorKind::Data),
    ];
    for (constraint, refused, kind) in cases {
        let (table, known) = (fresh("refused"), fresh("known"));
        let constraint = constraint.replace("known", &known);
        let create = format!(
            "CREATE TABLE {known} (n bigint PRIMARY KEY); INSERT INTO {known} VALUES (7), (9); \
             CREATE TABLE {table} (id int PRIMARY KEY, n bigint {constraint})"
        );
        execute(&url(), &create).await;
        let schema = Schema::new(&*table, ConflictStrategy::Update, ["id", "n"]).unwrap();
        let mut told = Vec::new();
        for (driver, way) in drivers(&url()).await.into_iter().zip([at_once(), "unnest"]) {
            if !constraint.contains('/') {
                write(&driver, &schema, (1, Some(7)), way).await.unwrap();
            }
            let error = write(&driver, &schema, (2, Some(refused)), way).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{constraint}, {way}: {error}");
            told.push((error.code().map(str::to_owned), error.applied(), error.is_still_running()));
            // The connection goes on.
            if !constraint.contains('/') {
                write(&driver, &schema, (1, Some(7)), way).await.unwrap();
            }
            driver.close().await;
        }
        assert_eq!(told[0], told[1], "{constraint}");
        let found = rows(&connect(&url()).await, &format!("SELECT id FROM {table}")).await;
        let expected: &[&str] = if constraint.contains('/') { &[] } else { &["1"] };
        assert_eq!(found, expected, "{constraint}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_table_that_changes_between_two_rows_takes_both() {
    let changes = [
        "ALTER TABLE t ALTER n TYPE numeric(9, 2)",
        "ALTER TABLE t ALTER n TYPE text",
        "ALTER TABLE t ALTER id TYPE bigint, ADD late int NOT NULL DEFAULT 3",
        "ALTER TABLE t DROP n; ALTER TABLE t ADD n bigint",
        "DROP TABLE t; CREATE TABLE t (n int, id bigint PRIMARY KEY)",
        "DROP INDEX t_key; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id)",
    ];
    for change in changes {
        let table = fresh("altered");
        let change = change.replace("t_key", &format!("{table}_key"));
        let change = change.replace("t_pkey", &format!("{table}_pkey"));
        let change = change.replace(" t ", &format!(" {table} "));
        let change = change.replace("TABLE t;", &format!("TABLE {table};"));
        let create = format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, n bigint); \
             CREATE UNIQUE INDEX {table}_key ON {table} (id)"
        );
        execute(&url(), &create).await;
        let schema = Schema::new(&*table, ConflictStrategy::Replace, ["id", "n"]).unwrap();
        let [driver, _] = drivers(&url()).await;
        for id in 0..8 {
            write(&driver, &schema, (id, Some(5)), at_once()).await.unwrap();
        }
        execute(&url(), &change).await;
        for id in 1..9 {
            let written = write(&driver, &schema, (id, Some(6)), at_once()).await;
            written.unwrap_or_else(|error| panic!("{change}: {error}"));
        }
        let count = format!("SELECT count(*) FROM {table} WHERE n::text::float8 = 6");
        assert_eq!(rows(&connect(&url()).await, &count).await, ["8"], "{change}");
        execute(&url(), &format!("ALTER TABLE {table} DROP n CASCADE")).await;
        let error = write(&driver, &schema, (1, Some(6)), at_once()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{change}: {error}");
        driver.close().await;
    }
}

/// A trigger may do to the session what it likes.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_session_that_lost_its_statements_writes_on() {
    let table = fresh("forgetful");
    let create = format!(
        "CREATE TABLE {table} (id int PRIMARY KEY, n bigint); \
         CREATE FUNCTION {table}_f() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN NEW; END $$; \
         CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_f()"
    );
    execute(&url(), &create).await;
    let schema = Schema::new(&*table, ConflictStrategy::Ignore, ["id", "n"]).unwrap();
    let [driver, _] = drivers(&url()).await;
    let mut ways = Vec::new();
    for id in 0..6 {
        let attempt = Attempt::new();
        let batch = Batch::from_requests(vec![schema.row((id, 1_i64)).unwrap()]).unwrap();
        driver.write(batch, &attempt).await.unwrap();
        ways.extend(attempt.way());
    }
    let expected = [at_once(), "unnest"].repeat(3);
    assert_eq!(ways, expected, "each is prepared anew, and falls back once");
    let count = format!("SELECT count(*) FROM {table}");
    assert_eq!(rows(&connect(&url()).await, &count).await, ["6"]);
    driver.close().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_preview_shows_the_one_statement_where_one_is_sent() {
    let table = fresh("shown");
    execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY, n bigint)")).await;
    let schema = Schema::new(&*table, ConflictStrategy::Ignore, ["id", "n"]).unwrap();
    for (driver, way) in drivers(&url()).await.into_iter().zip([at_once(), "unnest"]) {
        write(&driver, &schema, (1, Some(1)), way).await.unwrap();
        let batch = Batch::from_requests(vec![schema.row((2, 1_i64)).unwrap()]).unwrap();
        let preview = driver.preview(&batch, ShowValues::No).await.unwrap();
        assert_eq!(preview.statements.len(), if way == "unnest" { 3 } else { 1 }, "{way}");
        driver.close().await;
    }
}

/// What the session is told for attempts with a deadline is nothing to those without.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_row_without_a_deadline_has_all_the_time_that_it_takes() {
    for strategy in [ConflictStrategy::Ignore, ConflictStrategy::Fail] {
        let table = fresh("slow");
        let create = format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, n bigint); \
             CREATE FUNCTION {table}_f() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_sleep(NEW.n / 1000.0); RETURN NEW; END $$; \
             CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_f()"
        );
        execute(&url(), &create).await;
        let [driver, _] = drivers(&url()).await;
        let ignore = Schema::new(&*table, ConflictStrategy::Ignore, ["id", "n"]).unwrap();
        let schema = Schema::new(&*table, strategy, ["id", "n"]).unwrap();
        let batch = |schema: &Schema, id: i32, n: i64| {
            Batch::from_requests(vec![schema.row((id, n)).unwrap()]).unwrap()
        };
        let soon = || Attempt::new().with_deadline(Instant::now() + Duration::from_millis(500));
        driver.write(batch(&ignore, 1, 0), &soon()).await.unwrap();
        let error = driver.write(batch(&ignore, 2, 60_000), &soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{strategy:?}: {error}");
        driver.write(batch(&schema, 3, 700), &Attempt::new()).await.unwrap();
        let found = rows(&connect(&url()).await, &format!("SELECT id FROM {table}")).await;
        assert_eq!(found, ["1", "3"], "{strategy:?}");
        driver.close().await;
    }
}

/// Who may not know the backend does without.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_user_who_may_not_know_the_backend_writes_in_transactions() {
    let server = Servers::connect().server("").await;
    let prepare = "CREATE TABLE t (id int PRIMARY KEY, n bigint); \
                   REVOKE EXECUTE ON FUNCTION pg_catalog.pg_stat_get_activity(int) FROM PUBLIC; \
                   CREATE ROLE writer LOGIN PASSWORD 'x'; GRANT ALL ON t TO writer";
    execute(&server.url, prepare).await;
    let config = PostgresConfig::from_url(&server.url).unwrap().user("writer").password("x");
    let driver = PostgresDriver::connect_with(config).await.unwrap();
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id", "n"]).unwrap();
    for id in 1..3 {
        write(&driver, &schema, (id, None), "unnest").await.unwrap();
    }
    assert_eq!(rows(&connect(&server.url).await, "SELECT count(*) FROM t").await, ["2"]);
    driver.close().await;
}
