//! Truth values.

use batchflow_core::ValueRef;

use super::refusal::{Fit, KIND};

/// A truth value, or a text that PostgreSQL reads as one.
pub(super) fn boolean(value: ValueRef<'_>) -> Fit<bool> {
    match value {
        ValueRef::Bool(value) => Ok(value),
        ValueRef::Text(text) => read(text).ok_or("it is not the text of a truth value"),
        _ => Err(KIND),
    }
}

/// Any start of `true`, `false`, `yes` and `no`; `on`, `off` and what starts `off`; `1`, `0`.
fn read(text: &str) -> Option<bool> {
    let text = text.trim_matches(super::text::is_space).to_ascii_lowercase();
    let starts = |word: &str| !text.is_empty() && word.starts_with(&text);
    match text.as_str() {
        "1" | "on" => Some(true),
        "0" | "of" | "off" => Some(false),
        _ if starts("true") || starts("yes") => Some(true),
        _ if starts("false") || starts("no") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truth_value_may_be_written_in_all_of_postgresqls_ways() {
        let cases = [
            (&["t", "TRUE", " tr ", "y", "Yes", "on", "1"][..], Some(true)),
            (&["f", "False", "n", "no", "of", "off", "0"], Some(false)),
            (&["", "o", "x", "truee", "2", "10"], None),
        ];
        for (texts, expected) in cases {
            for text in texts {
                assert_eq!(read(text), expected, "{text:?}");
            }
        }
    }
}
