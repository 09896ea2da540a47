//! `describe` finds what is missing, and tells core how keys compare.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use batchflow_sqlite::{
    ColumnKind, Comparison, ConflictStrategy, Driver, ErrorKind, Merge, Schema,
};
use support::{memory, schema};

fn keyed(key: &[&str]) -> Schema {
    let builder = Schema::builder("t").columns(["a", "b", "c"]).key(key.to_vec());
    schema(builder.on_conflict(ConflictStrategy::Update))
}

#[tokio::test]
async fn what_is_missing_or_unfit_is_a_schema_error_that_names_it() {
    let cases = [
        ("CREATE TABLE other (a)", "no such table"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY, b)", "column c: the table has no such column"),
        ("CREATE TABLE t (a, b, c)", "no unique index on exactly its key (a)"),
        ("CREATE TABLE t (a, b, c); CREATE INDEX i ON t (a)", "no unique index"),
        ("CREATE TABLE t (a, b, c); CREATE UNIQUE INDEX i ON t (a) WHERE b > 0", "no unique index"),
        ("CREATE TABLE t (a, b, c); CREATE UNIQUE INDEX i ON t (lower(a))", "no unique index"),
        ("CREATE TABLE t (a, b, c); CREATE UNIQUE INDEX i ON t (a, b)", "no unique index"),
        ("CREATE TABLE t (a, b INTEGER PRIMARY KEY, c)", "no unique index"),
        ("CREATE TABLE s (a, b, c); CREATE VIEW t AS SELECT * FROM s", "no unique index"),
    ];
    for (sql, expected) in cases {
        let driver = memory(sql).await;
        let error = driver.describe(&keyed(&["a"])).await.expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::Schema, "{sql}");
        assert!(error.to_string().contains(expected), "{error} lacks {expected:?}");
        assert_eq!(error.table(), Some("t"));
    }
}

#[tokio::test]
async fn every_unique_index_over_plain_columns_of_the_whole_table_is_usable() {
    let cases: [(&str, &[&str]); 7] = [
        ("CREATE TABLE t (a INTEGER PRIMARY KEY, b, c)", &["a"]),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY DESC, b, c)", &["a"]),
        ("CREATE TABLE t (a TEXT PRIMARY KEY, b, c) WITHOUT ROWID", &["a"]),
        ("CREATE TABLE t (a, b, c, PRIMARY KEY (a, b))", &["b", "a"]),
        ("CREATE TABLE t (a, b, c UNIQUE)", &["c"]),
        ("CREATE TABLE t (a, b, c); CREATE UNIQUE INDEX i ON t (c DESC, b)", &["b", "c"]),
        ("CREATE TABLE t (A INT PRIMARY KEY, B, C)", &["a"]),
    ];
    for (sql, key) in cases {
        let driver = memory(sql).await;
        assert!(driver.describe(&keyed(key)).await.unwrap().is_checked(), "{sql}");
    }
}

#[tokio::test]
async fn keys_compare_as_their_unique_index_compares() {
    use Comparison::{AsciiNoCase, Natural, Opaque, TrimEnd};
    let unique = "CREATE UNIQUE INDEX i ON t (a COLLATE NOCASE)";
    let cases = [
        ("a INTEGER PRIMARY KEY", "", ColumnKind::Integer, Natural),
        ("a BIGINT PRIMARY KEY", "", ColumnKind::Integer, Natural),
        ("a REAL PRIMARY KEY", "", ColumnKind::Float64, Natural),
        ("a DECIMAL(9,2) PRIMARY KEY", "", ColumnKind::Integer, Natural),
        ("a PRIMARY KEY", "", ColumnKind::Other, Natural),
        ("a BLOB PRIMARY KEY", "", ColumnKind::Bytes, Natural),
        ("a UUID PRIMARY KEY", "", ColumnKind::Uuid, Natural),
        ("a DATETIME PRIMARY KEY", "", ColumnKind::Timestamp, Natural),
        ("a DATE PRIMARY KEY", "", ColumnKind::Date, Natural),
        ("a BOOLEAN PRIMARY KEY", "", ColumnKind::Bool, Natural),
        ("a TEXT PRIMARY KEY", "", ColumnKind::Text, Natural),
        ("a TEXT COLLATE NOCASE PRIMARY KEY", "", ColumnKind::Text, AsciiNoCase),
        ("a TEXT COLLATE RTRIM PRIMARY KEY", "", ColumnKind::Text, TrimEnd),
        // The index decides, not the column; where two disagree, nobody but SQLite knows.
        ("a TEXT", unique, ColumnKind::Text, AsciiNoCase),
        ("a TEXT COLLATE NOCASE UNIQUE", unique, ColumnKind::Text, AsciiNoCase),
        ("a TEXT UNIQUE", unique, ColumnKind::Text, Opaque),
    ];
    for (column, index, kind, comparison) in cases {
        let driver = memory(&format!("CREATE TABLE t ({column}, b, c); {index}")).await;
        let info = driver.describe(&keyed(&["a"])).await.unwrap();
        let key = info.column(0).unwrap();
        assert_eq!((key.kind(), key.comparison()), (kind, comparison), "{column} {index}");
    }
}

#[tokio::test]
async fn columns_tell_whether_a_row_must_set_them() {
    let driver = memory(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, must TEXT NOT NULL, may TEXT, \
         has TEXT NOT NULL DEFAULT 'x', made TEXT AS (may) VIRTUAL, nul TEXT DEFAULT NULL)",
    )
    .await;
    let columns = ["id", "must", "may", "has", "made", "nul"];
    let t = Schema::new("t", ConflictStrategy::Ignore, columns).unwrap();
    let info = driver.describe(&t).await.unwrap();
    let flags = |column| info.column(column).map(|c| (c.is_required(), c.has_default())).unwrap();
    assert_eq!([flags(0), flags(1), flags(2)], [(false, true), (true, false), (false, false)]);
    assert_eq!([flags(3), flags(4), flags(5)], [(false, true), (false, true), (false, false)]);
}

#[tokio::test]
async fn a_plain_insert_needs_no_index_and_text_cannot_be_added_up() {
    let driver = memory("CREATE TABLE t (a TEXT COLLATE NOCASE, b TEXT, c UNIQUE)").await;
    let fail = schema(Schema::builder("t").columns(["a", "b"]).key(["a"]));
    let info = driver.describe(&fail).await.unwrap();
    assert_eq!(info.column(0).unwrap().comparison(), Comparison::AsciiNoCase);
    let adds = Schema::builder("t").columns(["c", "b"]).key(["c"]);
    let adds = schema(adds.on_conflict(ConflictStrategy::Update).merge("b", Merge::Add));
    let error = driver.describe(&adds).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("b")));
}
