//! A value's text by its own kind: what a text column stores.

use batchflow_core::ValueRef;

use super::refusal::{Fit, KIND, RANGE};
use super::uuid;

/// The text of a value for a column of text: truth values as 1 and 0, moments in UTC with all
/// their digits.
pub(super) fn text(value: ValueRef<'_>) -> Fit<String> {
    Ok(match value {
        ValueRef::Text(text) | ValueRef::Json(text) | ValueRef::Decimal(text) => text.to_owned(),
        ValueRef::Bool(value) => u8::from(value).to_string(),
        ValueRef::I64(value) => value.to_string(),
        ValueRef::U64(value) => value.to_string(),
        ValueRef::F32(value) => float(f64::from(value), &value.to_string(), &format!("{value:e}")),
        ValueRef::F64(value) => float(value, &value.to_string(), &format!("{value:e}")),
        ValueRef::Uuid(_) => uuid::text(value)?,
        ValueRef::Date(date) => date.to_string(),
        ValueRef::Time(time) => time.to_string(),
        ValueRef::Timestamp(moment) => {
            let (date, time) = moment.to_parts().ok_or(RANGE)?;
            format!("{date} {time}")
        }
        _ => return Err(KIND),
    })
}

/// A float's shortest text: plain, or with an exponent where it is very large or small.
fn float(value: f64, plain: &str, exponent: &str) -> String {
    let is_plain = value == 0.0 || !value.is_finite() || (1e-5..1e17).contains(&value.abs());
    if is_plain { plain } else { exponent }.to_owned()
}

#[cfg(test)]
mod tests {
    use batchflow_core::{Date, Time, Timestamp, Value};

    use super::*;

    #[test]
    fn each_kind_has_its_text() {
        let date = Date::from_ymd(2024, 2, 29).unwrap();
        let noon = Time::from_hms_nano(12, 0, 0, 500).unwrap();
        for (value, expected) in [
            (Value::Bool(true), "1"),
            (Value::U64(u64::MAX), "18446744073709551615"),
            (Value::F64(1e20), "1e20"),
            (Value::F32(0.1), "0.1"),
            (Value::F64(-1.5), "-1.5"),
            (Value::Date(date), "2024-02-29"),
            (Value::Time(noon), "12:00:00.0000005"),
            (Timestamp::from_parts(date, noon).into(), "2024-02-29 12:00:00.0000005"),
            (Value::Json("{}".into()), "{}"),
            (Value::Uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab"),
        ] {
            assert_eq!(text(value.as_ref()).unwrap(), expected);
        }
        assert!(text(ValueRef::Bytes(b"a")).is_err());
    }
}
