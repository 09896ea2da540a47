//! Which row, column and constraint the server's message speaks of.
//!
//! Messages come in the server's language; what stands in quotes, and in which order, is the same
//! in all.

use batchflow_core::{Batch, ValueRef};
use mysql_async::ServerError;

use crate::table::Table;
use crate::types::TypeKind;

/// A duplicate's value is cut after so many bytes.
const MAX_SHOWN: usize = 64;

/// Numbers whose message ends with the row of the statement, counted from 1.
const BY_ROW: &[u16] = &[1264, 1265, 1292, 1366, 1406, 1411, 1416, 1048, 1364, 3140];

/// The rows that the server speaks of; none where it does not say. A wrong guess costs one
/// attempt: each row blamed is tried alone.
pub(crate) fn rows(said: &ServerError, batch: &Batch, table: &Table) -> Vec<usize> {
    if said.code == 1062 {
        return by_duplicate(&said.message, batch, table);
    }
    let row = if BY_ROW.contains(&said.code) { last_number(&said.message) } else { None };
    let row = row.and_then(|row| row.checked_sub(1)).filter(|row| *row < batch.len());
    row.into_iter().collect()
}

/// The last number of a message that ends with it or with a few signs after it.
fn last_number(message: &str) -> Option<usize> {
    let tail = message.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let before = tail.trim_end_matches(|letter: char| letter.is_ascii_digit());
    // What stands in quotes is a value or a name.
    if message[tail.len()..].contains(['\'', '`', '"']) {
        return None;
    }
    tail[before.len()..].parse().ok()
}

/// By the value of `Duplicate entry '1-x' for key 't.PRIMARY'`. Of several rows with the value,
/// the first may have been written.
fn by_duplicate(message: &str, batch: &Batch, table: &Table) -> Vec<usize> {
    let Some((entry, key)) = duplicate(message) else {
        return Vec::new();
    };
    let named = |key_of: &&crate::table::UniqueKey| key_of.name.eq_ignore_ascii_case(key);
    let Some(key) = table.unique_keys.iter().find(named) else {
        return Vec::new();
    };
    if !key.columns.iter().all(|at| batch.columns().contains(at)) {
        return Vec::new();
    }
    let fits = |row: &usize| {
        let mut text = String::new();
        for (index, &at) in key.columns.iter().enumerate() {
            if index > 0 {
                text.push('-');
            }
            let Some(part) = printed(&table.columns[at].ty.kind, batch.get(*row, at)) else {
                return false;
            };
            text.push_str(&part);
        }
        let entry = entry.strip_suffix("...").filter(|_| entry.len() > MAX_SHOWN).unwrap_or(entry);
        text.eq_ignore_ascii_case(entry)
            || (entry.len() >= MAX_SHOWN - 3 && text.starts_with(entry))
    };
    let rows: Vec<usize> = (0..batch.len()).filter(fits).collect();
    match rows.as_slice() {
        [_, later @ ..] if !later.is_empty() => later.to_vec(),
        _ => rows,
    }
}

/// The value and the index's name of a duplicate.
fn duplicate(message: &str) -> Option<(&str, &str)> {
    let (before, key) = message.strip_suffix('\'')?.rsplit_once('\'')?;
    let start = before.find('\'')? + 1;
    let end = before.rfind('\'').filter(|end| *end >= start)?;
    // MySQL puts the table's name before it.
    let key = key.split_once('.').map_or(key, |(_, key)| key);
    Some((&before[start..end], key))
}

/// The text that the server prints for a value of a key; `None` where that cannot be told.
fn printed(kind: &TypeKind, value: ValueRef<'_>) -> Option<String> {
    Some(match (kind, value) {
        (TypeKind::Int { .. }, ValueRef::I64(value)) => value.to_string(),
        (TypeKind::Int { .. }, ValueRef::U64(value)) => value.to_string(),
        (TypeKind::Int { .. }, ValueRef::Bool(value)) => u8::from(value).to_string(),
        (
            TypeKind::VarChar(_) | TypeKind::Char(_) | TypeKind::Text(_) | TypeKind::Enum(_),
            ValueRef::Text(text),
        ) => text.to_owned(),
        (TypeKind::Date, ValueRef::Date(date)) => date.to_string(),
        _ => return None,
    })
}

/// The column that the message names, if it is one of the table's: the last name in quotes.
pub(crate) fn column<'t>(said: &ServerError, table: &'t Table) -> Option<&'t str> {
    const NAMED: &[u16] = &[1048, 1054, 1264, 1265, 1292, 1364, 1366, 1406, 1416, 1906, 3105, 3140];
    if !NAMED.contains(&said.code) {
        return None;
    }
    // `column 'c'`, `column 'c'`, ``column `db`.`t`.`c` ``, `column 't.c'`
    let name = quoted(&said.message).last()?;
    let known = |name: &str| {
        table.columns.iter().find(|column| column.name == name).map(|column| column.name.as_str())
    };
    known(name).or_else(|| known(name.rsplit_once('.')?.1))
}

/// What stands in quotes, in order.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let start = rest.find(['\'', '`'])?;
        let mark = &rest[start..=start];
        let (inside, after) = rest[start + 1..].split_once(mark)?;
        rest = after;
        Some(inside)
    })
}

/// The index or constraint that the message names.
pub(crate) fn constraint(said: &ServerError) -> Option<String> {
    let name = match said.code {
        1062 => duplicate(&said.message)?.1,
        // A CHECK: `t_chk_1`; MariaDB's of a column, `t.c`.
        3819 | 4025 => quoted(&said.message).next()?,
        // (`db`.`t`, CONSTRAINT `name` FOREIGN KEY …: no value.
        1451 | 1452 => {
            let (_, after) = said.message.split_once("CONSTRAINT `")?;
            after.split_once('`')?.0
        }
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests;
