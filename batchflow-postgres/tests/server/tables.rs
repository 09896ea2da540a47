//! Tables that change, users that may not, sessions with settings of their own.

use std::sync::Arc;

use async_trait::async_trait;
use batchflow_core::{Attempt, ConflictStrategy, Driver, ErrorKind, ShowValues};
use batchflow_postgres::client::error::SqlState;
use batchflow_postgres::client::{Client, NoTls};
use batchflow_postgres::{
    Batch, ConnectionSource, Lease, PostgresConfig, PostgresDriver, Request, Schema, Way,
    WriteError,
};

use crate::support::servers::Servers;
use crate::support::{connect, execute, fresh, rows, url};
use crate::ways::{driver, write};

const WAYS: [Way; 3] = [Way::Unnest, Way::Copy, Way::Stage];

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn an_altered_table_is_looked_up_again() {
    for way in WAYS {
        let table = fresh("altered");
        execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY, n smallint)")).await;
        let driver = driver(Some(way)).await;
        let schema = Schema::new(&table, ConflictStrategy::Fail, ["id", "n"]).unwrap();
        let row = |id: i32, n: i64| Request::new(&schema).set("id", id).set("n", n);
        write(&driver, vec![row(1, 1)]).await.unwrap();
        let alter = [
            "ALTER n TYPE text USING n::text",
            "ALTER n TYPE bigint USING n::bigint",
            "DROP n, ADD n numeric(9, 2)",
            "ALTER n TYPE int8",
            "ALTER n TYPE float8",
        ];
        for (id, alter) in (2..).zip(alter) {
            execute(&url(), &format!("ALTER TABLE {table} {alter}")).await;
            let written = write(&driver, vec![row(id, 7)]).await;
            written.unwrap_or_else(|error| panic!("{way:?}, {alter}: {error}"));
        }
        let client = connect(&url()).await;
        let sql = format!("SELECT n FROM {table} WHERE id > 3");
        assert_eq!(rows(&client, &sql).await, ["7", "7", "7"], "{way:?}");
        // Refused by what was known, taken by what is: looked up again once a second has passed.
        execute(&url(), &format!("ALTER TABLE {table} ALTER n TYPE smallint")).await;
        write(&driver, vec![row(8, 8)]).await.unwrap();
        execute(&url(), &format!("ALTER TABLE {table} ALTER n TYPE bigint")).await;
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        let written = write(&driver, vec![row(9, i64::MAX)]).await;
        written.unwrap_or_else(|error| panic!("{way:?}: {error}"));
        execute(&url(), &format!("DROP TABLE {table}")).await;
        let error = write(&driver, vec![row(10, 1)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{way:?}: {error}");
        driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn an_attempt_tells_by_which_table_it_writes() {
    for way in WAYS {
        let table = fresh("told");
        execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY, n text)")).await;
        let driver = driver(Some(way)).await;
        let schema = Schema::new(&table, ConflictStrategy::Fail, ["id", "n"]).unwrap();
        let alter = [("ALTER n TYPE bigint USING n::bigint", true), ("ADD other int", false)];
        let mut known = driver.describe(&schema).await.unwrap().fingerprint();
        for (id, (alter, changed)) in
            (0..).zip([("ADD further int", false)].into_iter().chain(alter))
        {
            execute(&url(), &format!("ALTER TABLE {table} {alter}")).await;
            let row = Request::new(&schema).set("id", id).set("n", 7);
            let attempt = Attempt::new();
            let batch = Batch::from_requests(vec![row]).unwrap();
            driver.write(batch, &attempt).await.unwrap();
            let table = attempt.table().unwrap();
            assert_eq!(table != known, changed, "{way:?}: {alter}");
            known = driver.describe(&schema).await.unwrap().fingerprint();
            assert_eq!(table, known, "{way:?}: {alter}");
        }
        driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn rows_of_one_key_that_only_the_database_can_tell_are_applied_in_order() {
    let ci = "CREATE COLLATION IF NOT EXISTS batchflow_ci \
              (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    let made = connect(&url()).await.batch_execute(ci).await;
    if made.as_ref().is_err_and(|error| error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED)) {
        let test = "tables::rows_of_one_key_that_only_the_database_can_tell_are_applied_in_order";
        let why = "the server is built without ICU";
        return Servers::connect().skipped(test, why).await;
    }
    made.unwrap();
    for way in WAYS {
        let table = fresh("folded");
        let create =
            format!("CREATE TABLE {table} (id text COLLATE batchflow_ci PRIMARY KEY, n int)");
        execute(&url(), &create).await;
        let driver = driver(Some(way)).await;
        let schema = Schema::new(&table, ConflictStrategy::Update, ["id", "n"]).unwrap();
        let some = [("a", 1), ("b", 2), ("A", 3), ("B", 4), ("a", 5)];
        let some = some.map(|(id, n)| Request::new(&schema).set("id", id).set("n", n));
        write(&driver, some.into()).await.unwrap();
        let client = connect(&url()).await;
        let found = rows(&client, &format!("SELECT lower(id), n FROM {table} ORDER BY id")).await;
        assert_eq!(found, ["a|5", "b|4"], "{way:?}");
        driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn without_the_right_to_temporary_tables_rows_are_written_all_the_same() {
    if crate::support::is_pooled() {
        // A pooler knows of no database that a test makes.
        return;
    }
    let (table, role) = (fresh("no_temp"), fresh("no_temp_role"));
    // A database of its own, since everybody may make temporary tables in one from the start.
    let own = fresh("no_temp_db");
    execute(&url(), &format!("CREATE DATABASE {own}")).await;
    // The user may be called as the database is.
    let there = format!("{}/{own}", url().rsplit_once('/').unwrap().0);
    let create = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; REVOKE TEMP ON DATABASE {own} FROM PUBLIC; \
         CREATE TABLE {table} (id int PRIMARY KEY); GRANT INSERT, SELECT, UPDATE ON {table} TO {role}"
    );
    execute(&there, &create).await;
    let config = PostgresConfig::from_url(&there).unwrap().user(&role).password("x");
    let driver = PostgresDriver::connect_with(config.way(Way::Stage)).await.unwrap();
    let schema = Schema::new(&table, ConflictStrategy::Ignore, ["id"]).unwrap();
    write(&driver, vec![schema.row((1,)).unwrap()]).await.unwrap();
    // The right may go after the table was looked up, too.
    execute(&there, &format!("GRANT TEMP ON DATABASE {own} TO {role}")).await;
    driver.describe(&schema).await.unwrap();
    write(&driver, vec![schema.row((2,)).unwrap()]).await.unwrap();
    execute(&there, &format!("REVOKE TEMP ON DATABASE {own} FROM {role}")).await;
    write(&driver, vec![schema.row((3,)).unwrap()]).await.unwrap();
    let found = rows(&connect(&there).await, &format!("SELECT id FROM {table} ORDER BY id")).await;
    assert_eq!(found, ["1", "2", "3"]);
    driver.close().await;
    let drop = format!("DROP DATABASE {own} WITH (FORCE)");
    connect(&url()).await.batch_execute(&drop).await.unwrap();
    execute(&url(), &format!("DROP ROLE {role}")).await;
}

/// Connections whose sessions have settings that could change what is written.
#[derive(Debug)]
struct Odd(Vec<String>, std::sync::atomic::AtomicUsize);

struct Session(Client);

impl Lease for Session {
    fn client(&self) -> &Client {
        &self.0
    }

    fn discard(self: Box<Self>) {}
}

#[async_trait]
impl ConnectionSource for Odd {
    async fn acquire(&self) -> Result<Box<dyn Lease>, WriteError> {
        let config: batchflow_postgres::client::Config = url().parse().unwrap();
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        let next = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        client.batch_execute(&self.0[next % self.0.len()]).await.unwrap();
        Ok(Box::new(Session(client)))
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_sessions_settings_change_nothing_that_is_written() {
    if crate::support::is_pooled() {
        // Behind a pooler in transaction mode, a session's settings are anybody's.
        return;
    }
    for way in WAYS {
        let (here, there) = (fresh("here"), fresh("there"));
        let each = |schema: &str| {
            format!(
                "CREATE SCHEMA {schema}; CREATE TYPE {schema}.mood AS ENUM ('{schema}'); \
                 CREATE DOMAIN {schema}.short AS {schema}.mood[]; \
                 CREATE TABLE {schema}.t (id int PRIMARY KEY, at timestamp, seen timestamptz, \
                 name text, raw bytea, mood {schema}.mood, moods {schema}.short, \
                 codes char(3)[], host pg_catalog.inet, clock timetz); \
                 CREATE DOMAIN {schema}.inet AS text CHECK (false); \
                 CREATE DOMAIN {schema}.text AS pg_catalog.text CHECK (false);"
            )
        };
        execute(&url(), &(each(&here) + &each(&there))).await;
        let settings = vec![
            format!("SET search_path = {here}"),
            format!("SET search_path = {there}, pg_catalog; SET timezone = 'Asia/Kathmandu'"),
            "SET timezone = 'America/New_York'; SET standard_conforming_strings = off; \
             SET datestyle = 'SQL, DMY'; SET bytea_output = 'escape'; SET extra_float_digits = 0"
                .to_owned(),
        ];
        let driver = Arc::new(PostgresDriver::from_source(Odd(settings, 0.into())).with_way(way));
        let columns =
            ["id", "at", "seen", "name", "raw", "mood", "moods", "codes", "host", "clock"];
        let builder = Schema::builder("t").columns(columns).key(["id"]).touch("at");
        let schema = builder.on_conflict(ConflictStrategy::Update).build().unwrap();
        for id in 0..6 {
            let at = batchflow_postgres::Timestamp::new(86_400 * i64::from(id), 0).unwrap();
            let row = Request::new(&schema).set("id", id).set("seen", at);
            let row = row.set("name", r"a\b").set("raw", vec![1_u8, 92, 255]);
            let row = row.set("mood", &*here).set("moods", format!("{{{here}}}"));
            let clock = batchflow_postgres::Time::from_hms_nano(12, 30, 0, 0).unwrap();
            let row = row.set("codes", "{a}").set("host", "10.0.0.1").set("clock", clock);
            write(&driver, vec![row]).await.unwrap();
        }
        let client = connect(&url()).await;
        let sql = format!(
            "SET timezone = 'UTC'; SELECT id, extract(epoch FROM seen)::int / 86400, name, raw, \
             abs(extract(epoch FROM at - now()::timestamp)) < 60, mood, moods, codes, host, clock \
             FROM {here}.t ORDER BY id"
        );
        let same = format!("{here}|{{{here}}}|{{\"a  \"}}|10.0.0.1|12:30:00+00");
        let expected: Vec<String> =
            (0..6).map(|id| format!(r"{id}|{id}|a\b|\x015cff|t|{same}")).collect();
        assert_eq!(rows(&client, &sql).await, expected, "{way:?}");
        assert!(rows(&client, &format!("TABLE {there}.t")).await.is_empty(), "{way:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_pool_that_was_given_is_not_closed() {
    let table = fresh("given");
    execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY)")).await;
    let config: batchflow_postgres::client::Config = url().parse().unwrap();
    let manager = deadpool_postgres::Manager::new(config, NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(2).build().unwrap();
    let driver = PostgresDriver::from_pool(pool.clone());
    let schema = Schema::new(&table, ConflictStrategy::Ignore, ["id"]).unwrap();
    write(&driver, vec![schema.row((1,)).unwrap()]).await.unwrap();
    driver.close().await;
    assert!(!pool.is_closed());
    let client = pool.get().await.unwrap();
    assert_eq!(rows(&client, &format!("TABLE {table}")).await, ["1"]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_preview_shows_what_each_way_would_send() {
    let table = fresh("preview");
    execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY, name text)")).await;
    let cases = [(Way::Unnest, 3), (Way::Copy, 4), (Way::Stage, 5)];
    for (way, statements) in cases {
        let driver = driver(Some(way)).await;
        let schema = Schema::new(&table, ConflictStrategy::Fail, ["id", "name"]).unwrap();
        let batch = Batch::from_requests(vec![schema.row((1, "it's")).unwrap()]).unwrap();
        let preview = driver.preview(&batch, ShowValues::Yes).await.unwrap();
        assert_eq!(preview.statements.len(), statements, "{way:?}: {:?}", preview.statements);
        assert_eq!(preview.parameters, ["1", "'it''s'"]);
        let preview = driver.preview(&batch, ShowValues::No).await.unwrap();
        assert!(!preview.parameters.join(" ").contains("it's"), "promise 10");
        driver.close().await;
    }
    assert!(rows(&connect(&url()).await, &format!("TABLE {table}")).await.is_empty());
}
