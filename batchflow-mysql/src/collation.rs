//! How a collation compares text, as far as that is surely known.
//!
//! What is said here of a collation was asked of MySQL 9 and MariaDB 10.11 for every text of one
//! and two printable ASCII characters, and a server test asks again. Languages that compare such
//! texts in ways of their own (`ch` as one letter, `i` and `j` as one, `I` without a dot) are left
//! to the server.

use batchflow_core::Comparison;

/// Character sets whose `general_ci` folds printable ASCII by case alone.
const GENERAL: &[&str] = &[
    "utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32", "ascii", "latin1", "latin2",
    "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "greek", "hebrew", "koi8r",
];

/// Character sets of which no two characters are stored as the same bytes.
const EXACT: &[&str] =
    &["utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32", "ascii", "latin1"];

/// Languages whose `unicode` collations fold printable ASCII by case alone.
const LANGUAGES: &[&str] = &[
    "esperanto",
    "estonian",
    "german2",
    "icelandic",
    "latvian",
    "persian",
    "polish",
    "romanian",
    "sinhala",
    "slovenian",
    "spanish",
    "swedish",
    "vietnamese",
];

/// The same of `utf8mb4_LANGUAGE_0900_ai_ci`.
const LANGUAGES_0900: &[&str] = &[
    "bg", "cs", "de_pb", "eo", "es", "et", "gl", "is", "mn_cyrl", "pl", "ro", "ru", "sk", "sl",
    "sv", "vi",
];

/// Other collations known to do so.
const SINGLE: &[&str] = &[
    "latin1_swedish_ci",
    "latin1_german1_ci",
    "latin1_german2_ci",
    "latin1_danish_ci",
    "latin1_spanish_ci",
    "latin1_swedish_nopad_ci",
    "cp932_japanese_ci",
    "sjis_japanese_ci",
    "ujis_japanese_ci",
    "eucjpms_japanese_ci",
    "euckr_korean_ci",
    "gb18030_chinese_ci",
    "tis620_thai_ci",
    "utf8mb3_general_mysql500_ci",
    "utf8_general_mysql500_ci",
];

/// How a column of this collation compares its text; `padded` says that spaces at its end are not
/// kept, as a `char(n)` keeps none.
pub(crate) fn comparison(collation: &str, padded: bool) -> Comparison {
    let trims = padded || pads(collation);
    match class(collation) {
        Class::Exact if trims => Comparison::TrimEnd,
        Class::Exact => Comparison::Natural,
        Class::Cased if trims => Comparison::PrintableTrimEnd,
        Class::Cased => Comparison::Printable,
        Class::Uncased if trims => Comparison::PrintableNoCaseTrimEnd,
        Class::Uncased => Comparison::PrintableNoCase,
        Class::Unknown => Comparison::Opaque,
    }
}

/// What a collation tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Any two texts.
    Exact,
    /// Any two texts of printable ASCII.
    Cased,
    /// Any two texts of printable ASCII, but not by their case.
    Uncased,
    Unknown,
}

/// Whether spaces at a text's end count for nothing.
fn pads(collation: &str) -> bool {
    !(collation == "binary" || collation.contains("_0900_") || collation.contains("_nopad_"))
}

fn class(collation: &str) -> Class {
    if collation == "binary" {
        return Class::Exact;
    }
    let Some((charset, name)) = collation.split_once('_') else {
        return Class::Unknown;
    };
    if charset == "swe7" {
        return Class::Unknown;
    }
    if name == "bin" || name.ends_with("_bin") {
        return if EXACT.contains(&charset) { Class::Exact } else { Class::Cased };
    }
    let name = name.replace("nopad_", "");
    let unicode = charset.starts_with("utf") || charset == "ucs2";
    let uncased = match name.as_str() {
        "general_ci" => GENERAL.contains(&charset),
        "unicode_ci" | "unicode_520_ci" | "0900_ai_ci" | "0900_as_ci" | "uca1400_ai_ci"
        | "uca1400_as_ci" => unicode,
        name => match name.strip_suffix("_0900_ai_ci") {
            Some(language) => LANGUAGES_0900.contains(&language),
            None => {
                let language = name.strip_suffix("_ci").unwrap_or_default();
                unicode && LANGUAGES.contains(&language) || SINGLE.contains(&collation)
            }
        },
    };
    let cased = match name.as_str() {
        "0900_as_cs" | "uca1400_as_cs" | "uca1400_ai_cs" => unicode,
        "general_cs" => matches!(charset, "latin1" | "latin7" | "cp1251"),
        _ => false,
    };
    match (uncased, cased) {
        (true, _) => Class::Uncased,
        (_, true) => Class::Cased,
        _ => Class::Unknown,
    }
}

#[cfg(test)]
mod tests;
