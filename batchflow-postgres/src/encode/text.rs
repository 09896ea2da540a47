//! Text: how long it may be, and what it may hold.

use super::refusal::{Fit, NUL, TOO_LONG};
use crate::types::TextLimit;

/// What PostgreSQL skips around the text of a number or a truth value.
pub(super) fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Text for a column of so many characters. Spaces beyond them are cut by the server, as SQL has
/// it; anything else would be an error of the row's.
#[inline]
pub(super) fn check(text: &str, limit: TextLimit) -> Fit<()> {
    no_nul(text)?;
    match limit.chars {
        Some(chars) if text.len() > chars as usize => check_long(text, chars, limit.cut_spaces),
        _ => Ok(()),
    }
}

/// Text without a NUL character.
#[inline]
pub(super) fn no_nul(text: &str) -> Fit<()> {
    if text.as_bytes().contains(&0) { Err(NUL) } else { Ok(()) }
}

fn check_long(text: &str, chars: u32, cut_spaces: bool) -> Fit<()> {
    let excess = text.char_indices().nth(chars as usize).map(|(at, _)| &text[at..]);
    match excess {
        None => Ok(()),
        Some(excess) if cut_spaces && excess.bytes().all(|byte| byte == b' ') => Ok(()),
        Some(_) => Err(TOO_LONG),
    }
}

/// Text of so many bytes at most, which the server would cut silently.
pub(super) fn at_most(text: &str, bytes: usize) -> Fit<()> {
    no_nul(text)?;
    if text.len() > bytes { Err(TOO_LONG) } else { Ok(()) }
}

/// One of an enum's labels.
#[inline]
pub(super) fn label<'a>(text: &'a str, labels: &[String]) -> Fit<&'a str> {
    if labels.iter().any(|label| label == text) {
        Ok(text)
    } else {
        Err("it is none of the enum's labels")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_and_only_spaces_may_be_cut() {
        let cut = TextLimit { chars: Some(3), cut_spaces: true };
        for (text, expected) in [
            ("", Ok(())),
            ("abc", Ok(())),
            ("\u{4e16}\u{754c}\u{1f980}", Ok(())),
            ("abcd", Err(TOO_LONG)),
            ("\u{4e16}\u{754c}\u{1f980}!", Err(TOO_LONG)),
            ("abc   ", Ok(())),
            ("abc  x", Err(TOO_LONG)),
            ("abc\t", Err(TOO_LONG)),
            ("a\0", Err(NUL)),
        ] {
            assert_eq!(check(text, cut), expected, "{text:?}");
        }
        let key = TextLimit { cut_spaces: false, ..cut };
        assert_eq!(check("abc ", key), Err(TOO_LONG));
        assert_eq!(check("any length", TextLimit::NONE), Ok(()));
        assert_eq!(at_most(&"x".repeat(64), 63), Err(TOO_LONG));
        assert!(label("sad", &["sad".into(), "ok".into()]).is_ok());
        assert!(label("Sad", &["sad".into()]).is_err());
    }
}
