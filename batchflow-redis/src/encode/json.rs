//! A value as JSON.

use batchflow_core::ValueRef;
use serde::de::IgnoredAny;

use super::{Fit, text};

/// Writes a JSON string. Writing to memory does not fail.
pub(crate) fn string(of: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, of);
}

/// Writes a value; JSON as it is, if it is JSON.
pub(super) fn value(value: ValueRef<'_>, out: &mut Vec<u8>) -> Fit<()> {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(v) => out.extend_from_slice(if v { b"true" } else { b"false" }),
        ValueRef::I64(_) | ValueRef::U64(_) => text::write(value, out)?,
        ValueRef::F32(v) if v.is_finite() => text::write(value, out)?,
        ValueRef::F64(v) if v.is_finite() => text::write(value, out)?,
        ValueRef::F32(_) | ValueRef::F64(_) => return Err("JSON has no such number"),
        ValueRef::Decimal(v) if is_number(v) => out.extend_from_slice(v.as_bytes()),
        ValueRef::Text(v) | ValueRef::Decimal(v) => string(v, out),
        ValueRef::Json(v) if is_json(v) => out.extend_from_slice(v.trim().as_bytes()),
        ValueRef::Json(_) => return Err("it is no JSON"),
        ValueRef::Bytes(_) => return Err("JSON has no form for bytes"),
        ValueRef::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                self::value(item.as_ref(), out)?;
            }
            out.push(b']');
        }
        value => {
            let mut plain = Vec::new();
            text::write(value, &mut plain)?;
            string(&String::from_utf8_lossy(&plain), out);
        }
    }
    Ok(())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether JSON would read it as a number.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| !byte.is_ascii_alphabetic() || matches!(byte, b'e' | b'E'))
        && is_json(text)
        && !text.starts_with(['"', '[', '{'])
}
