//! [`Value`]: what one column of one row holds.

use std::fmt;

use crate::temporal::{Date, Time, Timestamp};
use crate::text::Text;

/// What one column of one row holds.
///
/// A value is 24 bytes, and longer text, bytes, decimals, JSON and arrays are its
/// only heap allocations. `Debug` shows the kind and the length, never the content, so
/// that a logged request gives nothing away.
///
/// Rust's own types convert with [`From`], and so do the types of `uuid`,
/// `chrono`, `time`, `jiff`, `rust_decimal` and `serde_json` behind the
/// features `with-uuid-1`, `with-chrono-04`, `with-time-03`, `with-jiff-02`,
/// `with-decimal-1` and `with-json-1`. `Option<T>` converts wherever `T` does,
/// with `None` as [`Value::Null`].
///
/// ```
/// use batchflow_core::{Value, ValueKind};
///
/// let name = Value::from("Ada");
/// assert_eq!(name.kind(), ValueKind::Text);
/// assert_eq!(format!("{name:?}"), "Text(3 bytes)");
/// assert_eq!(Value::from(None::<i64>), Value::Null);
/// ```
#[derive(Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Value {
    /// SQL NULL. A column that was never set is not NULL: it is unset.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer; every smaller one widens to it.
    I64(i64),
    /// An unsigned integer; every smaller one widens to it.
    U64(u64),
    /// A single-precision float.
    F32(f32),
    /// A double-precision float.
    F64(f64),
    /// Text.
    Text(Text),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// An instant, or a date and time without a zone read as UTC.
    Timestamp(Timestamp),
    /// A calendar day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A decimal number in plain or exponent notation, kept as its text so that no digit is lost.
    Decimal(Box<str>),
    /// A UUID's sixteen bytes in network order.
    Uuid([u8; 16]),
    /// A JSON document as its text.
    Json(Box<str>),
    /// An array; its elements may be NULL and may be arrays.
    Array(Box<[Value]>),
}

/// A borrowed look at a [`Value`]: what a [`Driver`](crate::Driver) encodes from.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// SQL NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A single-precision float.
    F32(f32),
    /// A double-precision float.
    F64(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An instant.
    Timestamp(Timestamp),
    /// A calendar day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A decimal number's text.
    Decimal(&'a str),
    /// A UUID's sixteen bytes in network order.
    Uuid(&'a [u8; 16]),
    /// A JSON document's text.
    Json(&'a str),
    /// An array.
    Array(&'a [Value]),
}

/// The kind of a [`Value`], for messages and for choosing an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// [`Value::Null`]
    Null,
    /// [`Value::Bool`]
    Bool,
    /// [`Value::I64`]
    I64,
    /// [`Value::U64`]
    U64,
    /// [`Value::F32`]
    F32,
    /// [`Value::F64`]
    F64,
    /// [`Value::Text`]
    Text,
    /// [`Value::Bytes`]
    Bytes,
    /// [`Value::Timestamp`]
    Timestamp,
    /// [`Value::Date`]
    Date,
    /// [`Value::Time`]
    Time,
    /// [`Value::Decimal`]
    Decimal,
    /// [`Value::Uuid`]
    Uuid,
    /// [`Value::Json`]
    Json,
    /// [`Value::Array`]
    Array,
}

impl ValueKind {
    /// The kind's name as messages, metrics and dead letters write it: `"i64"`, `"text"`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Time => "time",
            Self::Decimal => "decimal",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Array => "array",
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Value {
    /// Borrows the value for encoding.
    #[inline]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Bool(v) => ValueRef::Bool(*v),
            Self::I64(v) => ValueRef::I64(*v),
            Self::U64(v) => ValueRef::U64(*v),
            Self::F32(v) => ValueRef::F32(*v),
            Self::F64(v) => ValueRef::F64(*v),
            Self::Text(v) => ValueRef::Text(v),
            Self::Bytes(v) => ValueRef::Bytes(v),
            Self::Timestamp(v) => ValueRef::Timestamp(*v),
            Self::Date(v) => ValueRef::Date(*v),
            Self::Time(v) => ValueRef::Time(*v),
            Self::Decimal(v) => ValueRef::Decimal(v),
            Self::Uuid(v) => ValueRef::Uuid(v),
            Self::Json(v) => ValueRef::Json(v),
            Self::Array(v) => ValueRef::Array(v),
        }
    }

    /// The value's kind.
    pub fn kind(&self) -> ValueKind {
        self.as_ref().kind()
    }

    /// Whether this is NULL.
    #[inline]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The bytes the value holds on the heap; what the buffer's byte bounds count beside the
    /// 24 bytes of the value itself.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(v) => v.heap_bytes(),
            Self::Bytes(v) => v.len(),
            Self::Decimal(v) | Self::Json(v) => v.len(),
            Self::Array(v) => array_bytes(v),
            _ => 0,
        }
    }
}

fn array_bytes(items: &[Value]) -> usize {
    items.iter().map(|item| size_of::<Value>() + item.heap_bytes()).sum()
}

impl ValueRef<'_> {
    /// The value's kind.
    pub fn kind(self) -> ValueKind {
        match self {
            Self::Null => ValueKind::Null,
            Self::Bool(_) => ValueKind::Bool,
            Self::I64(_) => ValueKind::I64,
            Self::U64(_) => ValueKind::U64,
            Self::F32(_) => ValueKind::F32,
            Self::F64(_) => ValueKind::F64,
            Self::Text(_) => ValueKind::Text,
            Self::Bytes(_) => ValueKind::Bytes,
            Self::Timestamp(_) => ValueKind::Timestamp,
            Self::Date(_) => ValueKind::Date,
            Self::Time(_) => ValueKind::Time,
            Self::Decimal(_) => ValueKind::Decimal,
            Self::Uuid(_) => ValueKind::Uuid,
            Self::Json(_) => ValueKind::Json,
            Self::Array(_) => ValueKind::Array,
        }
    }

    /// Whether this is NULL.
    #[inline]
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// Copies the value out.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(v) => Value::Bool(v),
            Self::I64(v) => Value::I64(v),
            Self::U64(v) => Value::U64(v),
            Self::F32(v) => Value::F32(v),
            Self::F64(v) => Value::F64(v),
            Self::Text(v) => Value::Text(v.into()),
            Self::Bytes(v) => Value::Bytes(v.into()),
            Self::Timestamp(v) => Value::Timestamp(v),
            Self::Date(v) => Value::Date(v),
            Self::Time(v) => Value::Time(v),
            Self::Decimal(v) => Value::Decimal(v.into()),
            Self::Uuid(v) => Value::Uuid(*v),
            Self::Json(v) => Value::Json(v.into()),
            Self::Array(v) => Value::Array(v.into()),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_ref(), f)
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Text(v) | Self::Decimal(v) | Self::Json(v) => {
                write!(f, "{kind:?}({} bytes)", v.len())
            }
            Self::Bytes(v) => write!(f, "{kind:?}({} bytes)", v.len()),
            Self::Array(v) => write!(f, "{kind:?}({} items)", v.len()),
            _ => write!(f, "{kind:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_small_and_unset_costs_nothing() {
        assert_eq!(size_of::<Value>(), 24);
        assert_eq!(size_of::<Option<Value>>(), 24);
    }

    #[test]
    fn promise_10_debug_shows_kinds_and_never_content() {
        let canary = "canary-7f3a";
        let values = [
            Value::Text(canary.into()),
            Value::Bytes(canary.as_bytes().into()),
            Value::Decimal(canary.into()),
            Value::Json(canary.into()),
            Value::Array([Value::Text(canary.into())].into()),
            Value::I64(770_077),
        ];
        let shown = format!("{values:?}");
        assert!(!shown.contains("canary") && !shown.contains("770077"), "{shown}");
    }
}
