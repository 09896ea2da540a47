//! Integers, bits and years.

use batchflow_core::ValueRef;

use super::decimal::Number;
use super::refusal::{Fit, KIND, RANGE};

const TEXT: &str = "it is not the text of an integer";

/// The range of an integer of so many bytes.
#[inline]
pub(super) fn signed(bytes: u8) -> (i64, i64) {
    let shift = 64 - 8 * u32::from(bytes.clamp(1, 8));
    (i64::MIN >> shift, i64::MAX >> shift)
}

/// The greatest unsigned integer of so many bits.
#[inline]
pub(super) fn most(bits: u32) -> u64 {
    u64::MAX >> (64 - bits.clamp(1, 64))
}

/// An integer within `min..=max`. Floats are rounded half to even and decimals half away from
/// zero, as an assignment to the column rounds them.
#[inline]
pub(super) fn integer(value: ValueRef<'_>, min: i64, max: i64) -> Fit<i64> {
    let integer = match value {
        ValueRef::I64(value) => value,
        value => i64::try_from(convert(value)?).map_err(|_| RANGE)?,
    };
    if (min..=max).contains(&integer) { Ok(integer) } else { Err(RANGE) }
}

/// An integer within `0..=max`.
#[inline]
pub(super) fn unsigned(value: ValueRef<'_>, max: u64) -> Fit<u64> {
    let integer = match value {
        ValueRef::U64(value) => value,
        // Refused as the server refuses it: before it is rounded to nothing.
        ValueRef::Decimal(text) if Number::read(text)?.is_negative() => return Err(RANGE),
        value => u64::try_from(convert(value)?).map_err(|_| RANGE)?,
    };
    if integer <= max { Ok(integer) } else { Err(RANGE) }
}

fn convert(value: ValueRef<'_>) -> Fit<i128> {
    match value {
        ValueRef::I64(value) => Ok(value.into()),
        ValueRef::U64(value) => Ok(value.into()),
        ValueRef::Bool(value) => Ok(value.into()),
        ValueRef::F32(value) => round(f64::from(value)),
        ValueRef::F64(value) => round(value),
        ValueRef::Decimal(text) => Number::read(text)?.to_integer().ok_or(RANGE),
        ValueRef::Text(text) => {
            let text = text.trim_ascii();
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(TEXT);
            }
            text.parse().map_err(|_| RANGE)
        }
        _ => Err(KIND),
    }
}

fn round(value: f64) -> Fit<i128> {
    const END: f64 = 1e30;
    let value = value.round_ties_even();
    // NaN is in no range.
    if (-END..END).contains(&value) { Ok(value as i128) } else { Err(RANGE) }
}

/// So many bits: an integer, a truth value, or bytes, the most significant first.
pub(super) fn bits(value: ValueRef<'_>, bits: u8) -> Fit<u64> {
    let integer = match value {
        ValueRef::I64(_) | ValueRef::U64(_) | ValueRef::Bool(_) => {
            u64::try_from(convert(value)?).map_err(|_| RANGE)?
        }
        ValueRef::Bytes(bytes) => {
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
            let significant = &bytes[start..];
            if significant.len() > 8 {
                return Err(RANGE);
            }
            significant.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
        _ => return Err(KIND),
    };
    if integer <= most(bits.into()) { Ok(integer) } else { Err(RANGE) }
}

/// A year as it is meant: the server makes 2001 of 1.
pub(super) fn year(value: ValueRef<'_>) -> Fit<i64> {
    let year = match value {
        ValueRef::I64(_) | ValueRef::U64(_) => convert(value)?,
        ValueRef::Text(text) if text.len() == 4 => convert(value)?,
        ValueRef::Text(_) => return Err("it is not a year of four digits"),
        _ => return Err(KIND),
    };
    match year {
        0 | 1_901..=2_155 => i64::try_from(year).map_err(|_| RANGE),
        _ => Err(RANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_taken_as_an_assignment_takes_it() {
        let decimal = |text| ValueRef::Decimal(text);
        let (min, max) = signed(4);
        for (value, expected) in [
            (ValueRef::I64(-5), Ok(-5)),
            (ValueRef::I64(2_147_483_647), Ok(2_147_483_647)),
            (ValueRef::I64(2_147_483_648), Err(RANGE)),
            (ValueRef::U64(u64::MAX), Err(RANGE)),
            (ValueRef::F64(2.5), Ok(2)),
            (ValueRef::F64(-1.5), Ok(-2)),
            (ValueRef::F32(1e20), Err(RANGE)),
            (ValueRef::F64(f64::NAN), Err(RANGE)),
            (decimal("2.5"), Ok(3)),
            (decimal("-2.5"), Ok(-3)),
            (decimal("0.49"), Ok(0)),
            (decimal("1e3"), Ok(1_000)),
            (decimal("2147483647.5"), Err(RANGE)),
            (decimal("1e400"), Err(RANGE)),
            (ValueRef::Text(" +7 "), Ok(7)),
            (ValueRef::Bool(true), Ok(1)),
            (ValueRef::Bytes(b"1"), Err(KIND)),
        ] {
            assert_eq!(integer(value, min, max), expected, "{value:?}");
        }
        for text in ["", "three", "3.0", "1e3", "0x10", "--1"] {
            assert!(integer(ValueRef::Text(text), min, max).is_err(), "{text:?}");
        }
    }

    #[test]
    fn each_width_has_its_range() {
        assert_eq!(signed(1), (-128, 127));
        assert_eq!(signed(3), (-8_388_608, 8_388_607));
        assert_eq!(signed(8), (i64::MIN, i64::MAX));
        assert_eq!((most(8), most(24), most(64)), (255, 16_777_215, u64::MAX));
        assert_eq!(unsigned(ValueRef::I64(-1), most(8)), Err(RANGE));
        assert_eq!(unsigned(ValueRef::F64(255.5), most(8)), Err(RANGE));
        assert_eq!(unsigned(ValueRef::Decimal("-0.1"), most(8)), Err(RANGE));
        assert_eq!(unsigned(ValueRef::Decimal("18446744073709551615"), most(64)), Ok(u64::MAX));
    }

    #[test]
    fn bits_and_years_are_taken_as_they_are_meant() {
        assert_eq!(bits(ValueRef::I64(31), 5), Ok(31));
        assert_eq!(bits(ValueRef::I64(32), 5), Err(RANGE));
        assert_eq!(bits(ValueRef::I64(-1), 64), Err(RANGE));
        assert_eq!(bits(ValueRef::Bytes(&[0, 0, 1, 2]), 9), Ok(258));
        assert_eq!(bits(ValueRef::Bytes(&[1; 9]), 64), Err(RANGE));
        assert_eq!(bits(ValueRef::Bool(true), 1), Ok(1));
        assert_eq!(year(ValueRef::I64(0)), Ok(0));
        assert_eq!(year(ValueRef::I64(1)), Err(RANGE));
        assert_eq!(year(ValueRef::Text("2155")), Ok(2_155));
        assert!(year(ValueRef::Text("24")).is_err());
    }
}
