//! What is found of tables, and what is refused of them.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use ConflictStrategy::{Fail, Ignore, Update};
use batchflow_core::ErrorKind;

use super::*;
use crate::unit::{clean_up, column, connect, has_extension, made_icu_collation, run};

fn schema(table: &str, strategy: ConflictStrategy, columns: &[&str]) -> Schema {
    Schema::new(table, strategy, columns.iter().copied()).unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn what_is_missing_or_unfit_is_named() {
    let client = connect().await;
    run(
        &client,
        "CREATE TABLE t (id int8 PRIMARY KEY, a text, b text, c text, d text, e int8, \
           f text UNIQUE DEFERRABLE, at date, g int8 GENERATED ALWAYS AS (id + 1) STORED); \
         CREATE UNIQUE INDEX t_partial ON t (a) WHERE b IS NULL; \
         CREATE UNIQUE INDEX t_expression ON t (lower(b)); \
         CREATE UNIQUE INDEX t_wide ON t (c, d); \
         CREATE VIEW v AS SELECT * FROM t; \
         CREATE VIEW sums AS SELECT sum(e) AS id FROM t; \
         CREATE MATERIALIZED VIEW m AS SELECT * FROM t; \
         CREATE SEQUENCE s; CREATE INDEX i ON t (e)",
    )
    .await;
    let cases: &[(Schema, &[&str])] = &[
        (schema("nowhere", Fail, &["id"]), &["nowhere", "no such table"]),
        (schema("nowhere.t", Fail, &["id"]), &["nowhere.t", "no such table"]),
        (schema("a.b.c.t", Fail, &["id"]), &["a.b.c.t"]),
        (schema("T", Fail, &["id"]), &["T", "no such table"]),
        (schema("t", Fail, &["id", "A"]), &["column A", "no such column"]),
        (schema("t", Ignore, &["e"]), &["no unique index", "(e)"]),
        (schema("t", Ignore, &["c"]), &["no unique index", "(c)"]),
        (schema("t", Ignore, &["a"]), &["t_partial", "partial"]),
        (schema("t", Ignore, &["b"]), &["no unique index", "(b)"]),
        (schema("t", Ignore, &["f"]), &["t_f_key", "deferrable"]),
        (schema("v", Ignore, &["id"]), &["a view"]),
        (schema("sums", Fail, &["id"]), &["takes no rows"]),
        (schema("m", Fail, &["id"]), &["materialized"]),
        (schema("s", Fail, &["id"]), &["no table"]),
        (schema("i", Fail, &["id"]), &["no table"]),
    ];
    let of = |column: &str, merge| {
        let builder = Schema::builder("t").columns(["id", column]).key(["id"]);
        builder.on_conflict(Update).merge(column, merge).build().unwrap()
    };
    let touched = |column: &str| {
        let builder = Schema::builder("t").columns(["id", column]).key(["id"]);
        builder.on_conflict(Update).touch(column).build().unwrap()
    };
    let rules: &[(Schema, &[&str])] = &[
        (of("a", Merge::Add), &["column a", "text", "added up"]),
        (of("a", Merge::Max), &["column a", "greatest"]),
        (of("at", Merge::Add), &["column at", "date"]),
        (of("g", Merge::Set), &["column g", "computed"]),
        (touched("at"), &["column at", "no timestamp"]),
    ];
    for (schema, words) in cases.iter().chain(rules) {
        let error = Table::read(&client, schema).await.expect_err(words[0]);
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Schema, Stage::Describe), "{error}");
        for word in *words {
            assert!(error.to_string().contains(word), "{error}: {word}");
        }
    }
    for fine in [
        schema("t", Ignore, &["id", "a"]),
        schema("v", Fail, &["id", "a"]),
        of("e", Merge::Add),
        of("at", Merge::Max),
        of("b", Merge::KeepExisting),
        Schema::builder("t")
            .columns(["d", "c"])
            .key(["d", "c"])
            .on_conflict(Ignore)
            .build()
            .unwrap(),
    ] {
        Table::read(&client, &fine).await.unwrap();
    }
    let table = schema("t", Ignore, &["id", "a", "g"]);
    let found = Table::read(&client, &table).await.unwrap();
    assert!(found.check_settable(&table, &[0, 1]).is_ok());
    let error = found.check_settable(&table, &[0, 2]).unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("g")));
    clean_up(client).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn names_are_taken_as_they_are_and_looked_up_along_the_search_path() {
    let client = connect().await;
    run(
        &client,
        "CREATE TABLE \"Odd \"\"name\"\", with.dot\" (\"Id\" int8 PRIMARY KEY, \"a.b \"\"c\" text); \
         CREATE TEMP TABLE only_temp (id int4 PRIMARY KEY)",
    )
    .await;
    let odd = Schema::new(r#""Odd ""name"", with.dot""#, Ignore, ["Id", "a.b \"c"]).unwrap();
    let table = Table::read(&client, &odd).await.unwrap();
    assert_eq!(table.columns[1].name, "a.b \"c");
    assert_eq!(table.layout, [Some(0), Some(1)]);
    let temporary = schema("only_temp", Ignore, &["id"]);
    assert_eq!(Table::read(&client, &temporary).await.unwrap().columns[0].ty.sql, "integer");
    assert!(Table::read(&client, &schema("pg_temp.only_temp", Ignore, &["id"])).await.is_ok());
    clean_up(client).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn keys_compare_as_their_index_does() {
    let client = connect().await;
    run(
        &client,
        "CREATE DOMAIN code AS char(4); \
         CREATE TYPE mood AS ENUM ('sad', 'ok'); \
         CREATE TABLE t (i int4 UNIQUE, f float4 UNIQUE, n numeric(10, 2) UNIQUE, \
           thousands numeric(5, -3) UNIQUE, free numeric UNIQUE, v varchar(9) UNIQUE, \
           c code UNIQUE, pat text, ts timestamptz(3) UNIQUE, u uuid UNIQUE, m mood UNIQUE, net inet UNIQUE, \
           arr int4[] UNIQUE); \
         CREATE UNIQUE INDEX ON t (pat text_pattern_ops)",
    )
    .await;
    let mut cases = vec![
        ("i", ColumnKind::Integer, Comparison::Natural, None),
        ("f", ColumnKind::Float32, Comparison::Natural, None),
        ("n", ColumnKind::Decimal, Comparison::Natural, Some(2)),
        ("thousands", ColumnKind::Other, Comparison::Natural, None),
        ("free", ColumnKind::Decimal, Comparison::Natural, None),
        ("v", ColumnKind::Text, Comparison::Natural, None),
        ("c", ColumnKind::Text, Comparison::TrimEnd, None),
        ("pat", ColumnKind::Text, Comparison::Natural, None),
        ("ts", ColumnKind::Timestamp, Comparison::Natural, Some(3)),
        ("u", ColumnKind::Uuid, Comparison::Natural, None),
        ("m", ColumnKind::Text, Comparison::Natural, None),
        ("net", ColumnKind::Other, Comparison::Natural, None),
        ("arr", ColumnKind::Other, Comparison::Natural, None),
    ];
    if has_extension(&client, "citext").await {
        run(&client, "ALTER TABLE t ADD ci citext UNIQUE").await;
        cases.push(("ci", ColumnKind::Text, Comparison::PrintableNoCase, None));
    }
    let nocase = "CREATE COLLATION nocase \
                    (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    if made_icu_collation(&client, nocase).await {
        let columns = "ALTER TABLE t ADD nd text COLLATE nocase UNIQUE, ADD tx text UNIQUE; \
                       CREATE UNIQUE INDEX ON t (tx COLLATE nocase)";
        run(&client, columns).await;
        cases.push(("nd", ColumnKind::Text, Comparison::Opaque, None));
        cases.push(("tx", ColumnKind::Text, Comparison::Opaque, None));
    }
    let version = column(&client, "SHOW server_version_num").await.unwrap().remove(0);
    if version.is_some_and(|version| version.as_str() >= "150000") {
        let columns = "ALTER TABLE t ADD one int4, ADD never int4 NOT NULL; \
                       CREATE UNIQUE INDEX ON t (one) NULLS NOT DISTINCT; \
                       CREATE UNIQUE INDEX ON t (never) NULLS NOT DISTINCT";
        run(&client, columns).await;
        // Core takes two keys that hold NULL for two.
        cases.push(("one", ColumnKind::Integer, Comparison::Opaque, None));
        cases.push(("never", ColumnKind::Integer, Comparison::Natural, None));
    } else {
        println!("NOT RUN: NULLS NOT DISTINCT: the server is older than 15");
    }
    for (column, kind, comparison, scale) in cases {
        let schema = schema("t", Ignore, &[column]);
        let info = Table::read(&client, &schema).await.unwrap().info();
        let found = info.column(0).unwrap();
        assert_eq!(
            (found.kind(), found.comparison(), found.scale()),
            (kind, comparison, scale),
            "{column}"
        );
    }
    clean_up(client).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn what_fills_columns_in_is_known() {
    let client = connect().await;
    run(
        &client,
        "CREATE DOMAIN answer AS int4 DEFAULT 42; \
         CREATE TABLE t (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
           by_default int8 GENERATED BY DEFAULT AS IDENTITY, req text NOT NULL, \
           def text NOT NULL DEFAULT 'x', ans answer, g int8 GENERATED ALWAYS AS (1) STORED, free text); \
         CREATE TABLE filled (id int8 PRIMARY KEY, req text NOT NULL); \
         CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN NEW.req = coalesce(NEW.req, 'x'); RETURN NEW; END $$; \
         CREATE TRIGGER fill BEFORE INSERT ON filled FOR EACH ROW EXECUTE FUNCTION fill(); \
         CREATE TABLE parts (id int8 PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE ruled (id int8); \
         CREATE RULE r AS ON INSERT TO ruled DO INSTEAD NOTHING; \
         CREATE TABLE guarded (id int8); \
         ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE guarded FORCE ROW LEVEL SECURITY",
    )
    .await;
    let columns = ["id", "by_default", "req", "def", "ans", "g", "free"];
    let table = Table::read(&client, &schema("t", Ignore, &columns)).await.unwrap();
    let found: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.identity, column.generated, column.has_default, column.refuses_null))
        .collect();
    let expected = [
        (Identity::Always, false, true, true),
        (Identity::ByDefault, false, true, true),
        (Identity::None, false, false, true),
        (Identity::None, false, true, true),
        (Identity::None, false, true, false),
        (Identity::None, true, true, false),
        (Identity::None, false, false, false),
    ];
    assert_eq!(found, expected);
    let required: Vec<bool> =
        (0..7).map(|at| table.info().column(at).unwrap().is_required()).collect();
    assert_eq!(required, [false, false, true, false, false, false, false]);
    let left_alone: Vec<bool> =
        (0..7).map(|at| table.info().column(at).unwrap().is_left_alone()).collect();
    assert_eq!(left_alone, [true, true, false, false, false, true, false]);
    assert!(table.may_copy && table.may_stage && !table.row_security);
    let read = |name, columns: &'static [&'static str]| {
        let schema = schema(name, Fail, columns);
        let client = &client;
        async move { Table::read(client, &schema).await.unwrap() }
    };
    let filled = read("filled", &["id", "req"]).await;
    assert!(!filled.columns[1].refuses_null && filled.columns[1].has_default);
    assert!(read("parts", &["id"]).await.may_copy);
    assert!(!read("ruled", &["id"]).await.may_copy);
    // A superuser is above policies.
    assert!(read("guarded", &["id"]).await.may_copy);
    clean_up(client).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn what_this_user_may_not_do_is_known() {
    let client = connect().await;
    let role = format!("bf_unit_{}", std::process::id());
    run(
        &client,
        &format!(
            "DROP ROLE IF EXISTS {role}; CREATE ROLE {role}; \
             CREATE TABLE closed (id int8); CREATE TABLE open (id int8, a text); \
             CREATE TABLE guarded (id int8); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; \
             GRANT INSERT (id) ON open TO {role}; GRANT INSERT ON guarded TO {role}; \
             DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || current_schema() || ' TO {role}'; END $$; \
             SET ROLE {role}"
        ),
    )
    .await;
    let read = |name| {
        let schema = schema(name, Fail, &["id"]);
        let client = &client;
        async move { Table::read(client, &schema).await }
    };
    let error = read("closed").await.unwrap_err();
    assert_eq!((error.kind(), error.table()), (ErrorKind::Permission, Some("closed")));
    assert!(read("open").await.is_ok());
    let guarded = read("guarded").await.unwrap();
    assert!(guarded.row_security && !guarded.may_copy);
    run(&client, "RESET ROLE").await;
    let schema_of = column_text(&client, "SELECT current_schema()").await;
    run(&client, &format!("REVOKE ALL ON SCHEMA {schema_of} FROM {role}; SET ROLE {role}")).await;
    let error = read(&format!("{schema_of}.open")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    run(&client, &format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).await;
    clean_up(client).await;
}

async fn column_text(client: &Client, sql: &str) -> String {
    column(client, sql).await.unwrap().remove(0).unwrap()
}
