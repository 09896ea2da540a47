//! Bytes and UUIDs.

use std::borrow::Cow;
use std::fmt;

use batchflow_core::ValueRef;

use super::refusal::{Fit, KIND};
use super::text::no_nul;

/// Bytes, or a text in either of `bytea`'s two notations.
#[inline]
pub(super) fn bytea(value: ValueRef<'_>) -> Fit<Cow<'_, [u8]>> {
    match value {
        ValueRef::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        ValueRef::Text(text) => {
            no_nul(text)?;
            let bytes = match text.strip_prefix("\\x") {
                Some(digits) => hexadecimal(digits),
                None => escaped(text),
            };
            bytes.map(Cow::Owned).ok_or("it is not the text of bytes")
        }
        _ => Err(KIND),
    }
}

/// Pairs of digits; white space may stand between pairs.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut rest = text.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    while let Some(high) = rest.next() {
        bytes.push(digit(high)? << 4 | digit(rest.next()?)?);
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Bytes as they are, a backslash doubled or before three octal digits.
fn escaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        (bytes, rest) = match after {
            [b'\\', after @ ..] => {
                bytes.push(b'\\');
                (bytes, after)
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                (bytes, after)
            }
            _ => return None,
        };
    }
    Some(bytes)
}

/// Writes `\x` and the bytes' digits.
pub(super) fn write_hex(bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    out.write_str("\\x")?;
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// A UUID, or a text of its digits: in braces or not, a hyphen after any four of them.
#[inline]
pub(super) fn uuid(value: ValueRef<'_>) -> Fit<[u8; 16]> {
    match value {
        ValueRef::Uuid(bytes) => Ok(*bytes),
        ValueRef::Text(text) => read_uuid(text).ok_or("it is not the text of a UUID"),
        _ => Err(KIND),
    }
}

fn read_uuid(text: &str) -> Option<[u8; 16]> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut uuid = [0; 16];
    let mut rest = inner.bytes().peekable();
    for (at, byte) in uuid.iter_mut().enumerate() {
        *byte = digit(rest.next()?)? << 4 | digit(rest.next()?)?;
        if at % 2 == 1 && at < 15 {
            rest.next_if_eq(&b'-');
        }
    }
    rest.next().is_none().then_some(uuid)
}

/// Writes a UUID in five groups.
pub(super) fn write_uuid(bytes: &[u8; 16], out: &mut impl fmt::Write) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.write_char('-')?;
        }
        write!(out, "{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_both_notations() {
        let read = |text| bytea(ValueRef::Text(text)).map(Cow::into_owned).ok();
        for (text, expected) in [
            ("plain", Some(b"plain".to_vec())),
            ("\\x", Some(Vec::new())),
            ("\\x00fF 10", Some(vec![0, 255, 16])),
            ("a\\\\b\\001", Some(b"a\\b\x01".to_vec())),
            ("\\xf", None),
            ("\\x0g", None),
            ("\\9", None),
            ("\\400", None),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        let mut text = String::new();
        write_hex(&[0, 0xab], &mut text).unwrap();
        assert_eq!(text, "\\x00ab");
    }

    #[test]
    fn a_uuid_is_read_as_postgresql_reads_it() {
        let same = [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
            "{a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11}",
        ];
        for text in same {
            let bytes = uuid(ValueRef::Text(text)).unwrap();
            let mut shown = String::new();
            write_uuid(&bytes, &mut shown).unwrap();
            assert_eq!(shown, same[0]);
        }
        for text in
            ["", "x", "{a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0-eebc999c0b4ef8bb6d6bb9bd380a11"]
        {
            assert!(uuid(ValueRef::Text(text)).is_err(), "{text}");
        }
    }
}
