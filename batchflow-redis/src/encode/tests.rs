use batchflow_core::{Batch, ConflictStrategy, Schema, Timestamp, Value};

use super::Row;
use crate::layout::{Layout, Shape};

fn text(value: impl Into<Value>) -> Result<String, String> {
    let schema = Schema::new("t", ConflictStrategy::Replace, ["id", "value"]).unwrap();
    let shape = Shape::new(&Layout::string("k:"), &schema).unwrap();
    let batch = Batch::from_requests(vec![schema.row((1_i64, value)).unwrap()]).unwrap();
    let mut row = Row::default();
    row.encode(&shape, &batch, 0).map_err(|error| error.to_string())?;
    let value = row.parts().nth(1).flatten().unwrap().to_vec();
    Ok(String::from_utf8(value).unwrap())
}

fn key(value: impl Into<Value>) -> Result<String, String> {
    let schema = Schema::new("t", ConflictStrategy::Replace, ["id", "value"]).unwrap();
    let shape = Shape::new(&Layout::string(""), &schema).unwrap();
    let batch = Batch::from_requests(vec![schema.row((value, 1_i64)).unwrap()]).unwrap();
    let mut row = Row::default();
    row.encode(&shape, &batch, 0).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(row.parts().next().flatten().unwrap().to_vec()).unwrap())
}

#[test]
fn values_have_one_text() {
    let decimal = |text: &str| Value::Decimal(text.into());
    let cases: Vec<(Value, &str)> = vec![
        (true.into(), "1"),
        (false.into(), "0"),
        (0_i64.into(), "0"),
        (i64::MIN.into(), "-9223372036854775808"),
        (u64::MAX.into(), "18446744073709551615"),
        (3.0.into(), "3"),
        ((-0.0).into(), "0"),
        (0.1.into(), "0.1"),
        (0.1_f32.into(), "0.1"),
        (f64::MAX.into(), "1.7976931348623157e308"),
        (f64::NEG_INFINITY.into(), "-inf"),
        (f64::NAN.into(), "nan"),
        (decimal("1.50"), "1.50"),
        ("a:b".into(), "a:b"),
        (Timestamp::new(0, 250_000_000).unwrap().into(), "1970-01-01T00:00:00.25Z"),
        (Value::Uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab"),
        (Value::Array([1_i64.into(), Value::Null].into()), "[1,null]"),
    ];
    for (value, expected) in cases {
        assert_eq!(text(value.clone()).as_deref(), Ok(expected), "{value:?}");
    }
    assert!(text(Value::Null).unwrap_err().contains("column value: it cannot be NULL"));
}

#[test]
fn equal_numbers_are_one_key() {
    for (number, expected) in [
        ("1.00", "1"),
        ("+01.50", "1.5"),
        ("-0.000", "0"),
        ("1e3", "1000"),
        ("-12.5E-3", "-0.0125"),
        (".5", "0.5"),
        ("120", "120"),
    ] {
        assert_eq!(key(Value::Decimal(number.into())).as_deref(), Ok(expected), "{number}");
    }
    for number in ["", "-", "1.2.3", "NaN", "1e99999999", "1_0"] {
        assert!(key(Value::Decimal(number.into())).is_err(), "{number}");
    }
    assert_eq!(key(0.1_f32), key(f64::from(0.1_f32)));
    assert_eq!(key(-0.0), key(0.0));
    assert!(key(Value::Null).unwrap_err().contains("a key cannot hold NULL"));
    assert!(key(Value::Json("{}".into())).is_err());
}
