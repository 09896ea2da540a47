//! Which row of a batch the server's message speaks of.

use batchflow_core::{Batch, ConflictStrategy, Merge};

use crate::encode::printed;
use crate::error::Said;
use crate::table::Table;

/// A value of a failing row's detail is cut after so many bytes.
const MAX_SHOWN: usize = 64;

/// How many comparisons a failing row may cost, where its values cannot be told apart at once.
const MAX_STEPS: usize = 2_000;

/// The row that the server speaks of, where exactly one fits what it said; else none. A wrong
/// guess costs one attempt: each row blamed is tried alone.
pub(crate) fn rows(said: &Said<'_>, batch: &Batch, table: &Table) -> Vec<usize> {
    let row = by_line(said.context)
        .filter(|row| *row < batch.len())
        .or_else(|| by_key(said.detail?, batch, table))
        .or_else(|| by_failing_row(said.detail?, batch, table));
    row.into_iter().collect()
}

/// By COPY's context, `COPY t, line 17, column c: "…"`, in any language.
fn by_line(context: Option<&str>) -> Option<usize> {
    let line = context?.lines().find(|line| line.starts_with("COPY "))?;
    let number = line.split(", ").skip(1).find_map(|part| {
        let (_, after) = part.split_once(' ')?;
        let end = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
        after[..end].parse::<usize>().ok()
    });
    number?.checked_sub(1)
}

/// By the values in `Key (a, b)=(1, x) already exists.`, in any language.
fn by_key(detail: &str, batch: &Batch, table: &Table) -> Option<usize> {
    let (before, values) = detail.split_once(")=(")?;
    let (_, names) = before.split_once('(')?;
    let columns: Vec<usize> =
        names.split(", ").map(|name| position(name, table)).collect::<Option<_>>()?;
    if !columns.iter().all(|column| batch.columns().contains(column)) {
        return None;
    }
    only(batch, |row| {
        let mut rest = values;
        for (index, &column) in columns.iter().enumerate() {
            let value = printed(&table.columns[column].ty, batch.get(row, column))?;
            let after = rest.strip_prefix(value.as_str())?;
            rest = after.strip_prefix(if index + 1 == columns.len() { ")" } else { ", " })?;
        }
        Some(())
    })
}

/// A column by its name, quoted where it must be.
fn position(name: &str, table: &Table) -> Option<usize> {
    let bare = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_owned(),
    };
    table.columns.iter().position(|column| column.name == bare)
}

/// By the values in `Failing row contains (1, null, x).`, in any language. What the server filled
/// in or computed may be anything.
fn by_failing_row(detail: &str, batch: &Batch, table: &Table) -> Option<usize> {
    let (before, values) = detail.split_once('(')?;
    let values = &values[..values.rfind(')')?];
    if before.contains('=') || values.contains(") = (") {
        return None;
    }
    let schema = batch.schema();
    let is_known = |column: usize| {
        let merged = schema.strategy() == ConflictStrategy::Update
            && !schema.key().contains(&column)
            && schema.update_rule(column) != Some(Merge::Set);
        batch.columns().contains(&column) && schema.touch() != Some(column) && !merged
    };
    let known: Vec<Option<usize>> =
        table.layout.iter().map(|at| at.filter(|at| is_known(*at))).collect();
    only(batch, |row| {
        let shown: Vec<Option<String>> = known
            .iter()
            .map(|at| {
                let value = batch.get(row, (*at)?);
                if value.is_null() {
                    return Some("null".to_owned());
                }
                printed(&table.columns[(*at)?].ty, value).map(cut)
            })
            .collect();
        if shown.iter().all(Option::is_none) {
            return None;
        }
        matches(values, &shown, &mut MAX_STEPS.clone()).then_some(())
    })
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_SHOWN {
        let mut end = MAX_SHOWN;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Whether these values, separated by commas, are what the text says. `None` stands for any value.
fn matches(text: &str, values: &[Option<String>], steps: &mut usize) -> bool {
    let Some((first, others)) = values.split_first() else {
        return text.is_empty();
    };
    if *steps == 0 {
        return false;
    }
    *steps -= 1;
    match first {
        Some(value) => match text.strip_prefix(value.as_str()) {
            Some(rest) if others.is_empty() => rest.is_empty(),
            Some(rest) => rest.strip_prefix(", ").is_some_and(|rest| matches(rest, others, steps)),
            None => false,
        },
        None if others.is_empty() => true,
        None => text
            .match_indices(", ")
            .any(|(at, separator)| matches(&text[at + separator.len()..], others, steps)),
    }
}

/// The only row that fits.
fn only(batch: &Batch, fits: impl Fn(usize) -> Option<()>) -> Option<usize> {
    let mut rows = (0..batch.len()).filter(|row| fits(*row).is_some());
    let first = rows.next()?;
    rows.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copys_line_is_found_in_any_language() {
        for (context, expected) in [
            ("COPY t, line 17, column x: \"1, line 3\"", Some(16)),
            ("COPY odd 5 name, line 1", Some(0)),
            ("COPY t, Zeile 17", Some(16)),
            ("PL/pgSQL function f() line 3 at RAISE\nCOPY t, line 4: \"x\"", Some(3)),
            ("PL/pgSQL function f() line 3 at RAISE", None),
            ("COPY t, line 0", None),
            ("COPY t", None),
        ] {
            assert_eq!(by_line(Some(context)), expected, "{context}");
        }
    }

    #[test]
    fn a_failing_row_is_compared_value_by_value() {
        let some = |text: &str| Some(text.to_owned());
        for (text, values, expected) in [
            ("1, null, x", vec![some("1"), some("null"), some("x")], true),
            ("1, null, x", vec![some("1"), None, some("x")], true),
            ("1, a, b, x", vec![some("1"), None, some("x")], true),
            ("1, a, b", vec![some("1"), some("a, b")], true),
            ("12, x", vec![some("1"), some("x")], false),
            ("1, x", vec![some("1")], false),
            ("1, x", vec![some("1"), some("x"), None], false),
        ] {
            assert_eq!(matches(text, &values, &mut MAX_STEPS.clone()), expected, "{text}");
        }
        assert_eq!(cut("\u{4e16}".repeat(30)), format!("{}...", "\u{4e16}".repeat(21)));
    }
}
