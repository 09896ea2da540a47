//! What each strategy and rule makes of a row, type by type.

use batchflow_core::{BatchWriter, ConflictStrategy, Driver as _, ErrorKind, Merge, Value};
use batchflow_mysql::{Date, Request, Schema, Time, Timestamp};

use crate::support::Database;
use crate::ways::{WAYS, driver, write};

/// A column's type, a value there and one that comes, and what each rule makes of them.
type Merges<'a> = (&'a str, [Value; 2], &'a [(Merge, &'a str)]);

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn each_rule_merges_each_type_and_null_yields_the_other_side() {
    use Merge::{Add, KeepExisting, Max, Min, Set};
    let moment = |seconds: i64| Value::from(Timestamp::from_unix_micros(seconds * 1_000_000 + 1));
    let day = |day| Value::from(Date::from_ymd(2024, 2, day).unwrap());
    let at = |hour| Value::from(Time::from_hms_nano(hour, 0, 0, 0).unwrap());
    let decimal = |text: &str| Value::Decimal(text.into());
    let all: [Merges<'_>; 9] = [
        ("tinyint", [1.into(), (-3).into()], &[(Set, "-3"), (Add, "-2"), (Max, "1"), (Min, "-3")]),
        (
            "bigint unsigned",
            [u64::MAX.into(), 7_u64.into()],
            &[(Max, "18446744073709551615"), (Min, "7"), (KeepExisting, "18446744073709551615")],
        ),
        (
            "decimal(10,2)",
            [decimal("1.10"), decimal("-2.25")],
            &[(Add, "-1.15"), (Max, "1.10"), (Min, "-2.25"), (KeepExisting, "1.10")],
        ),
        ("float", [0.5_f32.into(), 0.25_f32.into()], &[(Add, "0.75"), (Max, "0.5")]),
        ("double", [0.1.into(), 0.2.into()], &[(Add, "0.30000000000000004"), (Min, "0.1")]),
        (
            "datetime(6)",
            [moment(0), moment(60)],
            &[(Max, "1970-01-01 00:01:00.000001"), (Min, "1970-01-01 00:00:00.000001")],
        ),
        ("date", [day(2), day(1)], &[(Max, "2024-02-02"), (Min, "2024-02-01")]),
        ("time", [at(9), at(10)], &[(Max, "10:00:00"), (Min, "09:00:00")]),
        ("varchar(9)", ["a".into(), "b".into()], &[(Set, "b"), (KeepExisting, "a")]),
    ];
    let database = Database::new("merges").await;
    for way in WAYS {
        for (ty, [old, new], rules) in &all {
            for (rule, expected) in *rules {
                let driver = driver(&database, way).await;
                let case = format!("{rule:?} of {ty} by {way:?}");
                database.execute("DROP TABLE IF EXISTS t").await;
                database
                    .execute(&format!("CREATE TABLE t (id int PRIMARY KEY, v {ty} NULL)"))
                    .await;
                let schema = Schema::builder("t").columns(["id", "v"]).key(["id"]);
                let schema = schema.on_conflict(ConflictStrategy::Update).merge("v", *rule);
                let schema = schema.build().unwrap();
                let row =
                    |id: i32, v: &Value| Request::new(&schema).set("id", id).set("v", v.clone());
                let first = vec![row(1, old), row(2, old), row(3, &Value::Null)];
                let second = vec![row(1, new), row(2, &Value::Null), row(3, old)];
                for rows in [first, second] {
                    write(&driver, rows).await.unwrap_or_else(|error| panic!("{case}: {error}"));
                }
                let found = database.rows("SELECT v FROM t ORDER BY id").await;
                // What was there before: what a set to NULL erases, and no other rule.
                database.execute("DELETE FROM t").await;
                write(&driver, vec![row(1, old), row(2, old)]).await.unwrap();
                let alone = database.rows("SELECT v FROM t WHERE id = 1").await.concat();
                let kept = if *rule == Set { "NULL" } else { &alone };
                assert_eq!(found, [*expected, kept, &alone], "{case}");
                driver.close().await;
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_sum_that_does_not_fit_is_its_row_s_error() {
    let database = Database::new("overflow").await;
    for way in WAYS {
        for (ty, full, one) in [
            ("tinyint", Value::I64(127), Value::I64(1)),
            ("smallint unsigned", Value::I64(65_535), Value::I64(1)),
            ("int", Value::I64(-2_147_483_648), Value::I64(-1)),
            ("bigint", Value::I64(i64::MAX), Value::I64(1)),
            ("bigint unsigned", Value::U64(u64::MAX), Value::I64(1)),
            ("decimal(4,1)", Value::Decimal("999.9".into()), Value::Decimal("0.1".into())),
        ] {
            database.execute("DROP TABLE IF EXISTS t").await;
            database.execute(&format!("CREATE TABLE t (id int PRIMARY KEY, v {ty})")).await;
            let schema = Schema::builder("t").columns(["id", "v"]).key(["id"]);
            let schema = schema.on_conflict(ConflictStrategy::Update).merge("v", Merge::Add);
            let schema = schema.build().unwrap();
            let row = |id: i32, v: &Value| Request::new(&schema).set("id", id).set("v", v.clone());
            let case = format!("{ty} by {way:?}");
            let writer = BatchWriter::builder(driver(&database, way).await).build().unwrap();
            let first = writer.write(vec![row(1, &one), row(2, &full), row(3, &one)]).await;
            assert!(first.unwrap().all_written(), "{case}");
            let before = database.rows("SELECT v FROM t ORDER BY id").await;
            let second = writer.write((1..4).map(|id| row(id, &one)).collect::<Vec<_>>()).await;
            let second = second.unwrap();
            assert_eq!((second.written(), second.rejected()), (2, 1), "{case}");
            let letter = &second.failures()[0];
            assert_eq!(letter.request().get::<i64>("id").unwrap(), Some(2), "{case}");
            assert_eq!(letter.error().error().kind(), ErrorKind::Data, "{case}");
            let after = database.rows("SELECT v FROM t ORDER BY id").await;
            assert_eq!(after[1], before[1], "{case}");
            assert!(after[0] != before[0] && after[2] != before[2], "{case}: {after:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn what_is_unset_takes_its_default_and_only_a_replace_overwrites_with_it() {
    use ConflictStrategy::{Ignore, Replace, Update};
    let database = Database::new("defaults").await;
    for way in WAYS {
        for other in ["", ", UNIQUE (code)"] {
            for (strategy, expected) in [
                (Ignore, "1|old|old|old|9|9"),
                (Update, "1|new|old|old|9|9"),
                (Replace, "1|new|text|a+b|5|NULL"),
            ] {
                database.execute("DROP TABLE IF EXISTS t").await;
                let create = format!(
                    "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, a varchar(9), \
                     b varchar(9) DEFAULT 'text', c varchar(9) DEFAULT (CONCAT('a', '+', 'b')), \
                     n int NOT NULL DEFAULT 5, code int{other})"
                );
                database.execute(&create).await;
                database.execute("INSERT INTO t VALUES (1, 'old', 'old', 'old', 9, 9)").await;
                let columns = ["id", "a", "b", "c", "n", "code"];
                let schema = Schema::new("t", strategy, columns).unwrap();
                let row = |id: i32| Request::new(&schema).set("id", id).set("a", "new");
                let driver = driver(&database, way).await;
                let case = format!("{strategy:?}{other} by {way:?}");
                let written = write(&driver, vec![row(1), row(2)]).await;
                written.unwrap_or_else(|error| {
                    panic!("{case}: {error}: {:?}", error.server_message())
                });
                let rows = database.rows("SELECT * FROM t ORDER BY id").await;
                assert_eq!(rows, [expected, "2|new|text|a+b|5|NULL"], "{case}");
                driver.close().await;
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn rows_that_set_nothing_or_only_their_key_are_rows() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let database = Database::new("nothing").await;
    for way in WAYS {
        for strategy in [Fail, Ignore, Update, Replace] {
            database.execute("DROP TABLE IF EXISTS t").await;
            database
                .execute(
                    "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, a int DEFAULT 7, seen \
                     datetime(3))",
                )
                .await;
            let schema = Schema::new("t", strategy, ["id", "a"]).unwrap();
            let driver = driver(&database, way).await;
            let case = format!("{strategy:?} by {way:?}");
            let empty = (0..3).map(|_| Request::new(&schema)).collect();
            write(&driver, empty).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(database.rows("SELECT a FROM t").await, ["7", "7", "7"], "{case}");
            let key = |id: i32| Request::new(&schema).set("id", id);
            write(&driver, vec![key(11), key(12)]).await.unwrap();
            assert_eq!(database.rows("SELECT a FROM t").await.len(), 5, "{case}");

            let touched = Schema::builder("t").columns(["id", "a", "seen"]).key(["id"]);
            let touched = touched.on_conflict(strategy).touch("seen").build().unwrap();
            write(&driver, vec![Request::new(&touched)]).await.unwrap();
            let sql = "SELECT COUNT(*) FROM t WHERE ABS(TIMESTAMPDIFF(SECOND, seen, \
                UTC_TIMESTAMP())) < 60";
            assert_eq!(database.rows(sql).await, ["1"], "{case}");
            driver.close().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_touched_column_takes_the_clock_in_utc_and_is_never_ahead() {
    let database = Database::new("touch").await;
    for way in WAYS {
        for (ty, now) in [
            ("datetime", "UTC_TIMESTAMP(0)"),
            ("datetime(3)", "UTC_TIMESTAMP(3)"),
            ("timestamp(6)", "UTC_TIMESTAMP(6)"),
        ] {
            database.execute("DROP TABLE IF EXISTS t").await;
            let create = format!("CREATE TABLE t (id int PRIMARY KEY, n int, seen {ty} NULL)");
            database.execute(&create).await;
            let schema = Schema::builder("t").columns(["id", "n", "seen"]).key(["id"]);
            let schema = schema.on_conflict(ConflictStrategy::Update).touch("seen");
            let schema = schema.build().unwrap();
            let driver = driver(&database, way).await;
            for n in 0..3 {
                let row = |id: i32| Request::new(&schema).set("id", id).set("n", n);
                write(&driver, vec![row(1), row(2)]).await.unwrap();
                let mut conn = database.connect().await;
                crate::support::rows(&mut conn, "SET time_zone = '+00:00'").await;
                let sql = format!(
                    "SELECT COUNT(*) FROM t WHERE seen <= {now} \
                     AND TIMESTAMPDIFF(SECOND, seen, {now}) < 60"
                );
                assert_eq!(crate::support::rows(&mut conn, &sql).await, ["2"], "{ty} by {way:?}");
            }
            driver.close().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn rows_of_one_key_in_a_batch_are_applied_in_order() {
    let database = Database::new("order").await;
    for way in WAYS {
        database.execute("DROP TABLE IF EXISTS t").await;
        database.execute("CREATE TABLE t (k varchar(9) PRIMARY KEY, n int, last int)").await;
        let schema = Schema::builder("t").columns(["k", "n", "last"]).key(["k"]);
        let schema = schema.on_conflict(ConflictStrategy::Update).merge("n", Merge::Add);
        let schema = schema.build().unwrap();
        let driver = driver(&database, way).await;
        let rows: Vec<Request> = (0..100)
            .map(|n| schema.row((if n % 2 == 0 { "a" } else { "A" }, 1, n)).unwrap())
            .collect();
        write(&driver, rows).await.unwrap();
        let folded = database.rows("SELECT 'a' = 'A'").await == ["1"];
        let expected: &[&str] = if folded { &["100|99"] } else { &["50|98", "50|99"] };
        let sql = "SELECT n, last FROM t ORDER BY last";
        assert_eq!(database.rows(sql).await, expected, "{way:?}");
        driver.close().await;
    }
}
