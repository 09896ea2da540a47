//! Promise 5: each strategy and merge rule does what the design's table says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use batchflow_sqlite::{ConflictStrategy, ErrorKind, Merge, Request, Schema, Value};
use support::{memory, schema, table, write};

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT DEFAULT 'none', \
                     hits INTEGER, email TEXT UNIQUE)";
const ALL: &str = "SELECT id, name, hits, email FROM t ORDER BY id";

fn t(strategy: ConflictStrategy) -> Schema {
    Schema::new("t", strategy, ["id", "name", "hits", "email"]).unwrap()
}

#[tokio::test]
async fn promise_5_fail_refuses_a_duplicate_and_names_its_row() {
    let driver = memory(TABLE).await;
    let t = t(ConflictStrategy::Fail);
    write(&driver, vec![t.row((7_i64, "old")).unwrap()]).await.unwrap();
    let rows = (1..=40_i64).map(|id| t.row((id, "new")).unwrap()).collect();
    let error = write(&driver, rows).await.unwrap_err();
    assert_eq!((error.kind(), error.blame()), (ErrorKind::DuplicateKey, &[6][..]));
    assert_eq!((error.column(), error.table()), (Some("id"), Some("t")));
    assert_eq!(table(&driver, ALL).await, ["7|old|NULL|NULL"], "a batch is whole or not at all");
}

#[tokio::test]
async fn promise_5_ignore_keeps_the_first_and_ignores_only_duplicates_of_the_key() {
    let driver = memory(TABLE).await;
    let t = t(ConflictStrategy::Ignore);
    let row = |id: i64, email: &str| t.row((id, "n", 1_i64, email)).unwrap();
    write(&driver, vec![row(1, "a@x")]).await.unwrap();
    // A duplicate of the key, of the key and of another unique column, and of another row's.
    let report = write(&driver, vec![row(1, "b@x"), row(2, "c@x")]).await.unwrap();
    assert_eq!(report.affected(), Some(1));
    write(&driver, vec![row(1, "a@x")]).await.unwrap();
    let error = write(&driver, vec![row(3, "d@x"), row(4, "a@x")]).await.unwrap_err();
    assert_eq!((error.kind(), error.blame()), (ErrorKind::DuplicateKey, &[1][..]));
    assert_eq!(error.column(), Some("email"));
    assert_eq!(table(&driver, ALL).await, ["1|n|1|a@x", "2|n|1|c@x"]);
}

#[tokio::test]
async fn promise_5_replace_overwrites_every_column_and_unset_ones_by_their_default() {
    let driver = memory(TABLE).await;
    let t = t(ConflictStrategy::Replace);
    write(&driver, vec![t.row((1_i64, "Ada", 5_i64, "a@x")).unwrap()]).await.unwrap();
    write(&driver, vec![Request::new(&t).set("id", 1_i64).set("email", "a@x")]).await.unwrap();
    assert_eq!(table(&driver, ALL).await, ["1|none|NULL|a@x"]);
}

#[tokio::test]
async fn promise_5_replace_deletes_nothing_and_leaves_generated_and_identity_columns_alone() {
    let driver = memory(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INTEGER, \
         twice INTEGER AS (n * 2) STORED);
         CREATE TABLE child (t REFERENCES t(id) ON DELETE CASCADE);
         INSERT INTO t (id, code, n) VALUES (41, 'a', 1); INSERT INTO child VALUES (41);",
    )
    .await;
    let columns = ["id", "code", "n", "twice"];
    let t = schema(
        Schema::builder("t").columns(columns).key(["code"]).on_conflict(ConflictStrategy::Replace),
    );
    write(&driver, vec![Request::new(&t).set("code", "a").set("n", 4_i64)]).await.unwrap();
    assert_eq!(table(&driver, "SELECT id, code, n, twice FROM t").await, ["41|a|4|8"]);
    assert_eq!(table(&driver, "SELECT t FROM child").await, ["41"]);
    let error = write(&driver, vec![Request::new(&t).set("code", "a").set("twice", 4_i64)]).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("twice")));
}

#[tokio::test]
async fn promise_5_update_overwrites_what_is_set_and_unset_is_not_null() {
    let driver = memory(TABLE).await;
    let t = t(ConflictStrategy::Update);
    write(&driver, vec![t.row((1_i64, "Ada", 5_i64, "a@x")).unwrap()]).await.unwrap();
    write(&driver, vec![Request::new(&t).set("id", 1_i64).set("hits", 6_i64)]).await.unwrap();
    assert_eq!(table(&driver, ALL).await, ["1|Ada|6|a@x"]);
    write(&driver, vec![Request::new(&t).set("id", 1_i64).set_null("name")]).await.unwrap();
    assert_eq!(table(&driver, ALL).await, ["1|NULL|6|a@x"]);
    write(&driver, vec![Request::new(&t).set("id", 1_i64)]).await.unwrap();
    assert_eq!(table(&driver, ALL).await, ["1|NULL|6|a@x"], "nothing to update");
    write(&driver, vec![Request::new(&t).set("id", 2_i64)]).await.unwrap();
    assert_eq!(table(&driver, ALL).await[1], "2|none|NULL|NULL", "the default on insert");
}

#[tokio::test]
async fn promise_5_an_update_that_hits_another_row_is_a_duplicate_key() {
    let driver = memory(TABLE).await;
    let t = t(ConflictStrategy::Update);
    let row = |id: i64, email: &str| t.row((id, "n", 1_i64, email)).unwrap();
    write(&driver, vec![row(1, "a@x"), row(2, "b@x")]).await.unwrap();
    write(&driver, vec![row(1, "a@x")]).await.unwrap();
    let error = write(&driver, vec![row(2, "a@x"), row(3, "c@x")]).await.unwrap_err();
    assert_eq!((error.kind(), error.blame()), (ErrorKind::DuplicateKey, &[0][..]));
}

#[tokio::test]
async fn promise_5_each_merge_rule_yields_the_other_side_where_one_is_null() {
    use Merge::{Add, KeepExisting, Max, Min, Set};
    let one = Value::I64;
    let cases = [
        (Set, one(3), one(4), "4"),
        (Set, one(3), Value::Null, "NULL"),
        (Add, one(3), one(4), "7"),
        (Add, one(3), Value::Null, "3"),
        (Add, Value::Null, one(4), "4"),
        (Add, Value::Null, Value::Null, "NULL"),
        (Max, one(3), one(4), "4"),
        (Max, one(10), one(9), "10"),
        (Max, Value::Null, one(4), "4"),
        (Max, one(3), Value::Null, "3"),
        (Min, one(3), one(4), "3"),
        (Min, one(10), one(9), "9"),
        (Min, Value::Null, one(4), "4"),
        (KeepExisting, one(3), one(4), "3"),
        (KeepExisting, Value::Null, one(4), "4"),
    ];
    for (merge, old, new, expected) in cases {
        let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)").await;
        let t = schema(
            Schema::builder("t")
                .columns(["id", "n"])
                .key(["id"])
                .on_conflict(ConflictStrategy::Update)
                .merge("n", merge),
        );
        let case = format!("{merge:?} of {old:?} and {new:?}");
        write(&driver, vec![t.row((1_i64, old)).unwrap()]).await.unwrap();
        write(&driver, vec![t.row((1_i64, new)).unwrap()]).await.unwrap();
        assert_eq!(table(&driver, "SELECT n FROM t").await, [expected], "{case}");
    }
}

#[tokio::test]
async fn promise_4_a_sum_that_overflows_is_its_rows_data_error() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)").await;
    let builder = Schema::builder("t").columns(["id", "n"]).key(["id"]);
    let t = schema(builder.on_conflict(ConflictStrategy::Update).merge("n", Merge::Add));
    let row = |id: i64, n: i64| t.row((id, n)).unwrap();
    write(&driver, vec![row(1, 1), row(2, i64::MAX - 1)]).await.unwrap();
    write(&driver, vec![row(2, 1)]).await.unwrap();
    let error = write(&driver, vec![row(1, 1), row(2, 1)]).await.unwrap_err();
    assert_eq!((error.kind(), error.blame()), (ErrorKind::Data, &[1][..]));
    assert_eq!(table(&driver, "SELECT n FROM t").await, ["1", "9223372036854775807"]);
}

#[tokio::test]
async fn a_touched_column_takes_the_clock_on_insert_and_on_every_update() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, seen TEXT)").await;
    let t = schema(
        Schema::builder("t")
            .columns(["id", "n", "seen"])
            .key(["id"])
            .on_conflict(ConflictStrategy::Update)
            .update(["n"])
            .touch("seen"),
    );
    write(&driver, vec![t.row((1_i64, 1_i64)).unwrap()]).await.unwrap();
    let recent = "SELECT id FROM t WHERE abs(julianday('now') - julianday(seen)) < 0.01";
    assert_eq!(table(&driver, recent).await, ["1"]);
    driver.execute("UPDATE t SET seen = NULL").await.unwrap();
    // Nothing else to update.
    write(&driver, vec![Request::new(&t).set("id", 1_i64)]).await.unwrap();
    assert_eq!(table(&driver, recent).await, ["1"]);
}

#[tokio::test]
async fn promise_5_a_row_must_be_insertable_by_itself() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b TEXT)").await;
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "a", "b"]).unwrap();
    write(&driver, vec![t.row((1_i64, "a", "b")).unwrap()]).await.unwrap();
    let error = write(&driver, vec![Request::new(&t).set("id", 1_i64).set("b", "c")]).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::Constraint, Some("a")));
}

#[tokio::test]
async fn promise_2_a_tables_own_conflict_clause_skips_no_row_unseen() {
    let driver = memory(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL ON CONFLICT IGNORE, \
         b TEXT UNIQUE ON CONFLICT REPLACE)",
    )
    .await;
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "a", "b"]).unwrap();
    write(&driver, vec![t.row((1_i64, "a", "b")).unwrap()]).await.unwrap();
    let error = write(&driver, vec![t.row((2_i64, Value::Null, "c")).unwrap()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Constraint);
    let error = write(&driver, vec![t.row((2_i64, "a", "b")).unwrap()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DuplicateKey);
    assert_eq!(table(&driver, "SELECT * FROM t").await, ["1|a|b"]);
}

#[tokio::test]
async fn promise_4_every_bad_row_of_a_batch_is_named_at_once() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 0))").await;
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "n"]).unwrap();
    let rows = (0..1_000_i64).map(|id| t.row((id, i64::from(id % 333 != 5))).unwrap());
    let error = write(&driver, rows.collect()).await.unwrap_err();
    assert_eq!((error.kind(), error.blame()), (ErrorKind::Constraint, &[5, 338, 671][..]));
    assert!(error.constraint().is_some_and(|check| check.contains("n > 0")));
    assert!(table(&driver, "SELECT * FROM t").await.is_empty());
}

#[tokio::test]
async fn names_are_kept_as_they_are_and_qualified_tables_found() {
    let driver = memory(
        "ATTACH ':memory:' AS other;
         CREATE TABLE other.\"Odd \"\"table\" (\"select\" INTEGER PRIMARY KEY, \"Näme.x\" TEXT);
         CREATE TABLE other.t (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY);",
    )
    .await;
    let odd =
        Schema::new("other.\"Odd \"\"table\"", ConflictStrategy::Update, ["SELECT", "Näme.x"])
            .unwrap();
    write(&driver, vec![odd.row((1_i64, "a")).unwrap()]).await.unwrap();
    write(&driver, vec![odd.row((1_i64, "b")).unwrap()]).await.unwrap();
    assert_eq!(table(&driver, "SELECT * FROM \"Odd \"\"table\"").await, ["1|b"]);
    for (name, id) in [("t", 1_i64), ("main.t", 2), ("other.t", 3), ("OTHER.T", 4)] {
        let t = Schema::new(name, ConflictStrategy::Ignore, ["id"]).unwrap();
        write(&driver, vec![t.row((id,)).unwrap()]).await.unwrap();
    }
    assert_eq!(table(&driver, "SELECT id FROM main.t").await, ["1", "2"]);
    assert_eq!(table(&driver, "SELECT id FROM other.t").await, ["3", "4"]);
}

#[tokio::test]
async fn every_batch_length_writes_every_row_once() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER) WITHOUT ROWID").await;
    let schema = schema(
        Schema::builder("t")
            .columns(["id", "n"])
            .key(["id"])
            .on_conflict(ConflictStrategy::Update)
            .merge("n", Merge::Add),
    );
    for len in (1..=70_u64).chain([999, 1_000]) {
        driver.execute("DELETE FROM t").await.unwrap();
        for _ in 0..2 {
            let rows = (0..len).map(|id| schema.row((id, 1_i64)).unwrap()).collect();
            let report = write(&driver, rows).await.unwrap();
            assert_eq!(report.affected(), Some(len));
        }
        let sums = table(&driver, "SELECT count(*), sum(n) FROM t WHERE n = 2").await;
        assert_eq!(sums, [format!("{len}|{}", len * 2)]);
    }
}

/// What would compare as text, which is greater than any number, is refused.
#[tokio::test]
async fn promise_5_what_is_no_number_is_not_compared_with_numbers() {
    for (kind, value) in [
        ("INTEGER", Value::from("9")),
        ("REAL", vec![9_u8].into()),
        ("", Value::Decimal("9.5".into())),
        ("BLOB", Value::Decimal("9.5".into())),
    ] {
        let create = format!("CREATE TABLE t (id INTEGER PRIMARY KEY, most {kind})");
        let driver = memory(&create).await;
        let schema = Schema::builder("t").columns(["id", "most"]).key(["id"]);
        let schema = schema.on_conflict(ConflictStrategy::Update).merge("most", Merge::Max);
        let schema = schema.build().unwrap();
        write(&driver, vec![schema.row((1_i64, 10.5)).unwrap()]).await.unwrap();
        let error = write(&driver, vec![schema.row((1_i64, value)).unwrap()]).await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::Data, Some("most")), "{kind}");
    }
}

/// A rule compares what is there with what was bound, before the column makes a number of it.
#[tokio::test]
async fn promise_5_the_greater_and_the_lesser_are_told_of_decimals_whatever_they_are_stored_as() {
    let decimal = |text: &str| Value::Decimal(text.into());
    for kind in ["INTEGER", "NUMERIC", "DECIMAL(10, 2)", "REAL", "DOUBLE"] {
        for (old, new, most, least) in [
            (Value::from(5_i64), decimal("1.25"), 5.0, 1.25),
            (Value::from(1_i64), decimal("0.25"), 1.0, 0.25),
            (decimal("7"), decimal("5"), 7.0, 5.0),
            (decimal("9.5"), decimal("10.5"), 10.5, 9.5),
            (decimal("0.5"), Value::from(2.5), 2.5, 0.5),
            (decimal("-1e2"), decimal("1e-2"), 0.01, -100.0),
        ] {
            let driver = memory(&format!(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, most {kind}, least {kind})"
            ))
            .await;
            let schema = Schema::builder("t")
                .columns(["id", "most", "least"])
                .key(["id"])
                .on_conflict(ConflictStrategy::Update)
                .merge("most", Merge::Max)
                .merge("least", Merge::Min)
                .build()
                .unwrap();
            for value in [&old, &new] {
                let row = schema.row((1_i64, value.clone(), value.clone())).unwrap();
                write(&driver, vec![row]).await.unwrap();
            }
            let found = driver.query("SELECT most + 0.0, least + 0.0 FROM t").await.unwrap();
            let expected = [vec![Value::from(most), Value::from(least)]];
            assert_eq!(found, expected, "{kind}: {old:?}, {new:?}");
        }
    }
}

#[tokio::test]
async fn promise_5_a_column_of_text_compares_times_alone() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, seen TEXT)").await;
    let schema = Schema::builder("t")
        .columns(["id", "seen"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .merge("seen", Merge::Max)
        .build()
        .unwrap();
    for value in [9_i64.into(), 1.5.into(), Value::Decimal("9".into()), "2026".into()] {
        let good = schema.row((1_i64, Value::Null)).unwrap();
        let error = write(&driver, vec![good, schema.row((2_i64, value)).unwrap()]).await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.blame()), (ErrorKind::Data, &[1][..]), "{error}");
        assert_eq!(error.column(), Some("seen"));
    }
    let day = |day| batchflow_sqlite::Date::from_ymd(2026, 11, day).unwrap();
    for value in [day(9), day(23), day(10)] {
        write(&driver, vec![schema.row((1_i64, value)).unwrap()]).await.unwrap();
    }
    assert_eq!(table(&driver, "SELECT seen FROM t").await, ["2026-11-23"]);
}

#[tokio::test]
async fn a_table_called_as_the_proposed_row_is_updated_like_any_other() {
    for name in ["excluded", "Excluded"] {
        let create = format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY, n INTEGER)");
        let driver = memory(&create).await;
        let schema = Schema::new(name, ConflictStrategy::Update, ["id", "n"]).unwrap();
        for n in 1..=3_i64 {
            write(&driver, vec![schema.row((1_i64, n)).unwrap()]).await.unwrap();
        }
        assert_eq!(table(&driver, &format!("SELECT id, n FROM {name}")).await, ["1|3"]);
    }
}
