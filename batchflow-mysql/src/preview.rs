//! What would be sent for a batch, without sending it.

use batchflow_core::{Batch, Preview, ShowValues, ValueRef};

use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::session::Page;
use crate::way::Way;

/// The most rows whose values are shown.
const ROWS: usize = 10;

/// What would be sent for a batch: its statements, and the first rows' values one by one.
pub(crate) fn preview(
    plan: &Plan,
    way: Way,
    batch: &Batch,
    ledger: Option<&Ledger>,
    values: ShowValues,
) -> Preview {
    let mut statements = match (way, &plan.texts.load) {
        (Way::Load, Some(texts)) => {
            [&texts.create, &texts.load, &texts.insert, &texts.drop].map(String::clone).into()
        }
        // The most rows that one statement holds are the ways' affair.
        (Way::Rows, _) if batch.len() > 1 => vec![plan.texts.rows(batch.len().min(ROWS))],
        _ => vec![plan.texts.row.clone()],
    };
    statements.extend(ledger.map(|ledger| ledger.note(Page::new())));
    statements.push("COMMIT".to_owned());
    let mut parameters = Vec::new();
    for row in 0..batch.len().min(ROWS) {
        for &column in batch.columns() {
            let value = batch.get(row, column);
            parameters.push(match values {
                ShowValues::No => format!("{value:?}"),
                ShowValues::Yes => show(value),
            });
        }
    }
    Preview::new(statements, batch.len()).with_parameters(parameters)
}

/// A value as SQL would write it.
fn show(value: ValueRef<'_>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Bool(v) => v.to_string(),
        ValueRef::I64(v) => v.to_string(),
        ValueRef::U64(v) => v.to_string(),
        ValueRef::F32(v) => v.to_string(),
        ValueRef::F64(v) => v.to_string(),
        ValueRef::Decimal(v) => v.to_owned(),
        ValueRef::Text(v) | ValueRef::Json(v) => quoted(v),
        ValueRef::Bytes(v) => format!("X'{}'", hexadecimal(v)),
        ValueRef::Uuid(v) => quoted(&hexadecimal(v)),
        ValueRef::Timestamp(v) => quoted(&v.to_string()),
        ValueRef::Date(v) => quoted(&v.to_string()),
        ValueRef::Time(v) => quoted(&v.to_string()),
        other => format!("{other:?}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
