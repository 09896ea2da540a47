//! What a column makes of a value: stored form, equality, and the arithmetic of [`Merge`].

use std::cmp::Ordering;

use crate::decimal;
use crate::driver::{ColumnKind, Comparison, ErrorKind};
use crate::schema::Merge;
use crate::temporal::{Time, Timestamp};
use crate::value::Value;

use super::table::Column;

/// The value as the column stores it; a value that does not fit is a [`ErrorKind::Data`] error.
pub(crate) fn store(column: &Column, value: &Value) -> Result<Value, ErrorKind> {
    let stored = match (column.kind(), value) {
        (_, Value::Null) => Some(Value::Null),
        (ColumnKind::Unknown | ColumnKind::Other, value) => Some(match value {
            Value::U64(v) => i64::try_from(*v).map_or(Value::U64(*v), Value::I64),
            value => value.clone(),
        }),
        (ColumnKind::Bool, Value::Bool(_))
        | (ColumnKind::Integer, Value::I64(_))
        | (ColumnKind::Float64, Value::F64(_))
        | (ColumnKind::Float32, Value::F32(_))
        | (ColumnKind::Text, Value::Text(_))
        | (ColumnKind::Bytes, Value::Bytes(_))
        | (ColumnKind::Date, Value::Date(_))
        | (ColumnKind::Uuid, Value::Uuid(_)) => Some(value.clone()),
        (ColumnKind::Integer, Value::U64(v)) => i64::try_from(*v).ok().map(Value::I64),
        (ColumnKind::Float64, value) => float(value).map(Value::F64),
        (ColumnKind::Float32, value) => float(value).map(|wide| Value::F32(wide as f32)),
        (ColumnKind::Decimal, value) => decimal_of(value).map(|number| {
            let digits = column.digits().map_or(number.scale, u32::from);
            Value::Decimal(number.round(digits).text().into())
        }),
        (ColumnKind::Timestamp, Value::Timestamp(v)) => {
            round(v.unix_nanos(), column.digits()).and_then(timestamp).map(Value::Timestamp)
        }
        (ColumnKind::Time, Value::Time(v)) => round(v.nanos().into(), column.digits())
            .and_then(|nanos| Time::from_nanos(u64::try_from(nanos).ok()?))
            .map(Value::Time),
        _ => None,
    };
    stored.ok_or(ErrorKind::Data)
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F32(v) => Some(f64::from(*v)),
        Value::F64(v) => Some(*v),
        Value::I64(v) => Some(*v as f64),
        Value::U64(v) => Some(*v as f64),
        _ => None,
    }
}

fn round(nanos: i128, digits: Option<u8>) -> Option<i128> {
    let unit = 10_i128.pow(9_u32.checked_sub(u32::from(digits.unwrap_or(9).min(9)))?);
    Some((nanos + unit / 2).div_euclid(unit) * unit)
}

fn timestamp(nanos: i128) -> Option<Timestamp> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    Timestamp::new(seconds, nanos.rem_euclid(1_000_000_000) as u32)
}

/// Bytes that are equal where a column that compares so takes two stored values for one; `None`
/// for NULL, which equals nothing.
pub(crate) fn identity(comparison: Comparison, value: &Value) -> Option<Vec<u8>> {
    let text = |text: &str| match comparison {
        Comparison::Natural | Comparison::Printable | Comparison::TrimEndZeros => text.to_owned(),
        Comparison::AsciiNoCase => text.to_ascii_lowercase(),
        Comparison::TrimEnd | Comparison::PrintableTrimEnd => text.trim_end_matches(' ').to_owned(),
        Comparison::PrintableNoCase | Comparison::Opaque => text.to_lowercase(),
        Comparison::PrintableNoCaseTrimEnd => text.trim_end_matches(' ').to_lowercase(),
    };
    let bits = |float: f64| (float + 0.0).to_bits().to_string();
    let shown = match value {
        Value::Null => return None,
        Value::Bool(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::F32(v) => bits(f64::from(*v)),
        Value::F64(v) => bits(*v),
        Value::Text(v) => text(v),
        Value::Bytes(v) => {
            let mut bytes = v.to_vec();
            if comparison == Comparison::TrimEndZeros {
                bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1));
            }
            return Some(bytes);
        }
        Value::Timestamp(v) => v.unix_nanos().to_string(),
        Value::Date(v) => v.unix_days().to_string(),
        Value::Time(v) => v.nanos().to_string(),
        Value::Decimal(v) => decimal::normalize(v).map_or_else(|| v.to_string(), |n| n.to_string()),
        Value::Uuid(v) => return Some(v.to_vec()),
        Value::Json(v) => v.to_string(),
        Value::Array(items) => {
            let parts: Vec<_> = items.iter().map(|item| identity(comparison, item)).collect();
            format!("{parts:?}")
        }
    };
    Some(shown.into_bytes())
}

/// What an update makes of the table's value and the row's, both as the column stores them.
pub(crate) fn merge(rule: Merge, old: &Value, new: &Value) -> Result<Value, ErrorKind> {
    match rule {
        Merge::Set => Ok(new.clone()),
        _ if old.is_null() => Ok(new.clone()),
        _ if new.is_null() => Ok(old.clone()),
        Merge::KeepExisting => Ok(old.clone()),
        Merge::Add => add(old, new).ok_or(ErrorKind::Data),
        Merge::Max | Merge::Min => {
            let order = compare(new, old).ok_or(ErrorKind::Schema)?;
            let wins = if rule == Merge::Max { Ordering::Greater } else { Ordering::Less };
            Ok(if order == wins { new.clone() } else { old.clone() })
        }
    }
}

/// Whether a column of this kind can be merged by the rule.
pub(crate) fn can_merge(rule: Merge, kind: ColumnKind) -> bool {
    use ColumnKind::{Date, Decimal, Float32, Float64, Integer, Time, Timestamp, Unknown};
    match rule {
        Merge::Set | Merge::KeepExisting => true,
        Merge::Add => matches!(kind, Integer | Decimal | Float32 | Float64 | Unknown),
        Merge::Max | Merge::Min => matches!(
            kind,
            Integer | Decimal | Float32 | Float64 | Timestamp | Date | Time | Unknown
        ),
    }
}

fn add(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::I64(a), Value::I64(b)) => a.checked_add(*b).map(Value::I64),
        (Value::F32(a), Value::F32(b)) => Some(Value::F32(a + b)),
        (Value::F32(_) | Value::F64(_), _) | (_, Value::F32(_) | Value::F64(_)) => {
            Some(Value::F64(float(a)? + float(b)?))
        }
        _ => {
            let (a, b) = (decimal_of(a)?, decimal_of(b)?);
            let scale = a.scale.max(b.scale);
            let sum = a.at(scale)?.checked_add(b.at(scale)?)?;
            let text = Number { mantissa: sum, scale }.text();
            Some(Value::Decimal(text.into()))
        }
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::I64(a), Value::I64(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::F32(_) | Value::F64(_), _) | (_, Value::F32(_) | Value::F64(_)) => {
            float(a)?.partial_cmp(&float(b)?)
        }
        _ => {
            let (a, b) = (decimal_of(a)?, decimal_of(b)?);
            let scale = a.scale.max(b.scale);
            Some(a.at(scale)?.cmp(&b.at(scale)?))
        }
    }
}

/// `mantissa / 10^scale`.
#[derive(Clone, Copy)]
struct Number {
    mantissa: i128,
    scale: u32,
}

fn decimal_of(value: &Value) -> Option<Number> {
    let integer = |mantissa| Some(Number { mantissa, scale: 0 });
    match value {
        Value::I64(v) => integer(i128::from(*v)),
        Value::U64(v) => integer(i128::from(*v)),
        Value::Decimal(v) => {
            let plain = decimal::normalize(v)?.to_string();
            let scale = plain.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u32);
            Some(Number { mantissa: plain.replace('.', "").parse().ok()?, scale })
        }
        _ => None,
    }
}

impl Number {
    fn at(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.checked_pow(scale - self.scale)?)
    }

    /// Rounds half away from zero.
    fn round(self, scale: u32) -> Self {
        if scale >= self.scale {
            return self;
        }
        let unit = 10_i128.saturating_pow(self.scale - scale);
        let half = unit / 2 * self.mantissa.signum();
        Self { mantissa: self.mantissa.saturating_add(half) / unit, scale }
    }

    fn text(self) -> String {
        let exact = format!("{}e-{}", self.mantissa, self.scale);
        decimal::normalize(&exact).map_or(exact, |number| number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Value {
        Value::Decimal(text.into())
    }

    #[test]
    fn a_column_stores_what_fits_and_refuses_the_rest() {
        let column = |kind| Column::new("c", kind);
        let cases = [
            (column(ColumnKind::Integer), Value::U64(3), Ok(Value::I64(3))),
            (column(ColumnKind::Integer), Value::U64(u64::MAX), Err(ErrorKind::Data)),
            (column(ColumnKind::Integer), Value::from("3"), Err(ErrorKind::Data)),
            (column(ColumnKind::Float64), Value::I64(2), Ok(Value::F64(2.0))),
            (column(ColumnKind::Decimal).scale(2), decimal("1.005"), Ok(decimal("1.01"))),
            (column(ColumnKind::Decimal).scale(2), decimal("-1.005"), Ok(decimal("-1.01"))),
            (column(ColumnKind::Decimal), decimal("1.50"), Ok(decimal("1.5"))),
            (column(ColumnKind::Text), Value::Null, Ok(Value::Null)),
            (
                column(ColumnKind::Timestamp).scale(6),
                Value::Timestamp(Timestamp::new(1, 1_500).unwrap()),
                Ok(Value::Timestamp(Timestamp::new(1, 2_000).unwrap())),
            ),
        ];
        for (column, value, expected) in cases {
            assert_eq!(store(&column, &value), expected);
        }
    }

    #[test]
    fn merging_yields_the_other_side_where_one_is_null() {
        let null = Value::Null;
        for rule in [Merge::Add, Merge::Max, Merge::Min, Merge::KeepExisting] {
            assert_eq!(merge(rule, &null, &Value::I64(1)), Ok(Value::I64(1)));
            assert_eq!(merge(rule, &Value::I64(1), &null), Ok(Value::I64(1)));
        }
        assert_eq!(merge(Merge::Set, &Value::I64(1), &null), Ok(Value::Null));
        let add = |a: &Value, b: &Value| merge(Merge::Add, a, b);
        assert_eq!(add(&decimal("1.25"), &decimal("-2")), Ok(decimal("-0.75")));
        assert_eq!(add(&Value::I64(i64::MAX), &Value::I64(1)), Err(ErrorKind::Data));
        assert_eq!(merge(Merge::Max, &decimal("9.5"), &decimal("10")), Ok(decimal("10")));
        assert_eq!(merge(Merge::Min, &Value::F64(2.0), &Value::F64(1.0)), Ok(Value::F64(1.0)));
    }
}
