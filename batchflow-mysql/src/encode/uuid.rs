//! UUIDs, as their text.

use std::fmt::Write as _;

use batchflow_core::ValueRef;

use super::refusal::{Fit, KIND};

/// A UUID's text in five groups, from its bytes or from a text of its 32 digits, hyphens between
/// them or not.
pub(super) fn text(value: ValueRef<'_>) -> Fit<String> {
    let bytes = match value {
        ValueRef::Uuid(bytes) => *bytes,
        ValueRef::Text(text) => read(text).ok_or("it is not the text of a UUID")?,
        _ => return Err(KIND),
    };
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

fn read(text: &str) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    let mut rest = text.chars().peekable();
    for (at, byte) in uuid.iter_mut().enumerate() {
        let mut digit = || rest.next()?.to_digit(16).map(|digit| digit as u8);
        *byte = digit()? << 4 | digit()?;
        if matches!(at, 3 | 5 | 7 | 9) {
            rest.next_if_eq(&'-');
        }
    }
    rest.next().is_none().then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_with_its_hyphens_and_without() {
        let shown = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for same in [shown, "A0EEBC999C0B4EF8BB6D6BB9BD380A11"] {
            assert_eq!(text(ValueRef::Text(same)).unwrap(), shown);
        }
        for other in ["", "x", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "{a0eebc99}"] {
            assert!(text(ValueRef::Text(other)).is_err(), "{other}");
        }
    }
}
