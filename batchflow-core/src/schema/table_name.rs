//! A table's name and its qualifiers.

use std::fmt;

use super::SchemaError;

/// A table's name and its qualifiers, unquoted: `users`, `app.users`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName(Box<[Box<str>]>);

impl TableName {
    /// Reads a dotted name; see [`Schema::builder`](super::Schema::builder).
    pub(super) fn parse(text: &str) -> Result<Self, SchemaError> {
        let bad = |why| SchemaError::Table { name: text.to_owned(), why };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.contains('\0') {
            return Err(bad("it holds a NUL character"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted_part(quoted).ok_or_else(|| bad("a quote is not closed"))?,
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            if part.is_empty() {
                return Err(bad("a part between its dots is empty"));
            }
            parts.push(part.into_boxed_str());
            if after.is_empty() {
                return Ok(Self(parts.into()));
            }
            rest = after
                .strip_prefix('.')
                .ok_or_else(|| bad("a dot is missing after a quoted part"))?;
        }
    }

    /// The table's own name, without qualifiers.
    pub fn name(&self) -> &str {
        self.0.last().map_or("", AsRef::as_ref)
    }

    /// The qualifiers before the name, outermost first; empty for a plain name.
    pub fn qualifiers(&self) -> impl ExactSizeIterator<Item = &str> {
        let own = self.0.len().saturating_sub(1);
        self.0[..own].iter().map(AsRef::as_ref)
    }
}

/// Reads up to the closing quote; a doubled quote stands for one.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, after)),
        }
    }
}

/// The name as [`Schema::builder`](super::Schema::builder) reads it.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if part.contains(['.', '"']) {
                write!(f, "\"{}\"", part.replace('"', "\"\""))?;
            } else {
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_parts_and_print_as_they_are_read() {
        let cases: [(&str, &[&str]); 5] = [
            ("users", &["users"]),
            ("app.users", &["app", "users"]),
            ("a.b.c", &["a", "b", "c"]),
            ("app.\"odd.name\"", &["app", "odd.name"]),
            ("\"say \"\"hi\"\"\"", &["say \"hi\""]),
        ];
        for (text, parts) in cases {
            let name = TableName::parse(text).unwrap();
            let read: Vec<&str> = name.qualifiers().chain([name.name()]).collect();
            assert_eq!(read, parts);
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn a_bad_name_says_what_is_wrong_with_it() {
        for (text, why) in [
            ("", "empty"),
            ("a.", "empty"),
            (".a", "empty"),
            ("a\0b", "NUL"),
            ("\"a", "not closed"),
            ("\"a\"b", "dot is missing"),
        ] {
            let error = TableName::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
