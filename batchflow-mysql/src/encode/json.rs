//! JSON: whether a text is a document.

use super::refusal::Fit;

const TEXT: &str = "it is not a JSON document";
const DEEP: &str = "it is nested deeper than the server reads";

/// How deep arrays and objects may be nested: MySQL reads 100 levels, MariaDB fewer, and says so.
const MOST: usize = 100;

/// That a text is one JSON document.
pub(super) fn check(text: &str) -> Fit<()> {
    let mut rest = text.as_bytes();
    value(&mut rest, 0)?;
    skip(&mut rest);
    if rest.is_empty() { Ok(()) } else { Err(TEXT) }
}

fn skip(rest: &mut &[u8]) {
    while let [b' ' | b'\t' | b'\n' | b'\r', after @ ..] = rest {
        *rest = after;
    }
}

fn value(rest: &mut &[u8], depth: usize) -> Fit<()> {
    skip(rest);
    match rest.first() {
        Some(b'{' | b'[') if depth >= MOST => Err(DEEP),
        Some(b'{') => list(rest, b'}', |rest| {
            skip(rest);
            string(rest)?;
            skip(rest);
            byte(rest, b':')?;
            value(rest, depth + 1)
        }),
        Some(b'[') => list(rest, b']', |rest| value(rest, depth + 1)),
        Some(b'"') => string(rest),
        Some(b't') => word(rest, b"true"),
        Some(b'f') => word(rest, b"false"),
        Some(b'n') => word(rest, b"null"),
        _ => number(rest),
    }
}

/// Items with commas between them, up to `end`.
fn list(rest: &mut &[u8], end: u8, item: impl Fn(&mut &[u8]) -> Fit<()>) -> Fit<()> {
    *rest = &rest[1..];
    skip(rest);
    if rest.first() == Some(&end) {
        *rest = &rest[1..];
        return Ok(());
    }
    loop {
        item(rest)?;
        skip(rest);
        if rest.first() == Some(&end) {
            *rest = &rest[1..];
            return Ok(());
        }
        byte(rest, b',')?;
    }
}

fn byte(rest: &mut &[u8], wanted: u8) -> Fit<()> {
    match rest {
        [first, after @ ..] if *first == wanted => {
            *rest = after;
            Ok(())
        }
        _ => Err(TEXT),
    }
}

fn word(rest: &mut &[u8], wanted: &[u8]) -> Fit<()> {
    *rest = rest.strip_prefix(wanted).ok_or(TEXT)?;
    Ok(())
}

fn string(rest: &mut &[u8]) -> Fit<()> {
    byte(rest, b'"')?;
    loop {
        let (first, after) = rest.split_first().ok_or(TEXT)?;
        *rest = after;
        match first {
            b'"' => return Ok(()),
            b'\\' => escape(rest)?,
            0..=0x1f => return Err(TEXT),
            _ => {}
        }
    }
}

fn escape(rest: &mut &[u8]) -> Fit<()> {
    let (first, after) = rest.split_first().ok_or(TEXT)?;
    *rest = after;
    match first {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
        b'u' => match unit(rest)? {
            // Half of a character, whose other half must follow.
            0xd800..=0xdbff => {
                word(rest, b"\\u")?;
                if (0xdc00..=0xdfff).contains(&unit(rest)?) { Ok(()) } else { Err(TEXT) }
            }
            0xdc00..=0xdfff => Err(TEXT),
            _ => Ok(()),
        },
        _ => Err(TEXT),
    }
}

/// Four hexadecimal digits.
fn unit(rest: &mut &[u8]) -> Fit<u32> {
    let (digits, after) = rest.split_at_checked(4).ok_or(TEXT)?;
    *rest = after;
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(TEXT)?;
        Ok(number << 4 | digit)
    })
}

fn number(rest: &mut &[u8]) -> Fit<()> {
    let text = *rest;
    if let [b'-', after @ ..] = rest {
        *rest = after;
    }
    let first = rest.first().copied();
    if digits(rest)? > 1 && first == Some(b'0') {
        return Err(TEXT);
    }
    if let [b'.', after @ ..] = rest {
        *rest = after;
        digits(rest)?;
    }
    if let [b'e' | b'E', after @ ..] = rest {
        *rest = after.strip_prefix(b"+").or(after.strip_prefix(b"-")).unwrap_or(after);
        digits(rest)?;
    }
    // One that is no double is none to MySQL.
    let text = &text[..text.len() - rest.len()];
    let finite = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    if finite.is_some_and(f64::is_finite) { Ok(()) } else { Err(TEXT) }
}

fn digits(rest: &mut &[u8]) -> Fit<usize> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    *rest = &rest[count..];
    if count > 0 { Ok(count) } else { Err(TEXT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_told_from_other_text() {
        for text in [
            "null",
            " true ",
            "0",
            "-0.5e+10",
            "1E5",
            "\"\"",
            "[]",
            "{}",
            "[1, [2], {\"a\": null}]",
            "{\"a\":1,\"b\":[true,false]}\n",
            "\"\\u00e9\\ud83e\\udd80 \\n \u{1f980}\"",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            " ",
            "nul",
            "True",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "NaN",
            "'a'",
            "\"a",
            "[1,]",
            "[,]",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":1,}",
            "[1] 2",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"a\nb\"",
            "1e400",
            "[1",
            "{\"a\":1",
            "\u{feff}1",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(&deep(100)), Ok(()));
        assert_eq!(check(&deep(101)), Err(DEEP));
    }
}
