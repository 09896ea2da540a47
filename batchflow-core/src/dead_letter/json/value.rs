//! A value as JSON that names its kind.
//!
//! | value | JSON |
//! |---|---|
//! | NULL | `null` |
//! | truth values, integers | `{"bool":true}`, `{"i64":-1}`, `{"u64":1}` |
//! | floats | `{"f32":"0.1"}`, `{"f64":"NaN"}`, `{"f64":"-0.0"}`: the shortest text that reads back as the same bits |
//! | text, decimals, JSON | `{"text":"Ada"}`, `{"decimal":"1.00"}`, `{"json":"[1]"}`: as they are |
//! | bytes | `{"bytes":"00ff"}` |
//! | UUIDs | `{"uuid":"67e55044-10b1-426f-9247-bb680e5fe0c8"}` |
//! | times | `{"timestamp":"2013-11-03T05:00:00Z"}`, `{"date":"2013-11-03"}`, `{"time":"05:00:00.25"}`; past the year 999,999 as numbers |
//! | arrays | `{"array":[{"i64":1},null]}` |

use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde_json::Value as Json;

use super::moments;
use crate::value::Value;

/// Deeper arrays are refused: the reader's recursion must have an end.
const MAX_DEPTH: usize = 32;

pub(super) struct Tagged<'a> {
    pub(super) value: &'a Value,
    pub(super) depth: usize,
}

impl Serialize for Tagged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.value.is_null() {
            return serializer.serialize_unit();
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_key(self.value.kind().as_str())?;
        match self.value {
            Value::Null => map.serialize_value(&())?,
            Value::Bool(v) => map.serialize_value(v)?,
            Value::I64(v) => map.serialize_value(v)?,
            Value::U64(v) => map.serialize_value(v)?,
            Value::F32(v) => map.serialize_value(&float32(*v))?,
            Value::F64(v) => map.serialize_value(&float64(*v))?,
            Value::Text(v) => map.serialize_value(v.as_str())?,
            Value::Bytes(v) => map.serialize_value(&hex(v))?,
            Value::Timestamp(v) => map.serialize_value(&moments::timestamp(*v))?,
            Value::Date(v) => map.serialize_value(&moments::date(*v))?,
            Value::Time(v) => map.serialize_value(&v.to_string())?,
            Value::Decimal(v) | Value::Json(v) => map.serialize_value(v)?,
            Value::Uuid(v) => map.serialize_value(&hyphenated(v))?,
            Value::Array(_) if self.depth >= MAX_DEPTH => {
                return Err(S::Error::custom(format!(
                    "an array nests deeper than {MAX_DEPTH} levels"
                )));
            }
            Value::Array(items) => {
                let tagged = |value| Tagged { value, depth: self.depth + 1 };
                map.serialize_value(&items.iter().map(tagged).collect::<Vec<_>>())?;
            }
        }
        map.end()
    }
}

/// Reads a tagged value; the error shows the tag at most.
pub(super) fn read(json: Json) -> Result<Value, String> {
    let map = match json {
        Json::Null => return Ok(Value::Null),
        Json::Object(map) if map.len() == 1 => map,
        _ => return Err("a value is neither null nor an object of one tag".to_owned()),
    };
    let Some((tag, json)) = map.into_iter().next() else {
        return Err("a value has no tag".to_owned());
    };
    untag(&tag, json).ok_or_else(|| format!("a value tagged {tag:?} cannot be read"))?
}

/// `None` where the tag is not known or what it holds is not what it says.
fn untag(tag: &str, json: Json) -> Option<Result<Value, String>> {
    let value = match (tag, json) {
        ("bool", Json::Bool(v)) => Value::Bool(v),
        ("i64", Json::Number(v)) => Value::I64(v.as_i64()?),
        ("u64", Json::Number(v)) => Value::U64(v.as_u64()?),
        ("f32", Json::String(v)) => Value::F32(read_float32(&v)?),
        ("f64", Json::String(v)) => Value::F64(read_float64(&v)?),
        ("text", Json::String(v)) => Value::Text(v.into()),
        ("bytes", Json::String(v)) => Value::Bytes(unhex(&v)?.into()),
        ("timestamp", v) => Value::Timestamp(moments::read_timestamp(&v)?),
        ("date", v) => Value::Date(moments::read_date(&v)?),
        ("time", Json::String(v)) => Value::Time(moments::read_time(&v)?),
        ("decimal", Json::String(v)) => Value::Decimal(v.into()),
        ("json", Json::String(v)) => Value::Json(v.into()),
        ("uuid", Json::String(v)) => Value::Uuid(unhex(&v.replace('-', ""))?.try_into().ok()?),
        ("array", Json::Array(items)) => {
            let items: Result<Box<[Value]>, String> = items.into_iter().map(read).collect();
            return Some(items.map(Value::Array));
        }
        _ => return None,
    };
    Some(Ok(value))
}

/// NaN has many bit patterns; any but the usual one is written as its bits.
fn float32(v: f32) -> String {
    if v.is_nan() && v.to_bits() != f32::NAN.to_bits() {
        return format!("NaN:{:08x}", v.to_bits());
    }
    format!("{v:?}")
}

fn float64(v: f64) -> String {
    if v.is_nan() && v.to_bits() != f64::NAN.to_bits() {
        return format!("NaN:{:016x}", v.to_bits());
    }
    format!("{v:?}")
}

fn read_float32(text: &str) -> Option<f32> {
    match text.strip_prefix("NaN:") {
        Some(bits) => u32::from_str_radix(bits, 16).ok().map(f32::from_bits),
        None if text == "NaN" => Some(f32::NAN),
        None => text.parse().ok(),
    }
}

fn read_float64(text: &str) -> Option<f64> {
    match text.strip_prefix("NaN:") {
        Some(bits) => u64::from_str_radix(bits, 16).ok().map(f64::from_bits),
        None if text == "NaN" => Some(f64::NAN),
        None => text.parse().ok(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |&[high, low]: &[u8; 2]| Some((digit(high)? << 4 | digit(low)?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

fn hyphenated(uuid: &[u8; 16]) -> String {
    let hex = hex(uuid);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}
