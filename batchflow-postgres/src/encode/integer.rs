//! Integers.

use batchflow_core::ValueRef;

use super::numeric::Number;
use super::refusal::{Fit, KIND, RANGE};
use super::text::is_space;

/// An integer within `min..=max`. Floats are rounded half to even and decimals half away from
/// zero, as an assignment to the column rounds them.
#[inline]
pub(super) fn integer(value: ValueRef<'_>, min: i64, max: i64) -> Fit<i64> {
    let integer = match value {
        ValueRef::I64(value) => value,
        value => convert(value)?,
    };
    if (min..=max).contains(&integer) { Ok(integer) } else { Err(RANGE) }
}

fn convert(value: ValueRef<'_>) -> Fit<i64> {
    match value {
        ValueRef::I64(value) => Ok(value),
        ValueRef::U64(value) => i64::try_from(value).map_err(|_| RANGE),
        ValueRef::F32(value) => round(f64::from(value)),
        ValueRef::F64(value) => round(value),
        ValueRef::Decimal(text) => Number::read(text)?.to_i64().ok_or(RANGE),
        ValueRef::Text(text) => {
            let text = text.trim_matches(is_space);
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("it is not the text of an integer");
            }
            text.parse().map_err(|_| RANGE)
        }
        _ => Err(KIND),
    }
}

fn round(value: f64) -> Fit<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    let value = value.round_ties_even();
    // NaN is in no range.
    if (-END..END).contains(&value) { Ok(value as i64) } else { Err(RANGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_taken_as_an_assignment_takes_it() {
        let decimal = |text| ValueRef::Decimal(text);
        let int4 = |value| integer(value, i32::MIN.into(), i32::MAX.into());
        let cases = [
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
            (ValueRef::Bool(true), Err(KIND)),
        ];
        for (value, expected) in cases {
            assert_eq!(int4(value), expected, "{value:?}");
        }
        for text in ["", "three", "3.0", "1e3", "0x10", "--1"] {
            assert!(int4(ValueRef::Text(text)).is_err(), "{text:?}");
        }
    }
}
