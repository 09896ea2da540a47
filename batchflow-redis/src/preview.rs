//! What would be sent for a batch, without sending it.

use batchflow_core::{Batch, Preview, ShowValues};

use crate::encode::Row;
use crate::plan::{Plan, Way};

/// The most rows whose values are shown.
const ROWS: usize = 10;

/// What would be sent for a batch: its commands, and the first rows' keys and values one by one.
pub(crate) fn preview(plan: &Plan, batch: &Batch, values: ShowValues) -> Preview {
    let statements = match plan.way(batch) {
        Way::Mset => vec!["MSET".to_owned()],
        Way::Script => vec!["EVALSHA".to_owned(), plan.script(false).text().to_owned()],
        Way::Pipeline | Way::Commands => {
            vec![format!("commands of the {} layout", plan.shape.kind.as_str())]
        }
    };
    let mut parameters = Vec::new();
    let mut row = Row::default();
    for at in 0..batch.len().min(ROWS) {
        match values {
            ShowValues::No => {
                parameters.extend(
                    batch.columns().iter().map(|&column| format!("{:?}", batch.get(at, column))),
                );
            }
            ShowValues::Yes => match row.encode(&plan.shape, batch, at) {
                Ok(()) => parameters.extend(row.parts().map(|part| match part {
                    Some(part) => String::from_utf8_lossy(part).into_owned(),
                    None => "NULL".to_owned(),
                })),
                Err(error) => parameters.push(error.to_string()),
            },
        }
    }
    Preview::new(statements, batch.len()).with_parameters(parameters)
}
