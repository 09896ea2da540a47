//! A value as a part of a key: values that compare as one are written as one.

use batchflow_core::ValueRef;

use super::{Fit, text};

/// Writes a value as a whole key, or as its last part.
pub(super) fn write(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    match value {
        ValueRef::F32(v) => {
            // The same number, whichever width it came in.
            text::double(v.into(), out);
            Ok(())
        }
        ValueRef::Decimal(v) => decimal(v, out),
        ValueRef::Json(_) | ValueRef::Array(_) => Err("it cannot be of a key"),
        value => text::write(value, out),
    }
}

/// Writes a value as a part that others follow, each `:` and `\` in it marked.
pub(super) fn write_escaped(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    let start = out.len();
    write(value, out)?;
    if out[start..].iter().any(|byte| matches!(byte, b':' | b'\\')) {
        let plain = out.split_off(start);
        for byte in plain {
            if matches!(byte, b':' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
    out.push(b':');
    Ok(())
}

/// Plain notation without superfluous zeros, so that equal decimals are one key.
fn decimal(number: &str, out: &mut Vec<u8>) -> Fit<()> {
    const WHY: &str = "it is no decimal number";
    let (negative, rest) = match number.as_bytes().first() {
        Some(b'-') => (true, &number[1..]),
        Some(b'+') => (false, &number[1..]),
        _ => (false, number),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| WHY)?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WHY);
    }
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        out.push(b'0');
        return Ok(());
    }
    // The number is 0.significant × 10^point.
    let point = i64::try_from(whole.len()).map_err(|_| WHY)? - leading as i64 + i64::from(exponent);
    if point.abs() > 20_000 {
        return Err("its exponent is too large");
    }
    if negative {
        out.push(b'-');
    }
    let count = significant.len() as i64;
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
        out.extend_from_slice(significant.as_bytes());
    } else if point >= count {
        out.extend_from_slice(significant.as_bytes());
        out.resize(out.len() + (point - count) as usize, b'0');
    } else {
        let (whole, fraction) = significant.split_at(point as usize);
        out.extend_from_slice(whole.as_bytes());
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
    Ok(())
}
