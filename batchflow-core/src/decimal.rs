//! Decimal text in the one form that equal numbers share.

use std::fmt;

/// A decimal number without superfluous zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    /// Significant digits, first and last not zero; empty for zero.
    digits: String,
    /// The number is `0.digits × 10^point`.
    point: i32,
}

/// Exponents beyond this are refused: no database takes them, and their plain text would be huge.
const MAX_EXPONENT: u32 = 20_000;

/// Reads plain or exponent notation; `None` for anything else, `NaN` and infinities among it.
pub(crate) fn normalize(text: &str) -> Option<Number> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = all().map(char::from).collect();
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let point = point.checked_sub(i32::try_from(leading).ok()?)?;
    let digits = digits.trim_matches('0').to_owned();
    if digits.is_empty() {
        return Some(Number { negative: false, digits, point: 0 });
    }
    (point.unsigned_abs() <= MAX_EXPONENT).then_some(Number { negative, digits, point })
}

impl Number {
    /// How many digits stand after the decimal point.
    pub(crate) fn scale(&self) -> usize {
        (self.digits.len() as i64 - i64::from(self.point)).max(0) as usize
    }

    /// The number, if it is an integer that fits.
    pub(crate) fn to_i128(&self) -> Option<i128> {
        if self.scale() > 0 || self.point > 39 {
            return None;
        }
        let zeros = (self.point as usize).saturating_sub(self.digits.len());
        let text = format!("{}0{}", if self.negative { "-" } else { "" }, self.digits);
        let base: i128 = text.parse().ok()?;
        base.checked_mul(10_i128.checked_pow(u32::try_from(zeros).ok()?)?)
    }
}

/// Plain notation: `-0.0125`, `1200`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let point = self.point;
        if point <= 0 {
            write!(f, "0.{}{}", "0".repeat(point.unsigned_abs() as usize), self.digits)
        } else if self.scale() == 0 {
            let zeros = point as usize - self.digits.len();
            write!(f, "{}{}", self.digits, "0".repeat(zeros))
        } else {
            let (whole, fraction) = self.digits.split_at(point as usize);
            write!(f, "{whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_have_one_text() {
        for (text, plain, integer) in [
            ("0", "0", Some(0)),
            ("-0.000", "0", Some(0)),
            ("1.00", "1", Some(1)),
            ("+01.50", "1.5", None),
            ("1e3", "1000", Some(1_000)),
            ("-12.5E-3", "-0.0125", None),
            (".5", "0.5", None),
            ("5.", "5", Some(5)),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
                Some(123_456_789_012_345_678_901_234_567_890),
            ),
        ] {
            let number = normalize(text).expect(text);
            assert_eq!(number.to_string(), plain);
            assert_eq!(number.to_i128(), integer, "{text}");
        }
        let large = ["1e99999999999", "1e2147483647", ".1e-2147483648", "1e20000", "1e-20002"];
        let odd = ["", "-", ".", "1.2.3", "1e", "NaN", "inf", "1_0", " 1"];
        for text in odd.into_iter().chain(large) {
            assert_eq!(normalize(text), None, "{text:?}");
        }
    }
}
