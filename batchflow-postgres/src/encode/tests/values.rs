//! Values of every kind.

use batchflow_core::{Date, Time, Timestamp, Value};
use proptest::prelude::*;

/// Values at the limits of one type or another.
pub(super) fn edges() -> Vec<Value> {
    let mut values = numbers();
    values.extend(texts());
    values.extend(moments());
    values.extend(arrays());
    values
}

fn numbers() -> Vec<Value> {
    let mut values = vec![Value::Bool(true), Value::Bool(false)];
    let integers = [
        0,
        1,
        -1,
        32_767,
        32_768,
        -32_768,
        -32_769,
        2_147_483_647,
        2_147_483_648,
        -2_147_483_648,
        -2_147_483_649,
        i64::MAX,
        i64::MIN,
        99_999_999,
        100_000_000,
        9_999,
        10_000,
    ];
    values.extend(integers.map(Value::I64));
    values.extend([0, 1 << 63, u64::MAX].map(Value::U64));
    let floats = [
        0.0,
        -0.0,
        0.1,
        -1.5,
        2.5,
        0.5,
        1e15,
        1e-5,
        123_456_789.123,
        32_767.5,
        32_767.4,
        2_147_483_647.5,
        9.3e18,
        1e39,
        1e-46,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        99_999_999.995,
        0.009_994,
        99_499.0,
        99_500.0,
    ];
    values.extend(floats.map(Value::F64));
    let singles =
        [0.0, 0.1, 1e10, f32::MAX, f32::MIN_POSITIVE, f32::NAN, f32::INFINITY, 16_777_216.0];
    values.extend(singles.map(Value::F32));
    let decimals = [
        "0",
        "-0.00",
        "1.50",
        "99999999.99",
        "99999999.994",
        "99999999.995",
        "0.00999",
        "0.009994",
        "0.009995",
        "12..5",
        "",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e10",
        "1e-10",
        "1e400",
        "123456789012345678901234567890.123456789",
        "0.5",
        "-0.5",
        "1.5",
        "2147483647.4",
        "2147483647.5",
        "99499",
        "99500",
        "+1.",
        ".5",
        "1e131071",
        "1e131072",
        "1e-16383",
    ];
    values.extend(decimals.map(|text| Value::Decimal(text.into())));
    values
}

fn texts() -> Vec<Value> {
    let mut values = Vec::new();
    let texts = [
        "",
        " ",
        "a",
        "abc",
        "abcd",
        "abcde",
        "abcdef",
        "abcde   ",
        "abcd   ",
        "abc ",
        "\u{e9}",
        "\u{4e16}\u{754c}\u{1f980}xy",
        "a\0b",
        "'; \\ \" {},",
        "NULL",
        "null",
        "true",
        " YES ",
        "of",
        "x",
        "three",
        "3",
        " +3 ",
        "3.5",
        "1e3",
        "0x1f",
        "99999999999",
        "NaN",
        "-Infinity",
        "1e999",
        "2024-02-29",
        "2023-02-29",
        "2024-02-29 12:34:56.789123",
        "infinity",
        "2024-02-29T12:34:56Z",
        "2024-02-29 12:34:56.5+05:30",
        "-infinity",
        "12:34:56",
        "12:34:56.9999999",
        "24:00:00",
        "24:00:01",
        "12:34:56+02",
        "1 day 02:03:04",
        "P1Y2M",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
        "{\"a\": [1, 2.50, null]}",
        "[1, 2",
        "\"\\u0000\"",
        "10.1.2.3",
        "10.1.2.0/24",
        "::1",
        "10.1.2.3/24",
        "08:00:2b:01:02:03",
        "sad",
        "Sad",
        "Happy, \"very\"",
        "\\xdeadBEEF",
        "\\x0",
        "\\001\\\\x",
        "{1,2,NULL}",
        "{sad,ok}",
        "{{1,2},{3,4}}",
        "{1,2",
        "101",
        "1012",
        "$1.50",
        "<a>b</a>",
        "[1,5)",
        "(1,2)",
        "(1,1),(0,0)",
        "a=>1",
        "fat cat",
    ];
    values.extend(texts.map(Value::from));
    values.push("x".repeat(63).into());
    values.push("x".repeat(64).into());
    values.extend([vec![], vec![0, 255, b'\\'], b"text".to_vec()].map(Value::from));
    values.extend([[0; 16], [0xff; 16], *b"0123456789abcdef"].map(Value::Uuid));
    let documents = ["{}", "[1, 2.50, {\"a\": null}]", "\"\\u0000\"", "{", "null", ""];
    values.extend(documents.map(|text| Value::Json(text.into())));
    values
}

fn moments() -> Vec<Value> {
    let time = |nanos| Value::Time(Time::from_nanos(nanos).unwrap());
    let mut values = Vec::new();
    values.extend([
        date(1, 1, 1),
        date(0, 12, 31),
        date(-4_713, 11, 24),
        date(-4_713, 11, 23),
        date(1970, 1, 1),
        date(2000, 1, 1),
        date(9_999, 12, 31),
        date(294_276, 12, 31),
        date(294_277, 1, 1),
        Value::Date(Date::from_unix_days(2_145_042_905)),
        Value::Date(Date::from_unix_days(2_145_042_906)),
        Value::Date(Date::from_unix_days(i32::MIN)),
    ]);
    values.extend([
        at(0, 0),
        at(-1, 999_999_999),
        at(946_684_799, 999_999_500),
        at(1_709_210_096, 789_123_456),
        at(1, 499),
        at(1, 500),
        at(1, 1_500),
        at(1, 2_500),
        at(1, 500_000_000),
        at(1, 499_500_000),
        at(-210_866_803_200, 0),
        at(-210_866_803_201, 0),
        at(9_224_318_015_999, 999_999_000),
        at(9_224_318_016_000, 0),
        at(i64::MAX, 0),
        at(-62_135_596_801, 5_000),
    ]);
    values.extend([
        time(0),
        time(1),
        time(86_399_999_999_999),
        time(86_400_000_000_000),
        time(45_296_789_123_456),
        time(1_500),
        time(500_000_000),
    ]);
    values
}

fn date(year: i32, month: u8, day: u8) -> Value {
    Value::Date(Date::from_ymd(year, month, day).unwrap())
}

fn at(seconds: i64, nanos: u32) -> Value {
    Value::Timestamp(Timestamp::new(seconds, nanos).unwrap())
}

fn arrays() -> Vec<Value> {
    let array = |items: Vec<Value>| Value::Array(items.into());
    vec![
        array(vec![]),
        array(vec![1_i64.into(), Value::Null, (-2_i64).into()]),
        array(vec![
            array(vec![1_i64.into(), 2_i64.into()]),
            array(vec![3_i64.into(), 4_i64.into()]),
        ]),
        array(vec![array(vec![1_i64.into()]), array(vec![3_i64.into(), 4_i64.into()])]),
        array(vec!["a".into(), "NULL".into(), "".into(), "\",{}\\ ".into()]),
        array(vec!["abc   ".into()]),
        array(vec!["abcd".into()]),
        array(vec!["a\0".into()]),
        array(vec!["sad".into(), Value::Null]),
        array(vec!["Happy, \"very\"".into()]),
        array(vec!["x".into()]),
        array(vec![Value::Decimal("9999.94".into()), Value::Decimal("9999.95".into())]),
        array(vec![Value::Decimal("9999.94".into()), Value::F64(0.25)]),
        array(vec![at(1, 500_000_000), at(-62_135_596_801, 0)]),
        array(vec![Value::Bytes([0, 255, b'"'].into())]),
        array(vec![true.into(), false.into()]),
        array(vec![Value::F64(f64::NAN), Value::F64(1e300), Value::F64(0.1)]),
        array(vec![date(2024, 2, 29), date(-43, 3, 15)]),
        array(vec![Value::Uuid([7; 16])]),
        array(vec![Value::Json("{\"a\": \"\\\"\"}".into())]),
        array(vec!["(1,1),(0,0)".into(), "(2,2),(1,1)".into()]),
        array(vec![0_i64.into()]),
    ]
}

/// A value of any kind.
pub(super) fn any_value() -> BoxedStrategy<Value> {
    let digits = "[+-]?[0-9]{0,12}(\\.[0-9]{0,8})?([eE][+-]?[0-9]{1,2})?";
    let moment = (-300_000_000_000_i64..9_300_000_000_000, 0_u32..1_000_000_000);
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        (-70_000_i64..70_000).prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<f64>().prop_map(Value::F64),
        (-1e6..1e6).prop_map(Value::F64),
        any::<f32>().prop_map(Value::F32),
        digits.prop_map(|text| Value::Decimal(text.into())),
        digits.prop_map(Value::from),
        "[a-z \u{e9}\u{1f980}'\\\\\"{},]{0,8}".prop_map(Value::from),
        "[a-f0-9x\\\\ ]{0,10}".prop_map(Value::from),
        "[012][0-9]{3}-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,9})?)?(Z|[+-][01][0-9](:[0-5][0-9])?)?)?"
            .prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::from),
        moment.prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap().into()),
        (-2_500_000_i32..3_000_000).prop_map(|days| Date::from_unix_days(days).into()),
        (0..=86_400_000_000_000_u64).prop_map(|nanos| Time::from_nanos(nanos).unwrap().into()),
        any::<[u8; 16]>().prop_map(Value::Uuid),
    ];
    let scalar = scalar.boxed();
    // Among other numbers, a float4 would be one of another precision.
    let item = scalar.clone().prop_filter("float4", |value| !matches!(value, Value::F32(_)));
    let list = proptest::collection::vec(item, 0..4);
    prop_oneof![9 => scalar, 1 => list.prop_map(|items| Value::Array(items.into()))].boxed()
}
