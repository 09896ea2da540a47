//! What a value is refused for, without the value.

use batchflow_core::{Batch, ErrorKind, Stage, ValueRef, WriteError};

use crate::table::TableColumn;

/// What a conversion made of a value, or what is wrong with it.
pub(super) type Fit<T> = Result<T, &'static str>;

pub(super) const KIND: &str = "the column takes no such kind";
pub(super) const RANGE: &str = "it is out of the column's range";
pub(super) const TOO_LONG: &str = "it is longer than the column";
pub(super) const NOT_NULL: &str = "the column is NOT NULL";

/// The server's number for a NULL where none may be.
const NOT_NULL_VIOLATION: u16 = 1048;

/// The error of all rows at fault: it tells of the first. `fault` tells what is wrong with a value.
#[cold]
pub(super) fn refuse<'a>(
    batch: &Batch,
    columns: &(impl Iterator<Item = (usize, &'a TableColumn)> + Clone),
    mut fault: impl FnMut(&TableColumn, ValueRef<'_>) -> Fit<()>,
) -> WriteError {
    let mut first = None;
    let mut blame = Vec::new();
    for row in 0..batch.len() {
        for (at, column) in columns.clone() {
            let value = batch.get(row, at);
            if let Err(why) = fault(column, value) {
                first.get_or_insert_with(|| describe(batch, at, column, value, why));
                blame.push(row);
                break;
            }
        }
    }
    let first = first.unwrap_or_else(|| WriteError::new(ErrorKind::Internal).at(Stage::Encode));
    first.with_blame(blame)
}

fn describe(
    batch: &Batch,
    at: usize,
    column: &TableColumn,
    value: ValueRef<'_>,
    why: &str,
) -> WriteError {
    let error = if value.is_null() {
        let error = WriteError::new(ErrorKind::Constraint).with_code(NOT_NULL_VIOLATION);
        error.with_message(why)
    } else {
        let message = format!("{} does not fit {}: {why}", value.kind(), shown(&column.ty.sql));
        WriteError::new(ErrorKind::Data).with_message(message)
    };
    let schema = batch.schema();
    error.at(Stage::Encode).with_table(schema.table()).with_column(schema.column(at))
}

/// A type's name; of an enum's members, only the first few.
fn shown(sql: &str) -> String {
    const MOST: usize = 60;
    match sql.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &sql[..end]),
        None => sql.to_owned(),
    }
}
