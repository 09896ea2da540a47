//! Rows at fault among good ones, and tables of every sort.

use std::time::Duration;

use batchflow_core::{
    BatchFlow, BatchWriter, ConflictStrategy, Driver, ErrorKind, Merge, Schema, Value, WriteSummary,
};
use batchflow_postgres::{PostgresConfig, PostgresDriver, Request, Way};
use futures_util::future::join_all;

use crate::support::{connect, execute, fresh, rows, url};
use crate::ways::{driver, write};

const WAYS: [Way; 3] = [Way::Unnest, Way::Copy, Way::Stage];

/// Where among a thousand a row is at fault.
const PLACES: [usize; 3] = [0, 499, 999];

/// A table is looked up again for a value that does not fit after a second, not before.
const LOOK_AGAIN: Duration = Duration::from_millis(1_100);

/// A fault: what of the row is changed, and what it is refused for.
struct Fault {
    what: &'static str,
    column: &'static str,
    value: Value,
    kind: ErrorKind,
    /// What the error names: the column, or the constraint.
    names: Option<&'static str>,
}

fn faults() -> Vec<Fault> {
    use ErrorKind::{Constraint, Data, Other};

    let fault =
        |what, column, value: Value, kind, names| Fault { what, column, value, kind, names };
    vec![
        fault("NULL", "name", Value::Null, Constraint, Some("name")),
        fault("too long", "name", "x".repeat(13).into(), Data, Some("name")),
        fault("NUL", "name", "a\0b".into(), Data, Some("name")),
        fault("wrong range", "small", 40_000_i64.into(), Data, Some("small")),
        fault("wrong kind", "small", "three".into(), Data, Some("small")),
        fault("precision", "price", Value::Decimal("99999.95".into()), Data, Some("price")),
        fault("bad enum", "mood", "angry".into(), Data, Some("mood")),
        fault("bad network", "net", "10.1.2".into(), Data, None),
        fault("bad JSON", "doc", Value::Json("{".into()), Data, None),
        fault("domain", "even", 3_i64.into(), Constraint, None),
        fault("foreign key", "parent", 99_i64.into(), Constraint, Some("parent_fk")),
        fault("check", "small", (-1_i64).into(), Constraint, Some("small_check")),
        fault("unique", "code", "taken".into(), ErrorKind::DuplicateKey, Some("_key")),
        fault("trigger's own error", "name", "cursed".into(), Other, None),
    ]
}

async fn make(table: &str) {
    execute(
        &url(),
        &format!(
            "CREATE TYPE {table}_mood AS ENUM ('sad', 'ok'); \
             CREATE DOMAIN {table}_even AS int4 CHECK (VALUE % 2 = 0); \
             CREATE TABLE {table}_parent (id int4 PRIMARY KEY); \
             INSERT INTO {table}_parent VALUES (1); \
             CREATE TABLE {table} (id int8 PRIMARY KEY, name varchar(12) NOT NULL, \
               small int2 CONSTRAINT small_check CHECK (small >= 0), price numeric(6,1), \
               mood {table}_mood, net inet, doc jsonb, even {table}_even, \
               parent int4 CONSTRAINT parent_fk REFERENCES {table}_parent, \
               code text CONSTRAINT {table}_key UNIQUE); \
             INSERT INTO {table} (id, name, code) VALUES (-1, 'holder', 'taken'); \
             CREATE FUNCTION {table}_curse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF NEW.name = 'cursed' THEN RAISE EXCEPTION 'cursed: %', NEW.id; END IF; \
               RETURN NEW; END $$; \
             CREATE TRIGGER curse AFTER INSERT OR UPDATE ON {table} \
               FOR EACH ROW EXECUTE FUNCTION {table}_curse()"
        ),
    )
    .await;
}

async fn drop_all(table: &str) {
    execute(
        &url(),
        &format!(
            "DROP TABLE {table}, {table}_parent; DROP FUNCTION {table}_curse(); \
             DROP TYPE {table}_mood; DROP DOMAIN {table}_even"
        ),
    )
    .await;
}

const COLUMNS: [&str; 10] =
    ["id", "name", "small", "price", "mood", "net", "doc", "even", "parent", "code"];

fn row(schema: &Schema, id: i64) -> Request {
    Request::new(schema)
        .set("id", id)
        .set("name", format!("name {id}"))
        .set("small", id % 100)
        .set("price", Value::Decimal("12.5".into()))
        .set("mood", "ok")
        .set("net", "10.0.0.1")
        .set("doc", Value::Json("{\"a\": 1}".into()))
        .set("even", 2)
        .set("parent", 1)
        .set("code", format!("code {id}"))
}

async fn write_all(way: Way, rows: Vec<Request>) -> WriteSummary {
    let writer = BatchWriter::builder(driver(Some(way)).await).batch_size(1_000).build().unwrap();
    writer.write(rows).await.unwrap_or_else(|error| {
        panic!("{way:?}: {}: {:?}", error.error(), error.error().server_message())
    })
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_4_one_bad_row_of_any_sort_in_any_place_harms_no_other() {
    let table = fresh("rows");
    make(&table).await;
    let client = connect(&url()).await;
    for way in WAYS {
        let strategy =
            if way == Way::Copy { ConflictStrategy::Fail } else { ConflictStrategy::Update };
        let schema = Schema::new(&table, strategy, COLUMNS).unwrap();
        for fault in faults() {
            for place in PLACES {
                let case = format!("{} at {place} by {way:?}", fault.what);
                let mut batch: Vec<Request> = (0..1_000).map(|id| row(&schema, id)).collect();
                batch[place] = row(&schema, place as i64).set(fault.column, fault.value.clone());
                let summary = write_all(way, batch).await;
                assert_eq!((summary.written(), summary.rejected()), (999, 1), "{case}");
                let [letter] = summary.failures() else { panic!("{case}: no failure is listed") };
                let id: Option<i64> = letter.request().get("id").unwrap();
                assert_eq!(id, Some(place as i64), "{case}");
                let error = letter.error().error();
                assert_eq!(error.kind(), fault.kind, "{case}: {error}");
                if let Some(name) = fault.names {
                    let named = error.column().or(error.constraint());
                    assert!(named.is_some_and(|named| named.ends_with(name)), "{case}: {error}");
                }
                let sql = format!("DELETE FROM {table} WHERE id >= 0 RETURNING 1");
                assert_eq!(rows(&client, &sql).await.len(), 999, "{case}");
            }
        }
    }
    drop_all(&table).await;
}

/// Some types' input functions answer as if the statement were at fault, and quote the value.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_4_and_10_a_value_that_only_the_server_can_read_is_its_rows_own_fault() {
    let table = fresh("read");
    let create =
        format!("CREATE TABLE {table} (id int8 PRIMARY KEY, words tsvector, rel regclass)");
    execute(&url(), &create).await;
    let client = connect(&url()).await;
    let faults = [("words", "'canary"), ("rel", "canary_table"), ("rel", "canary..x")];
    for way in WAYS {
        for (column, value) in faults {
            for rows_in_all in [1, 30] {
                let schema = Schema::new(&table, ConflictStrategy::Update, ["id", "words", "rel"]);
                let schema = schema.unwrap();
                let row = |id| {
                    let row = Request::new(&schema).set("id", id).set("words", "fine");
                    row.set("rel", "pg_catalog.pg_class")
                };
                let mut batch: Vec<Request> = (0..rows_in_all).map(row).collect();
                batch[0] = row(0).set(column, value);
                let case = format!("{value} among {rows_in_all} by {way:?}");
                let summary = write_all(way, batch).await;
                let counts = (summary.written(), summary.rejected());
                assert_eq!(counts, (rows_in_all as u64 - 1, 1), "{case}");
                let [letter] = summary.failures() else { panic!("{case}: no failure is listed") };
                let error = letter.error().error();
                assert_eq!(error.kind(), ErrorKind::Data, "{case}: {error}");
                assert!(!format!("{error} {error:?}").contains("canary"), "{case}: {error}");
                let sql = format!("DELETE FROM {table} RETURNING 1");
                assert_eq!(rows(&client, &sql).await.len() as i64, rows_in_all - 1, "{case}");
            }
        }
    }
    execute(&url(), &format!("DROP TABLE {table}")).await;
}

/// A right to insert that is granted column by column allows no COPY, which each of the batches
/// that are sent at once finds out for itself.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn batches_sent_at_once_are_all_written_where_the_user_may_not_copy() {
    if crate::support::is_pooled() {
        // A pooler lets in only whom it knows.
        return;
    }
    let (table, role) = (fresh("columns"), fresh("columns_role"));
    let create = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; CREATE TABLE {table} (id int8, n int8); \
         GRANT INSERT (id, n) ON {table} TO {role}"
    );
    execute(&url(), &create).await;
    let config = PostgresConfig::from_url(&url()).unwrap().user(&role).password("x").pool_size(8);
    let driver = PostgresDriver::connect_with(config.way(Way::Copy)).await.unwrap();
    let schema = Schema::builder(&table).columns(["id", "n"]);
    let schema = schema.on_conflict(ConflictStrategy::Fail).build().unwrap();
    driver.describe(&schema).await.unwrap();
    let batches = (0..8_i64).map(|id| write(&driver, vec![schema.row((id, 1_i64)).unwrap()]));
    for written in join_all(batches).await {
        written.unwrap();
    }
    let sql = format!("SELECT count(*) FROM {table}");
    assert_eq!(rows(&connect(&url()).await, &sql).await, ["8"]);
    driver.close().await;
    execute(&url(), &format!("DROP TABLE {table}; DROP ROLE {role}")).await;
}

/// How many attempts a driver makes for one bad row the server refuses: named, it is tried alone
/// and the rest together.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn the_error_names_the_row_wherever_the_server_tells_it() {
    let table = fresh("named");
    make(&table).await;
    for way in WAYS {
        let strategy =
            if way == Way::Copy { ConflictStrategy::Fail } else { ConflictStrategy::Update };
        let schema = Schema::new(&table, strategy, COLUMNS).unwrap();
        let driver = driver(Some(way)).await;
        for fault in faults() {
            // A type's input function knows no row, and a trigger's own words are its own.
            let by_input = matches!(fault.what, "bad network" | "bad JSON" | "domain");
            let by_trigger = fault.what == "trigger's own error";
            if by_trigger
                || (by_input && way == Way::Unnest)
                || (by_input && fault.what != "bad JSON")
            {
                continue;
            }
            let mut batch: Vec<Request> = (0..100).map(|id| row(&schema, id)).collect();
            batch[61] = row(&schema, 61).set(fault.column, fault.value.clone());
            let error = write(&driver, batch).await.unwrap_err();
            let case = format!("{} by {way:?}: {error}", fault.what);
            assert_eq!(error.blame(), [61], "{case}: {:?}", error.server_message());
        }
    }
    drop_all(&table).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_row_policy_refuses_rows_and_not_the_user() {
    let (table, role) = (fresh("policy"), fresh("role"));
    execute(
        &url(),
        &format!(
            "CREATE ROLE {role} LOGIN; \
             CREATE TABLE {table} (id int8 PRIMARY KEY, owner text); \
             ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY own ON {table} USING (true) WITH CHECK (owner = 'me'); \
             GRANT SELECT, INSERT, UPDATE ON {table} TO {role}"
        ),
    )
    .await;
    let own_url = {
        let (before, after) =
            url().split_once("//").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let after = after.split_once('@').map_or(after.clone(), |(_, host)| host.to_owned());
        format!("{before}//{role}@{after}")
    };
    for way in WAYS {
        let config = PostgresConfig::from_url(&own_url).unwrap();
        let driver = PostgresDriver::connect_with(config.pool_size(2).way(way)).await;
        let Ok(driver) = driver else {
            // The server asks this role for a password.
            break;
        };
        let schema = Schema::new(&table, ConflictStrategy::Update, ["id", "owner"]).unwrap();
        let writer = BatchWriter::builder(driver).batch_size(1_000).build().unwrap();
        let owner = |id| if id == 613 { "other" } else { "me" };
        let batch: Vec<Request> =
            (0..1_000_i64).map(|id| schema.row((id, owner(id))).unwrap()).collect();
        let summary = writer.write(batch).await.unwrap();
        assert_eq!((summary.written(), summary.rejected()), (999, 1), "{way:?}");
        assert_eq!(summary.failures()[0].error().error().kind(), ErrorKind::Constraint, "{way:?}");
    }
    execute(&url(), &format!("DROP TABLE {table}; DROP ROLE {role}")).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn what_the_table_fills_in_is_left_to_it() {
    let table = fresh("filled");
    execute(
        &url(),
        &format!(
            "CREATE TABLE {table} (id int8 PRIMARY KEY, a text DEFAULT 'x', \
               n int4 GENERATED BY DEFAULT AS IDENTITY, twice int8 GENERATED ALWAYS AS (id * 2) STORED)"
        ),
    )
    .await;
    let client = connect(&url()).await;
    for way in WAYS {
        for strategy in [ConflictStrategy::Fail, ConflictStrategy::Replace] {
            let columns = ["id", "a", "n", "twice"];
            let schema = Schema::new(&table, strategy, columns).unwrap();
            let driver = driver(Some(way)).await;
            let some = vec![Request::new(&schema).set("id", 1).set("n", 7)];
            write(&driver, some).await.unwrap();
            let sql = format!("DELETE FROM {table} RETURNING id, a, n, twice");
            assert_eq!(rows(&client, &sql).await, ["1|x|7|2"], "{way:?} {strategy:?}");
            let computed = vec![Request::new(&schema).set("id", 1).set("twice", 7)];
            let error = write(&driver, computed).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.column()),
                (ErrorKind::Schema, Some("twice")),
                "{way:?}: {error}"
            );
        }
    }
    execute(&url(), &format!("DROP TABLE {table}")).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn rows_go_to_views_partitions_and_tables_of_any_name() {
    let table = fresh("Odd \"name.with dot");
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    let (space, parts, view) = (fresh("space"), fresh("parts"), fresh("view"));
    execute(
        &url(),
        &format!(
            "CREATE SCHEMA \"{space} S\"; \
             CREATE TABLE \"{space} S\".{quoted} (\"Id\" int8 PRIMARY KEY, \"a.b \"\"c\" text); \
             CREATE TABLE {parts} (\"Id\" int8 PRIMARY KEY, \"a.b \"\"c\" text) \
               PARTITION BY RANGE (\"Id\"); \
             CREATE TABLE {parts}_1 PARTITION OF {parts} FOR VALUES FROM (0) TO (2); \
             CREATE TABLE {parts}_2 PARTITION OF {parts} FOR VALUES FROM (2) TO (9); \
             CREATE VIEW {view} AS SELECT * FROM {parts}"
        ),
    )
    .await;
    let client = connect(&url()).await;
    let odd = format!("\"{space} S\".{quoted}");
    for way in WAYS {
        use ConflictStrategy::{Fail, Update};
        for (name, strategy) in
            [(&odd, Update), (&odd, Fail), (&parts, Update), (&parts, Fail), (&view, Fail)]
        {
            let schema = Schema::new(name, strategy, ["Id", "a.b \"c"]).unwrap();
            let driver = driver(Some(way)).await;
            let some = vec![schema.row((1, "x")).unwrap(), schema.row((2, "y")).unwrap()];
            let case = format!("{name} {strategy:?} by {way:?}");
            write(&driver, some).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            let sql = format!("SELECT * FROM {name} ORDER BY 1");
            assert_eq!(rows(&client, &sql).await, ["1|x", "2|y"], "{case}");
            let behind = if *name == view { &parts } else { name };
            client.batch_execute(&format!("DELETE FROM {behind}")).await.unwrap();
        }
    }
    execute(
        &url(),
        &format!("DROP VIEW {view}; DROP TABLE {parts}; DROP SCHEMA \"{space} S\" CASCADE"),
    )
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_table_altered_while_it_is_written_is_looked_up_again() {
    for way in WAYS {
        let table = fresh("altered");
        let create = format!("CREATE TABLE {table} (id int4 PRIMARY KEY, a varchar(3), b int4)");
        execute(&url(), &create).await;
        let strategy =
            if way == Way::Copy { ConflictStrategy::Fail } else { ConflictStrategy::Update };
        let schema = Schema::new(&table, strategy, ["id", "a"]).unwrap();
        let driver = driver(Some(way)).await;
        let put = |id: i64, a: &str| vec![Request::new(&schema).set("id", id).set("a", a)];
        write(&driver, put(1, "abc")).await.unwrap();
        let error = write(&driver, put(2, "abcd")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{way:?}: {error}");

        execute(
            &url(),
            &format!(
                "ALTER TABLE {table} ALTER a TYPE text, ALTER id TYPE int8, DROP b, ADD c int4"
            ),
        )
        .await;
        tokio::time::sleep(LOOK_AGAIN).await;
        let wide = write(&driver, put(1 << 40, "a longer text")).await;
        wide.unwrap_or_else(|error| panic!("{way:?}: {error}"));

        execute(
            &url(),
            &format!(
                "ALTER TABLE {table} ALTER id TYPE numeric, ALTER a TYPE jsonb \
            USING to_jsonb(a)"
            ),
        )
        .await;
        let other = write(&driver, put(7, "[1]")).await;
        other.unwrap_or_else(|error| panic!("{way:?}: {error} {:?}", error.server_message()));

        execute(&url(), &format!("ALTER TABLE {table} DROP a")).await;
        let error = write(&driver, put(8, "1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{way:?}: {error}");
        assert!(error.to_string().contains("column a"), "{way:?}: {error}");

        execute(&url(), &format!("ALTER TABLE {table} ADD a text")).await;
        tokio::time::sleep(LOOK_AGAIN).await;
        write(&driver, put(9, "back")).await.unwrap_or_else(|error| panic!("{way:?}: {error}"));
        execute(&url(), &format!("DROP TABLE {table}")).await;
    }
}

/// Where the table itself fills in what a row leaves unset, only it can tell what two rows of one
/// key leave.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_5_merged_rows_leave_what_the_same_rows_leave_one_after_the_other() {
    for merging in [true, false] {
        let (t, u) = (fresh("filled"), fresh("numbered"));
        let sql = format!(
            "CREATE TABLE {t} (id int PRIMARY KEY, name text, hits int); \
             CREATE FUNCTION {t}_fill() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN NEW.hits := coalesce(NEW.hits, 5); RETURN NEW; END $$; \
             CREATE TRIGGER fill BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {t}_fill(); \
             CREATE TABLE {u} (id int PRIMARY KEY, number int GENERATED BY DEFAULT AS IDENTITY)"
        );
        execute(&url(), &sql).await;
        let counts = Schema::builder(&t).columns(["id", "name", "hits"]).key(["id"]);
        let counts = counts.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add);
        let counts = counts.build().unwrap();
        let numbers = Schema::new(&u, ConflictStrategy::Replace, ["id", "number"]).unwrap();
        let flow = BatchFlow::builder(driver(None).await).merge(merging);
        let flow = flow.flush_interval(Duration::from_secs(60)).build().unwrap();
        let requests = [
            Request::new(&counts).set("id", 1).set("name", "a"),
            Request::new(&counts).set("id", 1).set("hits", 3),
            Request::new(&numbers).set("id", 1).set("number", 7),
            Request::new(&numbers).set("id", 1),
        ];
        flow.submit_all(requests).await.unwrap();
        assert!(flow.close().await.unwrap().all_written());
        let client = connect(&url()).await;
        let left = rows(&client, &format!("SELECT hits, number FROM {t}, {u}")).await;
        assert_eq!(left, ["8|7"], "merging: {merging}");
    }
}
