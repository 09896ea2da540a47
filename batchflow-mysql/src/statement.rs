//! What is sent: the statements of a schema's strategy over one set of columns.

use batchflow_core::Schema;

use crate::server::Server;
use crate::table::Table;

/// The parts of the statements for one schema and set of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    /// For one row, as it is sent in bulk.
    pub(crate) row: String,
}

impl Texts {
    pub(crate) fn new(
        _server: &Server,
        _schema: &Schema,
        _table: &Table,
        _columns: &[usize],
    ) -> Self {
        Self { row: String::new() }
    }
}
