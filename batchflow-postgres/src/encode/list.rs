//! Arrays, as their text form: `{1,NULL,{…}}`.

use std::fmt;

use batchflow_core::Value;

use super::refusal::Fit;

/// How deep PostgreSQL's arrays may be.
const MAX_DEPTH: usize = 6;

const RAGGED: &str = "its inner arrays differ in length or depth";

/// Writes an array, each element by `item`, quoted wherever it is not a plain word.
pub(super) fn put<W: fmt::Write>(
    items: &[Value],
    delimiter: char,
    out: &mut W,
    item: fn(&Value, &mut Quoted<'_>) -> Fit<()>,
) -> Fit<()> {
    put_with(items, delimiter, out, &mut |value, out| item(value, out))
}

/// The same, by a closure.
pub(super) fn put_with<W: fmt::Write>(
    items: &[Value],
    delimiter: char,
    out: &mut W,
    item: &mut dyn FnMut(&Value, &mut Quoted<'_>) -> Fit<()>,
) -> Fit<()> {
    let mut shape = Vec::new();
    let mut level = items;
    loop {
        shape.push(level.len());
        match level.first() {
            Some(Value::Array(inner)) => level = inner,
            _ => break,
        }
    }
    if shape.len() > MAX_DEPTH {
        return Err("it has more than six dimensions");
    }
    let mut writer = Writer { delimiter, out, item };
    writer.level(items, &shape)
}

struct Writer<'a> {
    delimiter: char,
    out: &'a mut dyn fmt::Write,
    item: &'a mut dyn FnMut(&Value, &mut Quoted<'_>) -> Fit<()>,
}

impl Writer<'_> {
    fn level(&mut self, items: &[Value], shape: &[usize]) -> Fit<()> {
        let Some((&len, inner)) = shape.split_first() else {
            return Err(RAGGED);
        };
        if items.len() != len {
            return Err(RAGGED);
        }
        self.word("{")?;
        for (at, value) in items.iter().enumerate() {
            if at > 0 {
                self.out.write_char(self.delimiter).map_err(|_| RAGGED)?;
            }
            match value {
                Value::Array(items) if !inner.is_empty() => self.level(items, inner)?,
                Value::Array(_) => return Err(RAGGED),
                _ if !inner.is_empty() => return Err(RAGGED),
                Value::Null => self.word("NULL")?,
                value => self.quoted(value)?,
            }
        }
        self.word("}")
    }

    fn quoted(&mut self, value: &Value) -> Fit<()> {
        let needless = matches!(value, Value::I64(_) | Value::U64(_) | Value::Bool(_));
        if !needless {
            self.word("\"")?;
        }
        (self.item)(value, &mut Quoted(self.out))?;
        if !needless {
            self.word("\"")?;
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Fit<()> {
        self.out.write_str(word).map_err(|_| RAGGED)
    }
}

/// Escapes what would end a quoted element.
pub(super) struct Quoted<'a>(&'a mut dyn fmt::Write);

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(['"', '\\']) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            self.0.write_str("\\")?;
            self.0.write_str(&special[..1])?;
            rest = &special[1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_quoted_and_rectangular() {
        let text = |value: Value| {
            let Value::Array(items) = value else { panic!("an array") };
            let mut text = String::new();
            put(&items, ',', &mut text, |value, out| super::super::plain::put(value.as_ref(), out))
                .map(|()| text)
        };
        let array = |items: Vec<Value>| Value::Array(items.into());
        let ints = |items: &[i64]| array(items.iter().map(|item| Value::I64(*item)).collect());
        assert_eq!(text(ints(&[])).unwrap(), "{}");
        assert_eq!(text(ints(&[1, -2])).unwrap(), "{1,-2}");
        assert_eq!(
            text(array(vec!["NULL".into(), "".into(), "a\\\"{},".into(), Value::Null])).unwrap(),
            r#"{"NULL","","a\\\"{},",NULL}"#,
        );
        assert_eq!(text(array(vec![ints(&[1, 2]), ints(&[3, 4])])).unwrap(), "{{1,2},{3,4}}");
        for ragged in [
            array(vec![ints(&[1]), ints(&[2, 3])]),
            array(vec![ints(&[1]), Value::Null]),
            array(vec![Value::I64(1), ints(&[2])]),
            array(vec![ints(&[1]), array(vec![ints(&[1])])]),
        ] {
            assert_eq!(text(ragged), Err(RAGGED));
        }
        let deep = (0..6).fold(ints(&[1]), |inner, _| array(vec![inner]));
        assert!(text(deep).is_err());
    }
}
