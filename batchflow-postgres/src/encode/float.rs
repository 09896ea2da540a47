//! Floats.

use std::fmt;

use batchflow_core::ValueRef;

use super::refusal::{Fit, KIND, RANGE};
use super::text::is_space;

const TEXT: &str = "it is not the text of a number";

/// A double. A number that would become zero or infinite is refused.
#[inline]
pub(super) fn double(value: ValueRef<'_>) -> Fit<f64> {
    match value {
        ValueRef::F64(value) => Ok(value),
        ValueRef::F32(value) => Ok(f64::from(value)),
        ValueRef::I64(value) => Ok(value as f64),
        ValueRef::U64(value) => Ok(value as f64),
        ValueRef::Decimal(text) | ValueRef::Text(text) => {
            let number = number_of(text)?;
            let value: f64 = number.parse().map_err(|_| TEXT)?;
            in_range(number, value.is_infinite(), value == 0.0)?;
            Ok(value)
        }
        _ => Err(KIND),
    }
}

/// A float. A number that would become zero or infinite is refused.
#[inline]
pub(super) fn single(value: ValueRef<'_>) -> Fit<f32> {
    match value {
        ValueRef::F32(value) => Ok(value),
        ValueRef::F64(wide) => {
            let value = wide as f32;
            let lost = (value.is_infinite() && wide.is_finite()) || (value == 0.0 && wide != 0.0);
            if lost { Err(RANGE) } else { Ok(value) }
        }
        ValueRef::I64(value) => Ok(value as f32),
        ValueRef::U64(value) => Ok(value as f32),
        ValueRef::Decimal(text) | ValueRef::Text(text) => {
            let number = number_of(text)?;
            let value: f32 = number.parse().map_err(|_| TEXT)?;
            in_range(number, value.is_infinite(), value == 0.0)?;
            Ok(value)
        }
        _ => Err(KIND),
    }
}

/// The text without spaces around it, if it is one that both Rust and PostgreSQL read.
fn number_of(text: &str) -> Fit<&str> {
    let text = text.trim_matches(is_space);
    if is_named(text) || text.bytes().all(|byte| !byte.is_ascii_alphabetic() || byte | 32 == b'e') {
        Ok(text)
    } else {
        Err(TEXT)
    }
}

fn is_named(text: &str) -> bool {
    let name = text.strip_prefix(['-', '+']).unwrap_or(text);
    ["nan", "inf", "infinity"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn in_range(number: &str, infinite: bool, zero: bool) -> Fit<()> {
    let digits = || number.bytes().take_while(|byte| byte | 32 != b'e');
    let vanished = zero && digits().any(|byte| matches!(byte, b'1'..=b'9'));
    if vanished || (infinite && !is_named(number)) { Err(RANGE) } else { Ok(()) }
}

/// A float's text as PostgreSQL prints it: the shortest that reads back as the same.
pub(super) enum Shortest {
    Single(f32),
    Double(f64),
}

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wide, most) = match *self {
            Self::Single(value) => (f64::from(value), 6),
            Self::Double(value) => (value, 15),
        };
        if wide.is_nan() {
            return f.write_str("NaN");
        }
        if wide.is_infinite() {
            return f.write_str(if wide < 0.0 { "-Infinity" } else { "Infinity" });
        }
        // The exponent of the shortest digits, not of the value: 9.9999999999999999 prints as 10.
        let scientific = match *self {
            Self::Single(value) => Stack::of(format_args!("{value:e}")),
            Self::Double(value) => Stack::of(format_args!("{value:e}")),
        };
        let (digits, exponent) = scientific.as_str().split_once('e').unwrap_or_default();
        let power: i32 = exponent.parse().unwrap_or_default();
        if (-4..most).contains(&power) || wide == 0.0 {
            return match *self {
                Self::Single(value) => write!(f, "{value}"),
                Self::Double(value) => write!(f, "{value}"),
            };
        }
        let sign = if power < 0 { '-' } else { '+' };
        write!(f, "{digits}e{sign}{:02}", power.unsigned_abs())
    }
}

/// A short text that needs no heap.
pub(super) struct Stack {
    bytes: [u8; 40],
    len: usize,
}

impl Stack {
    /// What does not fit is left out; no number's shortest text is that long.
    pub(super) fn of(text: fmt::Arguments<'_>) -> Self {
        let mut stack = Self { bytes: [0; 40], len: 0 };
        let _ = fmt::write(&mut stack, text);
        stack
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for Stack {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_would_vanish_or_explode_is_refused() {
        let decimal = |text| ValueRef::Decimal(text);
        for (value, expected) in [
            (ValueRef::F64(0.5), Ok(0.5)),
            (ValueRef::F64(1e39), Err(RANGE)),
            (ValueRef::F64(1e-60), Err(RANGE)),
            (ValueRef::F64(f64::INFINITY), Ok(f32::INFINITY)),
            (decimal("1e39"), Err(RANGE)),
            (decimal("0e99"), Ok(0.0)),
            (decimal("-Infinity"), Ok(f32::NEG_INFINITY)),
            (decimal("x"), Err(TEXT)),
            (decimal(""), Err(TEXT)),
            (ValueRef::Text(" 1.5 "), Ok(1.5)),
            (ValueRef::Bool(true), Err(KIND)),
        ] {
            assert_eq!(single(value), expected, "{value:?}");
        }
        assert_eq!(double(decimal("1e309")), Err(RANGE));
        assert_eq!(double(decimal("1e-400")), Err(RANGE));
        assert!(double(decimal("nan")).unwrap().is_nan());
        assert_eq!(double(ValueRef::U64(u64::MAX)), Ok(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn floats_print_as_postgresql_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-1.5e300, "-1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Shortest::Double(value).to_string(), text);
        }
        assert_eq!(Shortest::Single(1e6).to_string(), "1e+06");
        assert_eq!(Shortest::Single(0.1).to_string(), "0.1");
    }
}
