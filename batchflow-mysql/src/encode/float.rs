//! Floats.

use batchflow_core::ValueRef;

use super::refusal::{Fit, KIND, RANGE};

const TEXT: &str = "it is not the text of a number";
const NO_NUMBER: &str = "the server stores no NaN and no infinity";

/// A double. A number that would become zero or infinite is refused.
#[inline]
pub(super) fn double(value: ValueRef<'_>, unsigned: bool) -> Fit<f64> {
    let number = match value {
        ValueRef::F64(value) => value,
        ValueRef::F32(value) => f64::from(value),
        ValueRef::I64(value) => value as f64,
        ValueRef::U64(value) => value as f64,
        ValueRef::Decimal(text) | ValueRef::Text(text) => {
            let text = number_of(text)?;
            let number: f64 = text.parse().map_err(|_| TEXT)?;
            in_range(text, number.is_infinite(), number == 0.0)?;
            // There is no negative zero but a float's own.
            if number == 0.0 { 0.0 } else { number }
        }
        _ => return Err(KIND),
    };
    check(number, unsigned)?;
    Ok(number)
}

/// A float. A number that would become zero or infinite is refused.
#[inline]
pub(super) fn single(value: ValueRef<'_>, unsigned: bool) -> Fit<f32> {
    let number = match value {
        ValueRef::F32(value) => value,
        ValueRef::F64(wide) => {
            let number = wide as f32;
            if (number.is_infinite() && wide.is_finite()) || (number == 0.0 && wide != 0.0) {
                return Err(RANGE);
            }
            number
        }
        ValueRef::I64(value) => value as f32,
        ValueRef::U64(value) => value as f32,
        ValueRef::Decimal(text) | ValueRef::Text(text) => {
            let text = number_of(text)?;
            let number: f32 = text.parse().map_err(|_| TEXT)?;
            in_range(text, number.is_infinite(), number == 0.0)?;
            // There is no negative zero but a float's own.
            if number == 0.0 { 0.0 } else { number }
        }
        _ => return Err(KIND),
    };
    check(f64::from(number), unsigned)?;
    Ok(number)
}

#[inline]
fn check(number: f64, unsigned: bool) -> Fit<()> {
    if !number.is_finite() {
        Err(NO_NUMBER)
    } else if unsigned && number < 0.0 {
        Err(RANGE)
    } else {
        Ok(())
    }
}

/// A number for a `float(digits, scale)`, which rounds it.
#[inline]
pub(super) fn within(number: f64, digits: Option<(u8, u8)>) -> Fit<f64> {
    let Some((digits, scale)) = digits else {
        return Ok(number);
    };
    let unit = 10_f64.powi(scale.into());
    let end = 10_f64.powi(i32::from(digits) - i32::from(scale));
    if (number.abs() * unit).round() / unit < end { Ok(number) } else { Err(RANGE) }
}

/// The text without spaces around it, if it is a number to the server too.
fn number_of(text: &str) -> Fit<&str> {
    let text = text.trim_ascii();
    if text.bytes().all(|byte| !byte.is_ascii_alphabetic() || byte | 32 == b'e') {
        Ok(text)
    } else {
        Err(TEXT)
    }
}

fn in_range(text: &str, infinite: bool, zero: bool) -> Fit<()> {
    let mut digits = text.bytes().take_while(|byte| byte | 32 != b'e');
    let vanished = zero && digits.any(|byte| matches!(byte, b'1'..=b'9'));
    if vanished || infinite { Err(RANGE) } else { Ok(()) }
}

/// The shortest text that reads back as the same float, `written` in exponent notation.
pub(super) fn shortest(finite: bool, written: std::fmt::Arguments<'_>) -> Fit<String> {
    if finite { Ok(written.to_string()) } else { Err(RANGE) }
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
            (ValueRef::F64(f64::INFINITY), Err(NO_NUMBER)),
            (ValueRef::F32(f32::NAN), Err(NO_NUMBER)),
            (decimal("1e39"), Err(RANGE)),
            (decimal("0e99"), Ok(0.0)),
            (decimal("-Infinity"), Err(TEXT)),
            (decimal("x"), Err(TEXT)),
            (decimal(""), Err(TEXT)),
            (ValueRef::Text(" 1.5 "), Ok(1.5)),
            (ValueRef::Bool(true), Err(KIND)),
        ] {
            assert_eq!(single(value, false), expected, "{value:?}");
        }
        assert_eq!(double(decimal("1e309"), false), Err(RANGE));
        assert_eq!(double(decimal("1e-400"), false), Err(RANGE));
        assert_eq!(double(decimal("-1"), true), Err(RANGE));
        assert_eq!(double(ValueRef::U64(u64::MAX), true), Ok(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn a_float_of_so_many_digits_has_their_range() {
        for (number, fits) in
            [(9999.999, true), (9999.9994, true), (9999.9996, false), (-10_000.0, false)]
        {
            assert_eq!(within(number, Some((7, 3))).is_ok(), fits, "{number}");
        }
        assert_eq!(within(1e300, None), Ok(1e300));
    }
}
