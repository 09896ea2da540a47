//! Prints a history's events and a table's rows: who reads them debugs a test, so they show the
//! test's own values.

use std::fmt::Write as _;

use crate::value::Value;

use super::history::{Entry, Violation};

/// One line about a submit.
pub(super) fn describe(at: usize, entry: &Entry) -> String {
    let request = &entry.request;
    let schema = request.schema();
    let cells: Vec<String> = request
        .set_columns()
        .map(|at| {
            let value = request.value(at).unwrap_or(&Value::Null);
            format!("{}={}", schema.column(at), show(value))
        })
        .collect();
    let queued = entry.queued.map_or("not queued".to_owned(), |at| format!("queued at {at}"));
    let number = entry.submission.map_or(String::new(), |number| format!(" as {number}"));
    let fate = entry.fate.map_or("no verdict".to_owned(), |fate| format!("{fate:?}"));
    format!(
        "  #{at} begun at {}, {queued}{number}: {} {} ({}): {fate}\n",
        entry.began,
        schema.strategy().as_str(),
        schema.table(),
        cells.join(", "),
    )
}

pub(super) fn show_row(row: &[Value]) -> String {
    let cells: Vec<String> = row.iter().map(show).collect();
    cells.join(", ")
}

/// Rows, one a line.
pub(super) fn show_rows(rows: &[Vec<Value>]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| format!("\n  {}", show_row(row))).collect();
    rows.concat()
}

/// The value itself.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::F32(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
        Value::Text(v) => format!("{v:?}"),
        Value::Bytes(v) => format!("{v:02x?}"),
        Value::Timestamp(v) => v.to_string(),
        Value::Date(v) => v.to_string(),
        Value::Time(v) => v.to_string(),
        Value::Decimal(v) | Value::Json(v) => v.to_string(),
        Value::Uuid(v) => format!("{v:02x?}"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// No order of the entries at `shown` leaves `rows`.
pub(super) fn unexplained<'a>(
    entries: &[Entry],
    shown: &[usize],
    rows: impl Iterator<Item = &'a Vec<Value>>,
) -> Violation {
    let mut text =
        String::from("promises 3 and 5: no order of these rows leaves what the table holds\n");
    for &at in shown {
        text += &describe(at, &entries[at]);
    }
    let mut none = true;
    for row in rows {
        none = false;
        let _ = writeln!(text, "  the table holds: {}", show_row(row));
    }
    if none {
        text += "  the table holds no such row\n";
    }
    Violation::new(text)
}
