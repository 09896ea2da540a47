//! Decimals: digits rounded to what a column keeps.

use batchflow_core::ValueRef;

use super::float::shortest;
use super::refusal::{Fit, KIND, RANGE};

const TEXT: &str = "it is not a decimal number";

/// A number as its text has it: `0.digits × 10^point`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number<'a> {
    negative: bool,
    /// From the first significant digit to the last, with the decimal point where it stands
    /// between them; empty for zero.
    digits: &'a [u8],
    point: i64,
}

impl<'a> Number<'a> {
    /// Reads plain and exponent notation.
    pub(super) fn read(text: &'a str) -> Fit<Self> {
        let text = text.trim_ascii().as_bytes();
        let (negative, number) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] | rest => (false, rest),
        };
        let end = number.iter().position(|byte| byte | 32 == b'e').unwrap_or(number.len());
        let exponent = match number.get(end + 1..) {
            None => 0,
            Some(text) => exponent(text).ok_or(TEXT)?,
        };
        Self::mantissa(negative, &number[..end], exponent).ok_or(TEXT)
    }

    fn mantissa(negative: bool, mantissa: &'a [u8], exponent: i64) -> Option<Self> {
        let dot = mantissa.iter().position(|byte| *byte == b'.');
        let digits = mantissa.len() - usize::from(dot.is_some());
        let is_digit = |(at, byte): (usize, &u8)| Some(at) == dot || byte.is_ascii_digit();
        if digits == 0 || !mantissa.iter().enumerate().all(is_digit) {
            return None;
        }
        let counts = |byte: &u8| matches!(byte, b'1'..=b'9');
        let Some(first) = mantissa.iter().position(counts) else {
            return Some(Self { negative: false, digits: &[], point: 0 });
        };
        let last = mantissa.iter().rposition(counts).unwrap_or(first);
        let whole = dot.unwrap_or(mantissa.len()) as i64;
        // Digits before the point stand before the dot, those behind it one further.
        let point = whole - first as i64 + i64::from(first as i64 > whole);
        Some(Self { negative, digits: &mantissa[first..=last], point: point + exponent })
    }

    /// Whether it is less than zero.
    pub(super) fn is_negative(self) -> bool {
        self.negative
    }

    fn each(self) -> impl Iterator<Item = u8> + 'a {
        self.digits.iter().filter(|byte| **byte != b'.').map(|byte| byte - b'0')
    }

    /// The nearest integer, halves away from zero, if it has no more than 38 digits.
    pub(super) fn to_integer(self) -> Option<i128> {
        if self.point > 38 {
            return None;
        }
        let mut digits = self.each();
        let mut integer = 0_i128;
        for _ in 0..self.point {
            integer = integer * 10 + i128::from(digits.next().unwrap_or(0));
        }
        if self.point >= 0 && digits.next().is_some_and(|digit| digit >= 5) {
            integer += 1;
        }
        Some(if self.negative { -integer } else { integer })
    }

    /// Its plain text, rounded half away from zero to `scale` digits after the point, where it has
    /// no more than `digits` in all.
    fn plain(self, digits: u8, scale: u8, unsigned: bool) -> Fit<Vec<u8>> {
        let whole = i64::from(digits) - i64::from(scale);
        // Refused as the server refuses it: before it is rounded to nothing.
        let below = unsigned && self.is_negative();
        if below || (!self.digits.is_empty() && self.point > whole) {
            return Err(RANGE);
        }
        // The last digit first filled is at `scale`; `kept` of the number's own are left.
        let kept = usize::try_from(self.point + i64::from(scale)).ok();
        let mut out = vec![0_u8; usize::from(digits)];
        if let Some(kept) = kept {
            let start = out.len() - kept.min(out.len());
            let mut own = self.each();
            for (place, digit) in out[start..].iter_mut().zip(own.by_ref()) {
                *place = digit;
            }
            if self.each().nth(kept).is_some_and(|digit| digit >= 5) {
                carry(&mut out)?;
            }
        }
        let zero = out.iter().all(|digit| *digit == 0);
        let point = out.len() - usize::from(scale);
        let first = out.iter().position(|digit| *digit != 0).unwrap_or(out.len());
        let mut text = Vec::with_capacity(out.len() + 3);
        if self.negative && !zero {
            text.push(b'-');
        }
        if first >= point {
            text.push(b'0');
        }
        for (at, digit) in out.iter().enumerate().skip(first.min(point)) {
            if at == point {
                text.push(b'.');
            }
            text.push(b'0' + digit);
        }
        Ok(text)
    }
}

/// Adds one to the last of these digits.
fn carry(digits: &mut [u8]) -> Fit<()> {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return Ok(());
        }
        *digit = 0;
    }
    Err(RANGE)
}

fn exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Larger ones are out of range, or zero, in any case.
    let large = if text.starts_with('-') { -1_000_000_000 } else { 1_000_000_000 };
    Some(text.parse().unwrap_or(large).clamp(-1_000_000_000, 1_000_000_000))
}

/// The plain text of a decimal for a column of so many digits. A float counts as its shortest
/// text.
pub(super) fn decimal(value: ValueRef<'_>, digits: u8, scale: u8, unsigned: bool) -> Fit<Vec<u8>> {
    let text = match value {
        ValueRef::Decimal(text) | ValueRef::Text(text) => {
            return Number::read(text)?.plain(digits, scale, unsigned);
        }
        ValueRef::I64(value) => value.to_string(),
        ValueRef::U64(value) => value.to_string(),
        ValueRef::F32(value) => shortest(value.is_finite(), format_args!("{value:e}"))?,
        ValueRef::F64(value) => shortest(value.is_finite(), format_args!("{value:e}"))?,
        _ => return Err(KIND),
    };
    Number::read(&text)?.plain(digits, scale, unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_rounded_to_what_the_column_keeps() {
        for (text, digits, scale, expected) in [
            ("0", 5, 2, Ok("0.00")),
            ("-0.00", 5, 2, Ok("0.00")),
            ("1", 5, 2, Ok("1.00")),
            ("-12.345", 5, 2, Ok("-12.35")),
            ("-0.004", 5, 2, Ok("0.00")),
            ("0.005", 5, 2, Ok("0.01")),
            ("999.994", 5, 2, Ok("999.99")),
            ("999.995", 5, 2, Err(RANGE)),
            ("1000", 5, 2, Err(RANGE)),
            ("99.995", 5, 2, Ok("100.00")),
            ("1e2", 5, 2, Ok("100.00")),
            ("12e-3", 5, 2, Ok("0.01")),
            ("0.0012e3", 5, 2, Ok("1.20")),
            ("1e400", 5, 2, Err(RANGE)),
            ("1e-400", 5, 2, Ok("0.00")),
            ("1e99999999999999999999", 5, 2, Err(RANGE)),
            ("0e99999999999999999999", 5, 2, Ok("0.00")),
            ("+1.", 3, 0, Ok("1")),
            (".5", 3, 0, Ok("1")),
            (".49", 3, 0, Ok("0")),
            ("0.94", 1, 1, Ok("0.9")),
            ("0.95", 1, 1, Err(RANGE)),
            (" 7 ", 3, 0, Ok("7")),
            ("100.100", 6, 3, Ok("100.100")),
            ("12..5", 5, 2, Err(TEXT)),
            ("", 5, 2, Err(TEXT)),
            ("NaN", 5, 2, Err(TEXT)),
            ("1e", 5, 2, Err(TEXT)),
            (".", 5, 2, Err(TEXT)),
            ("1_0", 5, 2, Err(TEXT)),
        ] {
            let found = decimal(ValueRef::Decimal(text), digits, scale, false);
            let found = found.map(|text| String::from_utf8(text).unwrap());
            assert_eq!(found.as_deref().map_err(|why| *why), expected, "{text} {digits},{scale}");
        }
        assert_eq!(decimal(ValueRef::F64(0.1), 5, 3, false), Ok(b"0.100".to_vec()));
        assert_eq!(decimal(ValueRef::F64(f64::NAN), 5, 3, false), Err(RANGE));
        assert_eq!(decimal(ValueRef::Decimal("-1"), 5, 3, true), Err(RANGE));
        assert_eq!(decimal(ValueRef::Decimal("-0.0001"), 5, 3, true), Err(RANGE));
        assert_eq!(decimal(ValueRef::Decimal("-0.00"), 5, 3, true), Ok(b"0.000".to_vec()));
        assert_eq!(decimal(ValueRef::Bool(true), 5, 3, true), Err(KIND));
    }

    #[test]
    fn an_integer_is_the_nearest() {
        let integer = |text| Number::read(text).unwrap().to_integer();
        for (text, expected) in [
            ("0", Some(0)),
            ("0.5", Some(1)),
            ("-0.5", Some(-1)),
            ("0.05", Some(0)),
            ("1.49", Some(1)),
            ("12e2", Some(1_200)),
            ("100", Some(100)),
            ("1e39", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }
}
