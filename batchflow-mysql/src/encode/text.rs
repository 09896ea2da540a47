//! Text: how long it may be, and which characters it may have.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::refusal::{Fit, TOO_LONG};

const CHARSET: &str = "the column's character set lacks one of its characters";

/// Which characters a column's character set has, and how many bytes they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    /// UTF-8 of three bytes at most.
    Utf8Mb3,
    Ascii,
    /// MySQL's `latin1`: Windows-1252, with the five bytes that it leaves open.
    Latin1,
    /// Two bytes, no surrogates.
    Ucs2,
    Utf16,
    Utf32,
    /// Any other, which surely has ASCII.
    Other,
}

/// What Windows-1252 has beyond Latin-1, from 0x80 to 0x9f.
const WINDOWS: &str = "\u{20ac}\u{81}\u{201a}\u{192}\u{201e}\u{2026}\u{2020}\u{2021}\u{2c6}\
                       \u{2030}\u{160}\u{2039}\u{152}\u{8d}\u{17d}\u{8f}\u{90}\u{2018}\u{2019}\
                       \u{201c}\u{201d}\u{2022}\u{2013}\u{2014}\u{2dc}\u{2122}\u{161}\u{203a}\
                       \u{153}\u{9d}\u{17e}\u{178}";

impl Charset {
    pub(super) fn of(name: Option<&str>) -> Self {
        match name {
            None | Some("utf8mb4") => Self::Utf8,
            Some("utf8" | "utf8mb3") => Self::Utf8Mb3,
            Some("ascii") => Self::Ascii,
            Some("latin1") => Self::Latin1,
            Some("ucs2") => Self::Ucs2,
            Some("utf16" | "utf16le") => Self::Utf16,
            Some("utf32") => Self::Utf32,
            Some(_) => Self::Other,
        }
    }

    /// That it has every character of a text.
    #[inline]
    fn check(self, text: &str) -> Fit<()> {
        if self == Self::Utf8 || text.is_ascii() || text.chars().all(|letter| self.has(letter)) {
            Ok(())
        } else {
            Err(CHARSET)
        }
    }

    fn has(self, letter: char) -> bool {
        match self {
            Self::Utf8Mb3 | Self::Ucs2 => letter <= '\u{ffff}',
            Self::Ascii => letter.is_ascii(),
            Self::Latin1 => {
                letter.is_ascii()
                    || ('\u{a0}'..='\u{ff}').contains(&letter)
                    || WINDOWS.contains(letter)
            }
            // Of the others only the server knows, and says so.
            Self::Utf8 | Self::Utf16 | Self::Utf32 | Self::Other => true,
        }
    }

    /// How many bytes a text takes in it; of other sets the least that it may.
    fn length(self, text: &str) -> usize {
        match self {
            Self::Utf8 | Self::Utf8Mb3 => text.len(),
            Self::Ascii | Self::Latin1 | Self::Other => text.chars().count(),
            Self::Ucs2 => 2 * text.chars().count(),
            Self::Utf16 => 2 * text.chars().map(char::len_utf16).sum::<usize>(),
            Self::Utf32 => 4 * text.chars().count(),
        }
    }
}

/// Text for a column of so many characters. Where the column is `padded`, spaces at the end are
/// nothing, and those that it has no room for are left out.
#[inline]
pub(super) fn characters(text: &str, most: u32, padded: bool, charset: Charset) -> Fit<&str> {
    charset.check(text)?;
    if text.len() <= most as usize {
        return Ok(text);
    }
    match text.char_indices().nth(most as usize) {
        None => Ok(text),
        Some((end, _)) if padded && text[end..].bytes().all(|byte| byte == b' ') => {
            Ok(&text[..end])
        }
        Some(_) => Err(TOO_LONG),
    }
}

/// Text for a column of so many bytes.
#[inline]
pub(super) fn bytes(text: &str, most: u64, charset: Charset) -> Fit<()> {
    charset.check(text)?;
    // No set takes more than four bytes for what takes one here.
    if (text.len() as u64).saturating_mul(4) <= most || charset.length(text) as u64 <= most {
        Ok(())
    } else {
        Err(TOO_LONG)
    }
}

/// One of an enum's members, letter by letter: the server also takes other cases, and numbers.
pub(super) fn member<'a>(text: &'a str, members: &[String]) -> Fit<&'a str> {
    if members.iter().any(|member| member == text) {
        Ok(text)
    } else {
        Err("it is none of the column's members")
    }
}

/// Any of a set's members with commas between them; none, for the empty text.
pub(super) fn subset<'a>(text: &'a str, members: &[String]) -> Fit<&'a str> {
    if text.is_empty() {
        return Ok(text);
    }
    text.split(',').try_for_each(|part| member(part, members).map(drop))?;
    Ok(text)
}

/// Whether a type is one of addresses.
pub(super) fn is_address(sql: &str) -> bool {
    matches!(sql, "inet4" | "inet6")
}

/// The text of an address, for the types that hold one.
pub(super) fn address(sql: &str, text: &str) -> Fit<()> {
    let fits = match sql {
        "inet4" => text.parse::<Ipv4Addr>().is_ok(),
        "inet6" => text.parse::<Ipv6Addr>().is_ok(),
        _ => true,
    };
    if fits { Ok(()) } else { Err("it is not the text of such an address") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_and_only_padding_may_be_cut() {
        for (text, padded, expected) in [
            ("", false, Ok("")),
            ("abc", false, Ok("abc")),
            ("\u{4e16}\u{754c}\u{1f980}", false, Ok("\u{4e16}\u{754c}\u{1f980}")),
            ("abcd", true, Err(TOO_LONG)),
            ("abc  ", false, Err(TOO_LONG)),
            ("abc  ", true, Ok("abc")),
            ("abc  x", true, Err(TOO_LONG)),
            ("a\0", false, Ok("a\0")),
        ] {
            assert_eq!(characters(text, 3, padded, Charset::Utf8), expected, "{text:?}");
        }
    }

    #[test]
    fn each_character_set_has_its_characters_and_bytes() {
        let (umlaut, euro, han, crab) = ("\u{e9}", "\u{20ac}", "\u{4e16}", "\u{1f980}");
        for (name, has, lacks, length) in [
            ("utf8mb4", vec![umlaut, euro, han, crab], vec![], 4),
            ("utf8mb3", vec![umlaut, euro, han], vec![crab], 3),
            ("latin1", vec![umlaut, euro, "\u{81}"], vec![han, crab, "\u{80}"], 1),
            ("ascii", vec!["~"], vec![umlaut, euro, han, crab], 1),
            ("ucs2", vec![umlaut, han], vec![crab], 2),
            ("utf16le", vec![umlaut, han, crab], vec![], 4),
            ("utf32", vec![umlaut, han, crab], vec![], 4),
        ] {
            let charset = Charset::of(Some(name));
            for text in &has {
                assert_eq!(charset.check(text), Ok(()), "{name} {text}");
            }
            for text in lacks {
                assert_eq!(charset.check(text), Err(CHARSET), "{name} {text}");
            }
            let longest = has.iter().map(|text| charset.length(text)).max();
            assert_eq!(longest, Some(length), "{name}");
        }
        assert_eq!(bytes("\u{e9}\u{e9}", 3, Charset::Utf8), Err(TOO_LONG));
        assert_eq!(bytes("\u{e9}\u{e9}", 3, Charset::Latin1), Ok(()));
        assert_eq!(bytes("ab", 3, Charset::Ucs2), Err(TOO_LONG));
    }

    #[test]
    fn members_are_taken_letter_by_letter() {
        let members = ["sad".to_owned(), "ok".to_owned()];
        assert!(member("sad", &members).is_ok());
        for text in ["Sad", "1", "", "sad ", "sad,ok"] {
            assert!(member(text, &members).is_err(), "{text:?}");
        }
        for text in ["", "ok", "ok,sad"] {
            assert!(subset(text, &members).is_ok(), "{text:?}");
        }
        for text in [",", "ok,", "ok, sad", "OK"] {
            assert!(subset(text, &members).is_err(), "{text:?}");
        }
        assert!(address("inet4", "192.0.2.1").is_ok() && address("inet4", "::1").is_err());
    }
}
