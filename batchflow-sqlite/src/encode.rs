//! From a [`ValueRef`] to what SQLite stores, and what it is refused for.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use batchflow_core::{Batch, Date, ErrorKind, Schema, Stage, Value, ValueRef, WriteError};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef as Sql};

use crate::table::{Affinity, Collation, Column};

/// The most rows that one error names.
pub(crate) const MAX_BLAME: usize = 64;

/// Checks the values of these rows against their columns, just before they are bound: then the
/// rows are in the processor's cache when they are.
#[inline]
pub(crate) fn check(
    batch: &Batch,
    columns: &[Column],
    rows: Range<usize>,
) -> Result<(), WriteError> {
    for row in rows {
        if fault(batch, columns, row).is_some() {
            return Err(faults(batch, columns));
        }
    }
    Ok(())
}

/// The position and the fault of a row's first value that does not fit its column.
#[inline]
fn fault(batch: &Batch, columns: &[Column], row: usize) -> Option<(usize, &'static str)> {
    let request = batch.request(row)?;
    batch.columns().iter().find_map(|&position| {
        let why = refuse(request.value(position)?.as_ref(), &columns[position])?;
        Some((position, why))
    })
}

/// The error that names the batch's rows at fault, and the column of the first.
#[cold]
fn faults(batch: &Batch, columns: &[Column]) -> WriteError {
    let mut blame = Vec::new();
    let mut first = None;
    for row in 0..batch.len() {
        if let Some(fault) = fault(batch, columns, row) {
            first.get_or_insert(fault);
            blame.push(row);
            if blame.len() == MAX_BLAME {
                break;
            }
        }
    }
    match first {
        Some((position, why)) => data_error(batch.schema(), position, why).with_blame(blame),
        None => WriteError::new(ErrorKind::Internal).at(Stage::Encode),
    }
}

fn data_error(schema: &Schema, position: usize, why: &str) -> WriteError {
    WriteError::new(ErrorKind::Data)
        .at(Stage::Encode)
        .with_table(schema.table())
        .with_column(schema.column(position))
        .with_message(why)
}

/// What is wrong with a value for its column, if anything.
#[inline]
fn refuse(value: ValueRef<'_>, column: &Column) -> Option<&'static str> {
    if column.compared
        && let Some(why) = refuse_compared(value, column.affinity)
    {
        return Some(why);
    }
    match value {
        ValueRef::U64(v) if i64::try_from(v).is_err() => {
            Some("SQLite's integers end at 9223372036854775807")
        }
        ValueRef::F32(v) if v.is_nan() => Some(NAN),
        ValueRef::F64(v) if v.is_nan() => Some(NAN),
        ValueRef::Text(v) if column.collation == Some(Collation::NoCase) => {
            v.contains('\0').then_some("NOCASE compares no text past a NUL character")
        }
        ValueRef::Timestamp(v) => match v.to_parts() {
            Some((date, _)) => refuse_date(date),
            None => Some(YEARS),
        },
        ValueRef::Date(v) => refuse_date(v),
        ValueRef::Decimal(v) => refuse_decimal(v, column),
        ValueRef::Array(items) => json(items).err(),
        _ => None,
    }
}

/// To SQLite any text is greater than any number: of two values, both have to be the one or the other.
fn refuse_compared(value: ValueRef<'_>, affinity: Affinity) -> Option<&'static str> {
    use ValueRef::{Bytes, Date, Decimal, Json, Null, Text, Time, Timestamp};
    match (affinity, value) {
        (_, Timestamp(_) | Date(_) | Time(_) | Null) => None,
        (Affinity::Text, _) => Some("the column holds text, of which only times are compared"),
        (_, Text(_) | Json(_) | Bytes(_)) => Some("only numbers and times are compared"),
        (Affinity::Blob, Decimal(_)) => Some("a column without a type keeps decimals as text"),
        _ => None,
    }
}

const NAN: &str = "SQLite would store NaN as NULL";
const YEARS: &str = "only the years 0000 to 9999 sort as text";

fn refuse_date(date: Date) -> Option<&'static str> {
    (!(0..=9_999).contains(&date.to_ymd().0)).then_some(YEARS)
}

fn refuse_decimal(text: &str, column: &Column) -> Option<&'static str> {
    let Some(number) = Decimal::read(text) else {
        return Some("it is not a decimal number");
    };
    let exact = match column.affinity {
        Affinity::Integer => true,
        Affinity::Numeric => column.collation.is_some(),
        _ => false,
    };
    // SQLite would make it a float, and two numbers one.
    (exact && number == Decimal::Huge).then_some("an integer beyond 64 bits")
}

/// A decimal's text as far as its encoding needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decimal {
    Integer(i64),
    /// An integer beyond 64 bits, or a number too large to have a fraction in a float.
    Huge,
    Fraction,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        {
            return None;
        }
        let float: f64 = text.parse().ok()?;
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0');
        let zeros = i32::try_from(digits.len() - significant.len()).ok()?;
        let scale = i32::try_from(fraction.len()).ok()?;
        let exponent = exponent.checked_sub(scale)?.checked_add(zeros)?;
        if !significant.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            return Some(Self::Integer(0));
        }
        if exponent < 0 {
            let huge = float.abs() >= 9_223_372_036_854_775_808.0;
            return Some(if huge { Self::Huge } else { Self::Fraction });
        }
        let integer = u32::try_from(exponent).ok().and_then(|exponent| {
            10_i64.checked_pow(exponent)?.checked_mul(significant.parse().ok()?)
        });
        Some(integer.map_or(Self::Huge, Self::Integer))
    }
}

/// A value on its way into a statement.
#[derive(Debug)]
pub(crate) struct Encoded<'a> {
    pub(crate) value: ValueRef<'a>,
    pub(crate) affinity: Affinity,
}

impl ToSql for Encoded<'_> {
    #[inline]
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = |text: Cow<'_, str>| ToSqlOutput::from(text.into_owned());
        Ok(match self.value {
            ValueRef::Null => ToSqlOutput::Borrowed(Sql::Null),
            ValueRef::I64(v) => ToSqlOutput::Borrowed(Sql::Integer(v)),
            ValueRef::Text(v) | ValueRef::Json(v) => ToSqlOutput::Borrowed(Sql::Text(v.as_bytes())),
            ValueRef::F64(v) => ToSqlOutput::Borrowed(Sql::Real(v)),
            ValueRef::Bool(v) => ToSqlOutput::Borrowed(Sql::Integer(v.into())),
            ValueRef::U64(v) => match i64::try_from(v) {
                Ok(v) => ToSqlOutput::Borrowed(Sql::Integer(v)),
                Err(error) => return Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
            },
            ValueRef::F32(v) => ToSqlOutput::Borrowed(Sql::Real(v.into())),
            ValueRef::Bytes(v) => ToSqlOutput::Borrowed(Sql::Blob(v)),
            // The number that the column makes of it, as a rule compares it before the column does.
            ValueRef::Decimal(v) => match (self.affinity, Decimal::read(v), v.parse()) {
                (Affinity::Integer | Affinity::Numeric, Some(Decimal::Integer(v)), _) => {
                    ToSqlOutput::Borrowed(Sql::Integer(v))
                }
                (Affinity::Integer | Affinity::Numeric | Affinity::Real, Some(_), Ok(v)) => {
                    ToSqlOutput::Borrowed(Sql::Real(v))
                }
                _ => ToSqlOutput::Borrowed(Sql::Text(v.as_bytes())),
            },
            ValueRef::Uuid(v) if self.affinity == Affinity::Text => text(uuid(v).into()),
            ValueRef::Uuid(v) => ToSqlOutput::Borrowed(Sql::Blob(v)),
            ValueRef::Timestamp(_) | ValueRef::Date(_) | ValueRef::Time(_) => {
                text(moment(self.value).into())
            }
            ValueRef::Array(v) => match json(v) {
                Ok(array) => text(array.to_string().into()),
                Err(why) => return Err(rusqlite::Error::ToSqlConversionFailure(why.into())),
            },
            _ => return Err(rusqlite::Error::ToSqlConversionFailure("an unknown kind".into())),
        })
    }
}

/// ISO 8601 that sorts as text: `+` sorts before `.`, which `Z` does not.
pub(crate) fn moment(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Timestamp(v) => {
            let mut text = v.to_string();
            if text.ends_with('Z') {
                text.pop();
                text.push_str("+00:00");
            }
            text
        }
        ValueRef::Date(v) => v.to_string(),
        ValueRef::Time(v) => v.to_string(),
        _ => String::new(),
    }
}

fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn json(items: &[Value]) -> Result<serde_json::Value, &'static str> {
    use serde_json::Value as Json;
    let item = |value: &Value| {
        Ok(match value.as_ref() {
            ValueRef::Null => Json::Null,
            ValueRef::Bool(v) => v.into(),
            ValueRef::I64(v) => v.into(),
            ValueRef::U64(v) => v.into(),
            ValueRef::F32(v) if v.is_finite() => f64::from(v).into(),
            ValueRef::F64(v) if v.is_finite() => v.into(),
            ValueRef::F32(_) | ValueRef::F64(_) => return Err("JSON has no NaN and no infinity"),
            ValueRef::Text(v) | ValueRef::Decimal(v) => v.into(),
            ValueRef::Json(v) => {
                serde_json::from_str(v).map_err(|_| "an item of the array is not valid JSON")?
            }
            ValueRef::Uuid(v) => uuid(v).into(),
            ValueRef::Array(v) => json(v)?,
            ValueRef::Bytes(_) => return Err("JSON has no bytes"),
            moment_like => moment(moment_like).into(),
        })
    };
    Ok(Json::Array(items.iter().map(item).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use batchflow_core::{Time, Timestamp};

    use super::*;

    #[test]
    fn decimals_that_are_integers_are_found_in_any_notation() {
        for (text, expected) in [
            ("12", Some(Decimal::Integer(12))),
            ("-12.00", Some(Decimal::Integer(-12))),
            ("1.5e1", Some(Decimal::Integer(15))),
            ("0.000", Some(Decimal::Integer(0))),
            ("1200e-2", Some(Decimal::Integer(12))),
            ("9007199254740993.0", Some(Decimal::Integer(9_007_199_254_740_993))),
            ("9223372036854775808", Some(Decimal::Huge)),
            ("1e300", Some(Decimal::Huge)),
            ("1.25", Some(Decimal::Fraction)),
            ("NaN", None),
            ("inf", None),
            ("", None),
            ("1.2.3", None),
        ] {
            assert_eq!(Decimal::read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn moments_sort_as_text_as_they_do_in_time() {
        let at = |seconds, nanos| ValueRef::Timestamp(Timestamp::new(seconds, nanos).unwrap());
        let moments = [at(-1, 0), at(0, 0), at(0, 250_000_000), at(0, 253_000_000), at(1, 0)];
        let texts = moments.map(moment);
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[2], "1970-01-01T00:00:00.25+00:00");
        let noon = Time::from_hms_nano(12, 0, 0, 5_000_000).unwrap();
        assert_eq!(moment(ValueRef::Time(noon)), "12:00:00.005");
    }

    #[test]
    fn arrays_are_json_text() {
        let items = [Value::I64(1), Value::Null, Value::Array([Value::from("a\"")].into())];
        assert_eq!(json(&items).unwrap().to_string(), r#"[1,null,["a\""]]"#);
        assert!(json(&[Value::Bytes([1].into())]).is_err());
        assert_eq!(uuid(&[0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }
}
