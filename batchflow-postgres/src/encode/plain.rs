//! A value's text by its own kind: what a text column stores, and any type reads.

use std::fmt;

use ::bytes::{BufMut, BytesMut};
use batchflow_core::{Date, Timestamp, Value, ValueRef};

use super::float::Shortest;
use super::refusal::{Fit, KIND, RANGE};
use super::{bytes, list, temporal, text};

/// The text of a value for a column of text, NUL refused. Moments are written in UTC, with all
/// their digits.
#[inline]
pub(super) fn put(value: ValueRef<'_>, out: &mut impl fmt::Write) -> Fit<()> {
    let written = match value {
        ValueRef::Text(text) | ValueRef::Json(text) | ValueRef::Decimal(text) => {
            text::no_nul(text)?;
            out.write_str(text)
        }
        ValueRef::Bool(value) => out.write_str(if value { "true" } else { "false" }),
        ValueRef::I64(value) => write!(out, "{value}"),
        ValueRef::U64(value) => write!(out, "{value}"),
        ValueRef::F32(value) => write!(out, "{}", Shortest::Single(value)),
        ValueRef::F64(value) => write!(out, "{}", Shortest::Double(value)),
        ValueRef::Bytes(bytes) => bytes::write_hex(bytes, out),
        ValueRef::Uuid(uuid) => bytes::write_uuid(uuid, out),
        ValueRef::Date(date) => write_date(date, out),
        ValueRef::Time(time) => write!(out, "{time}"),
        ValueRef::Timestamp(moment) => return write_timestamp(moment, out),
        ValueRef::Array(items) => return list::put(items, ',', out, plain_item),
        _ => return Err(KIND),
    };
    written.map_err(|_| RANGE)
}

fn plain_item(value: &Value, out: &mut list::Quoted<'_>) -> Fit<()> {
    put(value.as_ref(), out)
}

fn write_date(date: Date, out: &mut impl fmt::Write) -> fmt::Result {
    let era = write_day(date, out)?;
    out.write_str(era)
}

fn write_timestamp(moment: Timestamp, out: &mut impl fmt::Write) -> Fit<()> {
    let (date, time) = moment.to_parts().ok_or(RANGE)?;
    let written = write_day(date, out).and_then(|era| write!(out, " {time}+00{era}"));
    written.map_err(|_| RANGE)
}

fn write_day(date: Date, out: &mut impl fmt::Write) -> Result<&'static str, fmt::Error> {
    temporal::write_day(i64::from(date.unix_days()), out)
}

/// Writes text into a buffer of bytes.
pub(super) struct Bytes<'a>(pub(super) &'a mut BytesMut);

impl fmt::Write for Bytes<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use batchflow_core::Time;

    use super::*;

    #[test]
    fn each_kind_has_the_text_that_postgresql_would_print() {
        let date = |year, month, day| Date::from_ymd(year, month, day).unwrap();
        let noon = Time::from_hms_nano(12, 0, 0, 500).unwrap();
        for (value, expected) in [
            (Value::Bool(true), "true"),
            (Value::U64(u64::MAX), "18446744073709551615"),
            (Value::F64(1e20), "1e+20"),
            (Value::Bytes([0, 255].into()), "\\x00ff"),
            (Value::Date(date(2024, 2, 29)), "2024-02-29"),
            (Value::Date(date(-43, 3, 15)), "0044-03-15 BC"),
            (Value::Time(noon), "12:00:00.0000005"),
            (
                Timestamp::from_parts(date(2024, 2, 29), noon).into(),
                "2024-02-29 12:00:00.0000005+00",
            ),
            (Value::Json("{}".into()), "{}"),
            (
                Value::Array([Value::I64(1), Value::Null, "a\"b".into()].into()),
                r#"{1,NULL,"a\"b"}"#,
            ),
        ] {
            let mut text = String::new();
            put(value.as_ref(), &mut text).unwrap();
            assert_eq!(text, expected);
        }
        assert!(put(ValueRef::Text("a\0"), &mut String::new()).is_err());
    }
}
