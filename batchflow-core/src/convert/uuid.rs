//! `uuid` 1.

use uuid::Uuid;

use crate::request::FromValue;
use crate::value::Value;

from! {
    Uuid => |v| Self::Uuid(v.into_bytes());
}

arrays!(Uuid);

impl FromValue for Uuid {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Uuid(bytes) => Some(Self::from_bytes(*bytes)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::tests::both_ways;

    #[test]
    fn uuids_convert_both_ways() {
        for bits in [0, 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128, u128::MAX] {
            both_ways(Uuid::from_u128(bits), &Value::Uuid(bits.to_be_bytes()));
        }
    }
}
