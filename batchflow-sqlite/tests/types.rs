//! Every kind of value arrives as the README's table says, or is its row's `data` error.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use batchflow_sqlite::{ConflictStrategy, Date, ErrorKind, Schema, Stage, Time, Timestamp, Value};
use support::{memory, table, write};

fn moment(seconds: i64) -> Value {
    Value::Timestamp(Timestamp::new(seconds, 250_000_000).unwrap())
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

#[tokio::test]
async fn values_are_stored_as_documented() {
    let uuid = Value::Uuid([0xab; 16]);
    let array = Value::Array([Value::I64(1), Value::Null, moment(0)].into());
    let cases = [
        ("", Value::Null, "null", "NULL"),
        ("INTEGER", Value::Bool(true), "integer", "1"),
        ("INTEGER", Value::I64(i64::MIN), "integer", "-9223372036854775808"),
        ("INTEGER", Value::U64(i64::MAX as u64), "integer", "9223372036854775807"),
        ("REAL", Value::I64(3), "real", "3.0"),
        ("REAL", Value::F32(0.5), "real", "0.5"),
        ("REAL", Value::F64(f64::INFINITY), "real", "inf"),
        ("REAL", Value::F64(0.1), "real", "0.1"),
        ("TEXT", Value::from("a\0b"), "text", "a\0b"),
        ("TEXT", Value::from(""), "text", ""),
        ("BLOB", Value::Bytes([].into()), "blob", ""),
        ("BLOB", Value::Bytes([0, 255].into()), "blob", "00ff"),
        ("TEXT", moment(0), "text", "1970-01-01T00:00:00.25+00:00"),
        ("DATETIME", moment(0), "text", "1970-01-01T00:00:00.25+00:00"),
        ("DATE", Value::Date(Date::from_ymd(2013, 1, 2).unwrap()), "text", "2013-01-02"),
        ("TIME", Value::Time(Time::from_hms_nano(5, 6, 7, 0).unwrap()), "text", "05:06:07"),
        ("TEXT", decimal("1.50"), "text", "1.50"),
        ("DECIMAL(10,2)", decimal("1.50"), "real", "1.5"),
        ("DECIMAL(10,2)", decimal("2.00"), "integer", "2"),
        ("INTEGER", decimal("9007199254740993.0"), "integer", "9007199254740993"),
        ("TEXT", uuid.clone(), "text", "abababab-abab-abab-abab-abababababab"),
        ("CHAR(36)", uuid.clone(), "text", "abababab-abab-abab-abab-abababababab"),
        ("BLOB", uuid.clone(), "blob", "abababababababababababababababab"),
        ("UUID", uuid, "blob", "abababababababababababababababab"),
        ("TEXT", Value::Json("{\"a\":1}".into()), "text", "{\"a\":1}"),
        ("TEXT", array, "text", "[1,null,\"1970-01-01T00:00:00.25+00:00\"]"),
    ];
    for (declared, value, kind, stored) in cases {
        let driver =
            memory(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")).await;
        let t = Schema::new("t", ConflictStrategy::Update, ["id", "v"]).unwrap();
        let case = format!("{value:?} in {declared:?}");
        write(&driver, vec![t.row((1_i64, value)).unwrap()]).await.unwrap();
        let found = table(&driver, "SELECT typeof(v), v FROM t").await;
        assert_eq!(found, [format!("{kind}|{stored}")], "{case}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_its_rows_data_error_and_nothing_is_written() {
    let beyond = Value::Date(Date::from_ymd(12_345, 1, 2).unwrap());
    let cases = [
        ("INTEGER", Value::U64(u64::MAX)),
        ("TEXT", Value::U64(1 << 63)),
        ("REAL", Value::F64(f64::NAN)),
        ("REAL", Value::F32(f32::NAN)),
        ("TEXT", beyond),
        ("TEXT", moment(-99_999_999_999)),
        ("INTEGER", decimal("9223372036854775808")),
        ("NUMERIC", decimal("NaN")),
        ("TEXT", decimal("many")),
        ("TEXT", Value::Array([Value::Bytes([1].into())].into())),
        ("TEXT", Value::Array([Value::F64(f64::NAN)].into())),
    ];
    for (declared, value) in cases {
        let driver =
            memory(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")).await;
        let t = Schema::new("t", ConflictStrategy::Update, ["id", "v"]).unwrap();
        let case = format!("{value:?} in {declared:?}");
        let good = |id: i64| t.row((id, 1_i64)).unwrap();
        let rows = vec![good(1), t.row((2_i64, value)).unwrap(), good(3)];
        let error = write(&driver, rows).await.expect_err(&case);
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Data, Stage::Encode), "{case}");
        assert_eq!((error.blame(), error.column()), (&[1][..], Some("v")), "{case}");
        assert!(table(&driver, "SELECT * FROM t").await.is_empty(), "{case}");
    }
}

#[tokio::test]
async fn a_strict_tables_refusal_is_its_rows_data_error() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, any ANY) STRICT").await;
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "n", "any"]).unwrap();
    let rows = vec![t.row((1_i64, 1_i64, "text")).unwrap(), t.row((2_i64, "many", 2.5)).unwrap()];
    let error = write(&driver, rows).await.unwrap_err();
    assert_eq!((error.kind(), error.blame()), (ErrorKind::Data, &[1][..]));
    assert_eq!((error.column(), error.table()), (Some("n"), Some("t")));
    let error = write(&driver, vec![t.row(("a", 1_i64, 1_i64)).unwrap()]).await.unwrap_err();
    assert_eq!((error.kind(), error.blame()), (ErrorKind::Data, &[0][..]), "not a row number");
}

#[tokio::test]
async fn a_column_whose_type_changes_meanwhile_is_looked_up_again() {
    let driver = memory("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    let t = Schema::new("t", ConflictStrategy::Update, ["id", "v"]).unwrap();
    let row = |id: i64| t.row((id, Value::Uuid([1; 16]))).unwrap();
    write(&driver, vec![row(1)]).await.unwrap();
    driver.execute("DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)").await.unwrap();
    write(&driver, vec![row(2)]).await.unwrap();
    assert_eq!(table(&driver, "SELECT id, typeof(v) FROM t").await, ["2|blob"]);
    driver.execute("ALTER TABLE t RENAME COLUMN v TO w").await.unwrap();
    let error = write(&driver, vec![row(3)]).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("v")));
}
