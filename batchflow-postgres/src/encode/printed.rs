//! A value as the server prints it in its messages.

use batchflow_core::ValueRef;

use super::written;
use crate::types::{ColumnType, NumericLimit, TypeKind};

/// The text that the server most likely prints for a value once it is stored; `None` where that
/// cannot be told.
pub(crate) fn printed(ty: &ColumnType, value: ValueRef<'_>) -> Option<String> {
    let ty = ty.base();
    let mut text = String::new();
    written::put(ty, value, &mut text).ok()?;
    match &ty.kind {
        TypeKind::Jsonb | TypeKind::Array { .. } => None,
        TypeKind::Char(limit) => {
            let chars = limit.chars? as usize;
            let length = text.chars().count();
            let end = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
            text.truncate(end);
            text.extend(std::iter::repeat_n(' ', chars.saturating_sub(length)));
            Some(text)
        }
        TypeKind::Text(limit) => {
            let chars = limit.chars.map_or(usize::MAX, |chars| chars as usize);
            if let Some((end, _)) = text.char_indices().nth(chars) {
                text.truncate(end);
            }
            Some(text)
        }
        TypeKind::Numeric(NumericLimit { digits, .. }) => padded(text, digits.map(|(_, s)| s)),
        _ => Some(text),
    }
}

/// A plain number with so many digits after its point; `None` where it would be rounded.
fn padded(mut text: String, scale: Option<i16>) -> Option<String> {
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.')) {
        return None;
    }
    let Some(scale) = scale else {
        return Some(text);
    };
    let scale = usize::try_from(scale).ok()?;
    let has = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if has == 0 && scale > 0 && !text.contains('.') {
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', scale.checked_sub(has)?));
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_printed_with_its_columns_scale() {
        for (text, scale, expected) in [
            ("1", Some(2), Some("1.00")),
            ("-1.5", Some(2), Some("-1.50")),
            ("1.25", Some(2), Some("1.25")),
            ("1.255", Some(2), None),
            ("7", Some(0), Some("7")),
            ("1.50", None, Some("1.50")),
            ("1e3", None, None),
        ] {
            assert_eq!(padded(text.to_owned(), scale).as_deref(), expected, "{text}");
        }
    }
}
