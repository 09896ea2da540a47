//! From what `mysql_async` reports to [`WriteError`].

use batchflow_core::{Batch, ErrorKind, Stage, WriteError};
use mysql_async::Error;

use crate::table::Table;

/// The error as the flow knows it. What the server said stays out of its shown parts.
///
/// A lost connection before COMMIT was sent has applied nothing; from then on, nobody knows.
pub(crate) fn translate(
    _error: &Error,
    stage: Stage,
    _batch: Option<(&Batch, &Table)>,
) -> WriteError {
    WriteError::new(ErrorKind::Other).at(stage)
}
