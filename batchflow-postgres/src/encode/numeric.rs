//! `numeric`: decimals of any length, in groups of four digits.

use std::fmt;

use batchflow_core::ValueRef;
use bytes::{BufMut, BytesMut};

use super::float::{Shortest, Stack};
use super::refusal::{Fit, KIND, RANGE};
use super::text::is_space;
use crate::types::NumericLimit;

const TEXT: &str = "it is not a decimal number";

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const PLUS_INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;

/// What PostgreSQL's binary form holds at most.
const MAX_SCALE: i64 = 16_383;
const MAX_POINT: i64 = 131_072;

/// A decimal number as its text has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number<'a> {
    Nan,
    Infinity { negative: bool },
    Finite(Finite<'a>),
}

/// `0.digits × 10^point`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finite<'a> {
    negative: bool,
    /// From the first significant digit to the last, with the decimal point where it stands
    /// between them; empty for zero.
    digits: &'a [u8],
    /// How many of them are digits.
    len: usize,
    point: i64,
    /// How many digits the text has after the decimal point.
    scale: i64,
}

impl<'a> Number<'a> {
    /// Reads what PostgreSQL reads: plain and exponent notation, `NaN` and infinities.
    pub(super) fn read(text: &'a str) -> Fit<Self> {
        let text = text.trim_matches(is_space);
        let (negative, number) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        let named = |name: &str| number.eq_ignore_ascii_case(name.as_bytes());
        if named("nan") && number.len() == text.len() {
            return Ok(Self::Nan);
        }
        if named("inf") || named("infinity") {
            return Ok(Self::Infinity { negative });
        }
        let end = number.iter().position(|byte| byte | 32 == b'e').unwrap_or(number.len());
        let exponent = match number.get(end + 1..) {
            None => 0,
            Some(text) => exponent(text).ok_or(TEXT)?,
        };
        let number = Finite::read(negative, &number[..end], exponent).ok_or(TEXT)?;
        if number.scale > MAX_SCALE || number.point > MAX_POINT {
            return Err(RANGE);
        }
        Ok(Self::Finite(number))
    }

    /// The nearest integer, halves away from zero, if it fits.
    pub(super) fn to_i64(self) -> Option<i64> {
        let Self::Finite(number) = self else {
            return None;
        };
        if number.point > 19 {
            return None;
        }
        let mut integer = 0_i128;
        let mut digits = number.each();
        for _ in 0..number.point {
            integer = integer * 10 + i128::from(digits.next().unwrap_or(0));
        }
        // The first digit after the point: the number's first only where the point is before it.
        if number.point >= 0 && digits.next().is_some_and(|digit| digit >= 5) {
            integer += 1;
        }
        i64::try_from(if number.negative { -integer } else { integer }).ok()
    }

    fn check(self, limit: NumericLimit) -> Fit<()> {
        match (self, limit.digits) {
            (Self::Infinity { .. }, _) if !limit.infinity => Err(RANGE),
            (Self::Infinity { .. }, Some(_)) => Err(RANGE),
            (Self::Finite(number), Some((precision, scale))) => {
                let room = i64::from(precision) - i64::from(scale);
                if number.len == 0 || number.point < room {
                    Ok(())
                } else if number.point > room || number.rounds_up_after(precision.into()) {
                    Err(RANGE)
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Larger ones are out of range in any case.
    Some(text.parse().unwrap_or(i64::MAX / 4).clamp(-1_000_000_000, 1_000_000_000))
}

impl<'a> Finite<'a> {
    fn read(negative: bool, mantissa: &'a [u8], exponent: i64) -> Option<Self> {
        let mut dot = None;
        let (mut first, mut last, mut digits) = (None, 0, 0_usize);
        let (mut before_first, mut up_to_last) = (0, 0);
        for (at, byte) in mantissa.iter().enumerate() {
            match byte {
                b'.' if dot.is_none() => dot = Some(digits),
                b'0'..=b'9' => {
                    if *byte != b'0' {
                        if first.is_none() {
                            first = Some(at);
                            before_first = digits;
                        }
                        last = at;
                        up_to_last = digits + 1;
                    }
                    digits += 1;
                }
                _ => return None,
            }
        }
        if digits == 0 {
            return None;
        }
        let whole = dot.unwrap_or(digits);
        let scale = ((digits - whole) as i64 - exponent).max(0);
        Some(match first {
            None => Self { negative: false, digits: &[], len: 0, point: 0, scale },
            Some(first) => Self {
                negative,
                digits: &mantissa[first..=last],
                len: up_to_last - before_first,
                point: whole as i64 - before_first as i64 + exponent,
                scale,
            },
        })
    }

    fn each(self) -> impl Iterator<Item = u8> + 'a {
        self.digits.iter().filter(|byte| **byte != b'.').map(|byte| byte - b'0')
    }

    /// Whether rounding after so many digits makes one digit more.
    fn rounds_up_after(self, kept: usize) -> bool {
        let mut digits = self.each();
        let nines = digits.by_ref().take(kept).filter(|digit| *digit == 9).count() == kept;
        nines && digits.next().is_some_and(|digit| digit >= 5)
    }

    /// Groups of four digits from the decimal point on; the first may be of fewer.
    #[inline]
    fn put(self, out: &mut BytesMut) {
        let weight = if self.len == 0 { 0 } else { (self.point - 1).div_euclid(4) };
        let filled = if self.len == 0 { 0 } else { 4 - (self.point - 4 * weight) as usize };
        let groups = (filled + self.len).div_ceil(4);
        out.put_i32(8 + 2 * groups as i32);
        out.put_i16(groups as i16);
        out.put_i16(weight as i16);
        out.put_u16(if self.negative { NEGATIVE } else { POSITIVE });
        out.put_u16(self.scale as u16);
        let (mut group, mut filled) = (0_u16, filled);
        for digit in self.each() {
            group = group * 10 + u16::from(digit);
            filled += 1;
            if filled == 4 {
                out.put_u16(group);
                (group, filled) = (0, 0);
            }
        }
        if filled > 0 {
            for _ in filled..4 {
                group *= 10;
            }
            out.put_u16(group);
        }
    }
}

/// Appends a number, its length before it. The server rounds it to the column's scale.
#[inline]
pub(super) fn put(value: ValueRef<'_>, limit: NumericLimit, out: &mut BytesMut) -> Fit<()> {
    with(value, limit, |number| {
        let special = match number {
            Number::Finite(number) => {
                number.put(out);
                return;
            }
            Number::Nan => NAN,
            Number::Infinity { negative: false } => PLUS_INFINITY,
            Number::Infinity { negative: true } => MINUS_INFINITY,
        };
        out.put_i32(8);
        out.put_i32(0);
        out.put_u16(special);
        out.put_u16(0);
    })
}

/// Writes a number's text.
pub(super) fn write(
    value: ValueRef<'_>,
    limit: NumericLimit,
    out: &mut impl fmt::Write,
) -> Fit<()> {
    with(value, limit, |_| ())?;
    let written = match value {
        ValueRef::F32(value) => write!(out, "{}", Shortest::Single(value)),
        ValueRef::F64(value) => write!(out, "{}", Shortest::Double(value)),
        ValueRef::I64(value) => write!(out, "{value}"),
        ValueRef::U64(value) => write!(out, "{value}"),
        ValueRef::Decimal(text) | ValueRef::Text(text) => {
            out.write_str(text.trim_matches(is_space))
        }
        _ => return Err(KIND),
    };
    written.map_err(|_| KIND)
}

/// A float counts as its shortest text, not as its first fifteen digits.
#[inline]
fn with<T>(value: ValueRef<'_>, limit: NumericLimit, then: impl FnOnce(Number<'_>) -> T) -> Fit<T> {
    let stack;
    let text = match value {
        ValueRef::Decimal(text) | ValueRef::Text(text) => text,
        ValueRef::I64(value) => {
            stack = Stack::of(format_args!("{value}"));
            stack.as_str()
        }
        ValueRef::U64(value) => {
            stack = Stack::of(format_args!("{value}"));
            stack.as_str()
        }
        ValueRef::F32(value) => {
            stack = Stack::of(format_args!("{}", Shortest::Single(value)));
            stack.as_str()
        }
        ValueRef::F64(value) => {
            stack = Stack::of(format_args!("{}", Shortest::Double(value)));
            stack.as_str()
        }
        _ => return Err(KIND),
    };
    let number = Number::read(text)?;
    number.check(limit)?;
    Ok(then(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: NumericLimit = NumericLimit { digits: None, infinity: true };

    fn groups(text: &str) -> (i16, u16, u16, Vec<u16>) {
        let mut out = BytesMut::new();
        put(ValueRef::Decimal(text), ANY, &mut out).expect(text);
        let words: Vec<u16> =
            out.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        assert_eq!(usize::from(words[1]), out.len() - 4, "the length before it");
        assert_eq!(usize::from(words[2]), words.len() - 6, "the number of groups");
        (words[3] as i16, words[4], words[5], words[6..].to_vec())
    }

    #[test]
    fn digits_stand_in_groups_of_four_from_the_point_on() {
        let cases: [(&str, i16, u16, u16, &[u16]); 13] = [
            ("0", 0, POSITIVE, 0, &[]),
            ("-0.00", 0, POSITIVE, 2, &[]),
            ("1", 0, POSITIVE, 0, &[1]),
            ("-12345.6789", 1, NEGATIVE, 4, &[1, 2345, 6789]),
            ("1.5", 0, POSITIVE, 1, &[1, 5000]),
            ("0.0001", -1, POSITIVE, 4, &[1]),
            ("0.00001", -2, POSITIVE, 5, &[1000]),
            ("10000", 1, POSITIVE, 0, &[1]),
            ("1e4", 1, POSITIVE, 0, &[1]),
            ("100.0", 0, POSITIVE, 1, &[100]),
            (".5", -1, POSITIVE, 1, &[5000]),
            ("5.", 0, POSITIVE, 0, &[5]),
            ("12e-5", -1, POSITIVE, 5, &[1, 2000]),
        ];
        for (text, weight, sign, scale, digits) in cases {
            assert_eq!(groups(text), (weight, sign, scale, digits.to_vec()), "{text}");
        }
        assert_eq!(groups("NaN").1, NAN);
        assert_eq!(groups("-inf").1, MINUS_INFINITY);
    }

    #[test]
    fn a_number_with_too_many_digits_after_rounding_is_refused() {
        let fits = |text, precision, scale| {
            let limit = NumericLimit { digits: Some((precision, scale)), infinity: true };
            put(ValueRef::Decimal(text), limit, &mut BytesMut::new()).is_ok()
        };
        for (text, precision, scale, expected) in [
            ("999.99", 5, 2, true),
            ("999.994", 5, 2, true),
            ("999.995", 5, 2, false),
            ("-999.995", 5, 2, false),
            ("1000", 5, 2, false),
            ("99.9999", 5, 2, true),
            ("0", 1, 1, true),
            ("0.94", 1, 1, true),
            ("0.95", 1, 1, false),
            ("0.0099", 2, 4, true),
            ("0.01", 2, 4, false),
            ("0.00994", 2, 4, true),
            ("0.00995", 2, 4, false),
            ("99499", 2, -3, true),
            ("99500", 2, -3, false),
            ("NaN", 5, 2, true),
            ("Infinity", 5, 2, false),
        ] {
            assert_eq!(fits(text, precision, scale), expected, "{text} {precision},{scale}");
        }
    }

    #[test]
    fn what_is_no_number_or_beyond_numeric_is_refused() {
        for text in
            ["", " ", "12..5", "1e", "e5", "-", ".", "1_0", "0x1", "--1", "-NaN", "1e131073"]
        {
            assert!(Number::read(text).is_err(), "{text:?}");
        }
        assert!(Number::read("1e-16384").is_err());
        assert!(put(ValueRef::Bool(true), ANY, &mut BytesMut::new()).is_err());
        let before_14 = NumericLimit { digits: None, infinity: false };
        assert!(put(ValueRef::F64(f64::INFINITY), before_14, &mut BytesMut::new()).is_err());
    }
}
