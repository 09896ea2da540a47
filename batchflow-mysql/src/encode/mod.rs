//! Values to what their columns are sent: parameters of a prepared statement.

use batchflow_core::{Batch, ErrorKind, WriteError};
use mysql_async::Value;

use crate::table::Table;

/// The parameters of a batch, row after row: the set columns in the schema's order.
///
/// The values of one column are all of one kind, or NULL, so that they can be sent in bulk. Values
/// that their columns cannot hold are their rows' `data` errors: the error blames all of them.
pub(crate) fn parameters(
    _table: &Table,
    _columns: &[usize],
    _batch: &Batch,
) -> Result<Vec<Value>, WriteError> {
    Err(WriteError::new(ErrorKind::Unsupported))
}
