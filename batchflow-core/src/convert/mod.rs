//! Conversions from Rust's own types into [`Value`]; those of other crates' types stand beside,
//! each behind its feature.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::temporal::{Date, Time, Timestamp};
use crate::text::Text;
use crate::value::Value;

macro_rules! from {
    ($($rust:ty => |$value:ident| $make:expr;)+) => {$(
        impl From<$rust> for Value {
            #[inline]
            fn from($value: $rust) -> Self {
                $make
            }
        }
    )+};
}

from! {
    bool => |v| Self::Bool(v);
    i8 => |v| Self::I64(v.into());
    i16 => |v| Self::I64(v.into());
    i32 => |v| Self::I64(v.into());
    i64 => |v| Self::I64(v);
    u8 => |v| Self::U64(v.into());
    u16 => |v| Self::U64(v.into());
    u32 => |v| Self::U64(v.into());
    u64 => |v| Self::U64(v);
    isize => |v| Self::I64(v as i64);
    usize => |v| Self::U64(v as u64);
    f32 => |v| Self::F32(v);
    f64 => |v| Self::F64(v);
    char => |v| Self::Text(v.into());
    &str => |v| Self::Text(v.into());
    Text => |v| Self::Text(v);
    String => |v| Self::Text(v.into());
    &String => |v| Self::Text(v.into());
    Box<str> => |v| Self::Text(v.into());
    Cow<'_, str> => |v| Self::Text(v.into());
    &[u8] => |v| Self::Bytes(v.into());
    Vec<u8> => |v| Self::Bytes(v.into());
    Box<[u8]> => |v| Self::Bytes(v);
    Timestamp => |v| Self::Timestamp(v);
    Date => |v| Self::Date(v);
    Time => |v| Self::Time(v);
    SystemTime => |v| Self::Timestamp(v.into());
    Vec<Value> => |v| Self::Array(v.into());
}

impl<T: Into<Value>> From<Option<T>> for Value {
    #[inline]
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// 128-bit integers convert where they fit 64 bits; a larger one is best set as
/// [`Value::Decimal`].
macro_rules! wide {
    ($($rust:ty),+) => {$(
        impl TryFrom<$rust> for Value {
            type Error = std::num::TryFromIntError;

            fn try_from(value: $rust) -> Result<Self, Self::Error> {
                match i64::try_from(value) {
                    Ok(small) => Ok(Self::I64(small)),
                    Err(_) => u64::try_from(value).map(Self::U64),
                }
            }
        }
    )+};
}

wide!(i128, u128);

macro_rules! arrays {
    ($($item:ty),+) => {$(
        /// An array, element by element.
        impl From<Vec<$item>> for Value {
            fn from(items: Vec<$item>) -> Self {
                Self::Array(items.into_iter().map(Into::into).collect())
            }
        }

        /// An array, element by element, `None` as NULL.
        impl From<Vec<Option<$item>>> for Value {
            fn from(items: Vec<Option<$item>>) -> Self {
                Self::Array(items.into_iter().map(Into::into).collect())
            }
        }
    )+};
}

arrays!(bool, i16, i32, i64, u16, u32, u64, f32, f64, &str, String, Timestamp, Date, Time);

#[cfg(feature = "with-chrono-04")]
mod chrono;
#[cfg(feature = "with-decimal-1")]
mod decimal;
#[cfg(feature = "with-jiff-02")]
mod jiff;
#[cfg(feature = "with-json-1")]
mod json;
#[cfg(feature = "with-time-03")]
mod time;
#[cfg(feature = "with-uuid-1")]
mod uuid;

#[cfg(test)]
mod tests;
