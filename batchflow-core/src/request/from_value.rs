//! Reading a value as one of Rust's types.

use crate::temporal::{Date, Time, Timestamp};
use crate::value::Value;

/// A type that a [`Request`](super::Request)'s value can be read as.
pub trait FromValue: Sized {
    /// Reads `value`; `None` where it is of another kind or out of this type's range.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty)+) => {$(
        impl FromValue for $integer {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::I64(v) => Self::try_from(*v).ok(),
                    Value::U64(v) => Self::try_from(*v).ok(),
                    _ => None,
                }
            }
        }
    )+};
}

integers!(i8 i16 i32 i64 u8 u16 u32 u64 isize usize);

macro_rules! reads {
    ($($rust:ty: $($pattern:pat => $read:expr),+;)+) => {$(
        impl FromValue for $rust {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $($pattern => Some($read),)+
                    _ => None,
                }
            }
        }
    )+};
}

reads! {
    bool: Value::Bool(v) => *v;
    f32: Value::F32(v) => *v;
    f64: Value::F64(v) => *v, Value::F32(v) => f64::from(*v);
    String: Value::Text(v) => v.to_string(), Value::Decimal(v) | Value::Json(v) => v.to_string();
    Vec<u8>: Value::Bytes(v) => v.to_vec();
    [u8; 16]: Value::Uuid(v) => *v;
    Timestamp: Value::Timestamp(v) => *v;
    Date: Value::Date(v) => *v;
    Time: Value::Time(v) => *v;
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: FromValue> FromValue for Vec<Option<T>> {
    fn from_value(value: &Value) -> Option<Self> {
        let Value::Array(items) = value else {
            return None;
        };
        let read = |item: &Value| match item {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        };
        items.iter().map(read).collect()
    }
}
