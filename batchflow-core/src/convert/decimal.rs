//! `rust_decimal` 1.

use rust_decimal::Decimal;

use crate::request::FromValue;
use crate::value::Value;

/// With every digit: `1.00` stays `1.00`.
impl From<Decimal> for Value {
    fn from(number: Decimal) -> Self {
        Self::Decimal(number.to_string().into())
    }
}

arrays!(Decimal);

/// Reads decimals and integers; a number of more digits than a `Decimal` holds is not rounded,
/// but beyond its range.
impl FromValue for Decimal {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Decimal(text) if text.contains(['e', 'E']) => {
                let plain = crate::decimal::normalize(text)?.to_string();
                Self::from_str_exact(&plain).ok()
            }
            Value::Decimal(text) => Self::from_str_exact(text).ok(),
            Value::I64(v) => Some((*v).into()),
            Value::U64(v) => Some((*v).into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::tests::{beyond, both_ways};

    #[test]
    fn decimals_convert_both_ways_and_lose_no_digit() {
        for (number, text) in [
            (Decimal::new(100, 2), "1.00"),
            (Decimal::new(-5, 28), "-0.0000000000000000000000000005"),
            (Decimal::MAX, "79228162514264337593543950335"),
            (Decimal::MIN, "-79228162514264337593543950335"),
        ] {
            both_ways(number, &Value::Decimal(text.into()));
        }
        assert_eq!(Decimal::from_value(&Value::Decimal("1.5e3".into())), Some(1_500.into()));
        assert_eq!(Decimal::from_value(&Value::U64(u64::MAX)), Some(u64::MAX.into()));
        for text in [
            "79228162514264337593543950336",
            "0.00000000000000000000000000001",
            "1e20000",
            "1e99999999999",
            "NaN",
            "",
        ] {
            beyond::<Decimal>(&Value::Decimal(text.into()));
        }
    }
}
