//! A value's text.

use std::io::Write as _;

use batchflow_core::ValueRef;

use super::{Fit, json, key};
use crate::layout;

/// Integers beyond this are no exact scores: a score is a double.
const EXACT: u64 = 1 << 53;

/// Writes a value as Redis stores it.
pub(super) fn write(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    match value {
        ValueRef::Null => return Err("it cannot be NULL"),
        ValueRef::Bool(v) => out.push(if v { b'1' } else { b'0' }),
        ValueRef::I64(v) => integer(v.unsigned_abs(), v < 0, out),
        ValueRef::U64(v) => integer(v, false, out),
        ValueRef::F32(v) => float(format_args!("{v:?}"), v == 0.0, out),
        ValueRef::F64(v) => double(v, out),
        ValueRef::Text(v) | ValueRef::Decimal(v) | ValueRef::Json(v) => {
            out.extend_from_slice(v.as_bytes());
        }
        ValueRef::Bytes(v) => out.extend_from_slice(v),
        ValueRef::Timestamp(v) => print(v, out),
        ValueRef::Date(v) => print(v, out),
        ValueRef::Time(v) => print(v, out),
        ValueRef::Uuid(v) => uuid(v, out),
        ValueRef::Array(_) => json::value(value, out)?,
        _ => return Err("Redis has no form for its kind"),
    }
    Ok(())
}

/// A number that Redis adds.
pub(super) fn addend(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    match value {
        ValueRef::I64(_) => {}
        ValueRef::U64(v) if i64::try_from(v).is_ok() => {}
        ValueRef::U64(_) => return Err("Redis adds no integer above 2^63 - 1"),
        // What it is added to may be a whole number beyond 64 bits, which only floats make.
        ValueRef::F32(v) if v.is_finite() => {
            fraction(v.into(), out);
            return Ok(());
        }
        ValueRef::F64(v) if v.is_finite() => {
            fraction(v, out);
            return Ok(());
        }
        // In plain notation, so that an integer is told from a fraction.
        ValueRef::Decimal(v) if is_decimal(v) => return key::write(value, out),
        _ => return Err("only numbers are added"),
    }
    write(value, out)
}

/// A float's text, which no integer has.
fn fraction(number: f64, out: &mut Vec<u8>) {
    let start = out.len();
    double(number, out);
    if !out[start..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

/// A number or a moment, whose texts order as they do.
pub(super) fn ordered(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    match value {
        ValueRef::I64(_) | ValueRef::U64(_) | ValueRef::Time(_) => {}
        ValueRef::F32(v) if !v.is_nan() => {}
        ValueRef::F64(v) if !v.is_nan() => {}
        ValueRef::Decimal(v) if is_decimal(v) => {}
        ValueRef::Date(v) if (0..=9_999).contains(&v.to_ymd().0) => {}
        ValueRef::Timestamp(v) => match v.to_parts() {
            Some((date, _)) if (0..=9_999).contains(&date.to_ymd().0) => {}
            _ => return Err("only years 0 to 9999 are compared"),
        },
        ValueRef::Date(_) => return Err("only years 0 to 9999 are compared"),
        _ => return Err("only numbers and times are compared"),
    }
    write(value, out)
}

/// A sorted set's score.
pub(super) fn score(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    match value {
        ValueRef::I64(v) if v.unsigned_abs() <= EXACT => {}
        ValueRef::U64(v) if v <= EXACT => {}
        ValueRef::I64(_) | ValueRef::U64(_) => {
            return Err("a score is a double, which holds no such integer exactly");
        }
        ValueRef::F32(v) if !v.is_nan() => {}
        ValueRef::F64(v) if !v.is_nan() => {}
        ValueRef::Decimal(v) if is_decimal(v) => {}
        _ => return Err("a score is a number"),
    }
    write(value, out)
}

/// Seconds to live, as milliseconds.
pub(super) fn millis(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    let seconds = match value {
        ValueRef::I64(v) => v as f64,
        ValueRef::U64(v) => v as f64,
        ValueRef::F32(v) => v.into(),
        ValueRef::F64(v) => v,
        ValueRef::Decimal(v) => v.parse().unwrap_or(f64::NAN),
        _ => return Err("a time to live is a number of seconds"),
    };
    match layout::millis(seconds) {
        Some(millis) => integer(millis, false, out),
        None => return Err("a time to live is between a millisecond and 300 years"),
    }
    Ok(())
}

/// Whether it is a decimal in plain or exponent notation, as Redis reads one.
fn is_decimal(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits > 0
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// An integer in decimal.
pub(super) fn integer(mut number: u64, negative: bool, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// A double's text. Prices and the like, of at most fifteen digits and three of them behind the
/// point, are common, and short work: no two texts of fifteen digits are one double.
pub(super) fn double(number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    let thousandths = (size * 1_000.0).round();
    let is_exact = (thousandths / 1_000.0).to_bits() == size.to_bits();
    if !(is_exact && size > 0.0 && thousandths < 1e15) {
        return float(format_args!("{number:?}"), size == 0.0, out);
    }
    let thousandths = thousandths as u64;
    integer(thousandths / 1_000, number < 0.0, out);
    let mut fraction = thousandths % 1_000;
    if fraction > 0 {
        out.push(b'.');
    }
    while fraction > 0 {
        out.push(b'0' + (fraction / 100) as u8);
        fraction = fraction % 100 * 10;
    }
}

/// The shortest text that reads as the same float; whole numbers without a fraction, one zero.
pub(super) fn float(shortest: std::fmt::Arguments<'_>, is_zero: bool, out: &mut Vec<u8>) {
    if is_zero {
        out.push(b'0');
        return;
    }
    let start = out.len();
    print(shortest, out);
    if out[start..].ends_with(b".0") {
        out.truncate(out.len() - 2);
    }
    if &out[start..] == b"NaN" {
        out.splice(start.., *b"nan").for_each(drop);
    }
}

/// Writing to memory does not fail.
pub(super) fn print(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    let _ = write!(out, "{value}");
}

fn uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        for digit in [byte >> 4, byte & 15] {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}
