//! What the conversions of each crate are checked with, and those of Rust's own types.

#![allow(dead_code, reason = "each feature uses a part")]

use std::fmt::Debug;

use crate::request::FromValue;
use crate::temporal::{Date, Time, Timestamp};
use crate::value::Value;

/// The value converts as expected, alone, as an option and in arrays, and reads back as it was.
pub(super) fn both_ways<T>(value: T, expected: &Value)
where
    T: Into<Value> + FromValue + Clone + PartialEq + Debug,
    Vec<T>: Into<Value>,
    Vec<Option<T>>: Into<Value>,
{
    assert!(value.clone().into() == *expected, "{value:?}");
    assert!(Value::from(Some(value.clone())) == *expected, "{value:?}");
    let array: Value = vec![value.clone(), value.clone()].into();
    assert!(array == Value::Array([expected.clone(), expected.clone()].into()), "{value:?}");
    let options = vec![Some(value.clone()), None];
    let array: Value = options.clone().into();
    assert!(array == Value::Array([expected.clone(), Value::Null].into()), "{value:?}");
    assert_eq!(Vec::<Option<T>>::from_value(&array), Some(options));
    assert_eq!(T::from_value(expected), Some(value));
    for other in [Value::Null, Value::Bool(true), Value::Text("x".into()), Value::F64(0.5)] {
        assert!(other.kind() == expected.kind() || T::from_value(&other).is_none());
    }
}

/// The value is beyond what a `T` can hold.
pub(super) fn beyond<T: FromValue>(value: &Value) {
    assert!(T::from_value(value).is_none(), "{} holds {value:?}", std::any::type_name::<T>());
}

pub(super) fn moment(seconds: i64, nanos: u32) -> Value {
    Value::Timestamp(Timestamp::new(seconds, nanos).unwrap())
}

pub(super) fn day(year: i32, month: u8, day: u8) -> Value {
    Value::Date(Date::from_ymd(year, month, day).unwrap())
}

pub(super) fn clock(hour: u8, minute: u8, second: u8, nano: u32) -> Value {
    Value::Time(Time::from_hms_nano(hour, minute, second, nano).unwrap())
}

/// The greatest and least moments, days and the time 24:00:00, which no other crate holds.
pub(super) fn extremes() -> (Vec<Value>, Vec<Value>, Value) {
    let moments = [i64::MIN, i64::MAX].map(|seconds| moment(seconds, 999_999_999));
    let days = [i32::MIN, i32::MAX].map(|days| Value::Date(Date::from_unix_days(days)));
    let midnight = Value::Time(Time::from_nanos(86_400_000_000_000).unwrap());
    (moments.into(), days.into(), midnight)
}

#[test]
fn rusts_own_types_convert_at_their_limits() {
    both_ways(i64::MIN, &Value::I64(i64::MIN));
    both_ways(u64::MAX, &Value::U64(u64::MAX));
    both_ways(i16::MIN, &Value::I64(-32_768));
    both_ways(true, &Value::Bool(true));
    both_ways(String::from("Ada"), &Value::Text("Ada".into()));
    both_ways(f32::MAX, &Value::F32(f32::MAX));
    beyond::<i64>(&Value::U64(u64::MAX));
    beyond::<u64>(&Value::I64(-1));
    beyond::<i8>(&Value::I64(128));
    assert_eq!(Value::try_from(i128::from(u64::MAX)), Ok(Value::U64(u64::MAX)));
    assert_eq!(Value::try_from(i128::from(i64::MIN)), Ok(Value::I64(i64::MIN)));
    assert!(Value::try_from(i128::from(u64::MAX) + 1).is_err());
    assert!(Value::try_from(i128::MIN).is_err() && Value::try_from(u128::MAX).is_err());
}
