//! Values of every kind.
#![allow(clippy::unreadable_literal, reason = "as their texts are")]

use batchflow_core::{Date, Time, Timestamp, Value};

/// Values at the limits of one type or another.
pub(super) fn edges() -> Vec<Value> {
    let mut values = numbers();
    values.extend(texts());
    values.extend(moments());
    values
}

fn numbers() -> Vec<Value> {
    let mut values = vec![Value::Bool(true), Value::Bool(false)];
    for bits in [7, 8, 15, 16, 23, 24, 31, 32] {
        let end = 1_i64 << bits;
        values.extend([end - 1, end, -end, -end - 1].map(Value::I64));
    }
    values.extend([0, 1, -1, 99, 1_900, 1_901, 2_155, 2_156].map(Value::I64));
    values.extend([i64::MAX, i64::MIN, 511, 512, 99_999, 100_000].map(Value::I64));
    values.extend([0, 1, 1 << 63, u64::MAX].map(Value::U64));
    let floats = [
        0.0,
        0.1,
        -1.5,
        2.5,
        0.5,
        3.5,
        1e15,
        1e-5,
        123456789.123,
        127.5,
        127.4,
        9.3e18,
        1.9e19,
        1e39,
        1e-46,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        99999999.995,
        9999.999,
        9999.9996,
        -0.001,
        9999999.99,
        9999999.996,
    ];
    values.extend(floats.map(Value::F64));
    values.extend([0.0, 0.1, 1e10, f32::MAX, f32::NAN, 16_777_216.0].map(Value::F32));
    let decimals = [
        "0",
        "-0.00",
        "1.50",
        "99999999.99",
        "99999999.994",
        "99999999.995",
        "0.005",
        "-0.005",
        "-0.004",
        "12..5",
        "",
        "NaN",
        "1e10",
        "1e-10",
        "1e400",
        "0.5",
        "-0.5",
        "1.5",
        "2.5",
        "127.5",
        "99999.4",
        "99999.5",
        "123456789012345678901234567890.123456789",
        "+1.",
        ".5",
        "0.999999999999999999999999999999",
        "0.9999999999999999999999999999995",
        "18446744073709551615",
        "18446744073709551615.5",
        "2147483647.4",
    ];
    values.extend(decimals.map(|text| Value::Decimal(text.into())));
    values
}

fn texts() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "a",
        "abcd",
        "abcde",
        "abcdef",
        "abcd ",
        "abcde   ",
        "ab\0d",
        "\u{e9}",
        "\u{20ac}",
        "\u{81}",
        "\u{80}",
        "\u{416}",
        "\u{4e16}\u{754c}\u{1f980}",
        "\u{4e16}\u{754c}xyz",
        "'\"\\",
        "\\N",
        "\n\r\t\x1a",
        "%s ?",
        "sad",
        "Sad",
        "sad,ok",
        "ok,sad",
        "ok,",
        "It's \\ \n",
        "1",
        "2",
        "007",
        " 12 ",
        "-7",
        "12abc",
        "1.5",
        "1e3",
        "0x10",
        "2024",
        "24",
        "0000",
        "1900",
        "2024-02-29",
        "2023-02-29",
        "0000-00-00",
        "2024-00-01",
        "2024-02-29 12:00:00",
        "2024-02-29T12:00:00.123456",
        "2024-02-29 12:00:00.4999995",
        "2024-02-29 23:59:59.9999999",
        "2024-02-29 12:00:00+02:00",
        "2024-02-29T12:00:00Z",
        "9999-12-31 23:59:59.5",
        "1970-01-01 00:00:00",
        "1970-01-01 00:00:01",
        "2038-01-19 03:14:07.4",
        "2038-01-19 03:14:07.9999",
        "2038-01-19 03:14:08",
        "2106-02-07 06:28:15",
        "2106-02-07 06:28:15.4",
        "2106-02-07 06:28:15.9999",
        "2106-02-07 06:28:16",
        "12:00",
        "12:00:00.123456",
        "-838:59:59",
        "838:59:59.4",
        "838:59:59.9",
        "839:00:00",
        "25:61:00",
        "null",
        "{}",
        "[1, 2]",
        "{\"a\": [true, null]}",
        "{\"a\"}",
        "[1,]",
        "\"\u{1f980}\"",
        "\"\\ud800\"",
        "1e400",
        "192.0.2.1",
        "::1",
        "::ffff:1.2.3.4",
        "1.2.3",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
    ];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend(["x".repeat(255), "x".repeat(256), "\u{e9}".repeat(127)].map(Value::from));
    values.extend(["\u{e9}".repeat(128), "\u{e9}".repeat(255), "x".repeat(63)].map(Value::from));
    values.extend(["x".repeat(64), "x".repeat(65_535), "x".repeat(65_536)].map(Value::from));
    values.extend(["{}", "[1]", "nul"].map(|text| Value::Json(text.into())));
    let bytes: [&[u8]; 8] =
        [b"", b"a", b"ab\0\0", b"abcde", b"abcdef", &[0xff, 0xfe], &[1, 0xff], &[0; 9]];
    values.extend(bytes.map(|bytes| Value::Bytes(bytes.into())));
    values.push(Value::Bytes(vec![0xff; 256].into()));
    values.extend([[0; 16], [0xff; 16], *b"0123456789abcdef"].map(Value::Uuid));
    values.push(Value::Array([Value::I64(1)].into()));
    values
}

fn moments() -> Vec<Value> {
    let date = |year, month, day| Date::from_ymd(year, month, day).unwrap();
    let time =
        |hour, minute, second, nano| Time::from_hms_nano(hour, minute, second, nano).unwrap();
    let mut values = Vec::new();
    let days = [
        date(0, 1, 1),
        date(-1, 12, 31),
        date(1, 1, 1),
        date(999, 12, 31),
        date(1000, 1, 1),
        date(1970, 1, 1),
        date(2024, 2, 29),
        date(2038, 1, 19),
        date(2106, 2, 7),
        date(9999, 12, 31),
        date(10_000, 1, 1),
        Date::from_unix_days(i32::MAX),
    ];
    let times = [
        time(0, 0, 0, 0),
        time(12, 30, 15, 500_000_000),
        time(3, 14, 7, 999_999_000),
        time(3, 14, 8, 0),
        time(6, 28, 15, 999_999_000),
        time(6, 28, 16, 0),
        time(23, 59, 59, 999_999_999),
        time(23, 59, 59, 499_999_500),
        time(1, 2, 3, 123_456_499),
        time(1, 2, 3, 123_456_500),
        time(1, 2, 3, 999_500_000),
        Time::from_nanos(86_400_000_000_000).unwrap(),
    ];
    values.extend(days.map(Value::Date));
    values.extend(times.map(Value::Time));
    for day in days {
        values.extend(times.map(|time| Value::from(Timestamp::from_parts(day, time))));
    }
    values.extend([i64::MIN, i64::MAX, 0, 1].map(|at| Timestamp::new(at, 0).unwrap().into()));
    values
}
