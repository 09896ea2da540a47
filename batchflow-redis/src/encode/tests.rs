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

/// Rust's own shortest text of a float; whole ones without a fraction.
fn shortest(float: f64) -> String {
    let text = format!("{float:?}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[test]
fn a_float_has_the_shortest_text_that_reads_as_it() {
    let mut random = fastrand::Rng::with_seed(7);
    let thousandths = (0..10_000).map(|n| f64::from(n) / 1_000.0);
    let money = std::iter::repeat_with(|| random.i64(-1 << 50..1 << 50) as f64 / 100.0);
    let mut floats: Vec<f64> = thousandths.chain(money.take(2_000)).collect();
    floats.extend([1e-4, 9.9e-5, 999_999_999_999.999, 1e12, 1e15, 9_007_199_254_740_993.0, 1e16]);
    floats.extend(std::iter::repeat_with(|| f64::from_bits(random.u64(..))).take(2_000));
    for float in floats.into_iter().filter(|float| float.is_finite() && *float != 0.0) {
        let near = [float, float.next_up(), float.next_down()];
        for float in near.into_iter().flat_map(|float| [float, -float]) {
            assert_eq!(text(float), Ok(shortest(float)), "{float:?}");
        }
    }
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
