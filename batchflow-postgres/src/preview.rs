//! What would be sent for a batch, without sending it.

use batchflow_core::{Batch, Preview, ShowValues, ValueRef};

use crate::at_once::AT_ONCE;
use crate::plan::{OwnTransaction, Plan};
use crate::transaction::Begin;
use crate::way::Way;

/// The most rows whose values are shown.
const ROWS: usize = 10;

/// What would be sent for a batch: its statements, and the first rows' values one by one.
pub(crate) fn in_transaction(
    plan: &Plan,
    (way, why): (Way, &str),
    batch: &Batch,
    values: ShowValues,
) -> Preview {
    let mut statements = vec![Begin::new(None).text().to_owned()];
    match (way, &plan.copy, &plan.stage) {
        (Way::Copy, Some(texts), _) => {
            statements.extend([&texts.check, &texts.copy].map(String::clone));
        }
        (Way::Stage, _, Some(stage)) => {
            statements.extend([&stage.create, &stage.copy, &stage.insert].map(String::clone));
        }
        _ if batch.len() == 1 => statements.push(plan.row.as_ref().unwrap_or(&plan.unnest).clone()),
        _ => statements.push(plan.unnest.clone()),
    }
    statements.push("COMMIT".to_owned());
    let count = match way {
        Way::Unnest => plan.columns.len(),
        Way::Copy | Way::Stage => 0,
    };
    Preview::new(statements, batch.len())
        .with_parameters(parameters(batch, values))
        .with_parameter_count(count)
        .with_way(way.as_str(), plan.fingerprint(way, batch.len()), why)
}

fn parameters(batch: &Batch, values: ShowValues) -> Vec<String> {
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
    parameters
}

/// The same for one row that goes in a transaction of its statement's own.
pub(crate) fn at_once(own: &OwnTransaction, batch: &Batch, values: ShowValues) -> Preview {
    let why = "one row that may be repeated, on a connection of the driver's own";
    Preview::new(vec![own.text.to_string()], batch.len())
        .with_parameters(parameters(batch, values))
        .with_parameter_count(own.types.len())
        .with_way(AT_ONCE, own.print, why)
}

/// A value as SQL would write it.
fn show(value: ValueRef<'_>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Bool(v) => v.to_string(),
        ValueRef::I64(v) => v.to_string(),
        ValueRef::U64(v) => v.to_string(),
        ValueRef::F32(v) => v.to_string(),
        ValueRef::F64(v) => v.to_string(),
        ValueRef::Decimal(v) => v.to_owned(),
        ValueRef::Text(v) | ValueRef::Json(v) => quoted(v),
        ValueRef::Bytes(v) => quoted(&format!("\\x{}", hexadecimal(v))),
        ValueRef::Uuid(v) => quoted(&hexadecimal(v)),
        ValueRef::Timestamp(v) => quoted(&v.to_string()),
        ValueRef::Date(v) => quoted(&v.to_string()),
        ValueRef::Time(v) => quoted(&v.to_string()),
        ValueRef::Array(v) => {
            let each: Vec<String> = v.iter().map(|value| show(value.as_ref())).collect();
            format!("ARRAY[{}]", each.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
