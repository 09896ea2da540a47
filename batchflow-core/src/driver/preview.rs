//! [`Preview`]: what a driver would send.

use std::fmt;

/// Whether a preview may show the rows' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShowValues {
    /// Kinds and lengths only.
    No,
    /// The values themselves. They may be secrets.
    Yes,
}

/// What a driver would send for a batch.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The statements or commands, in the order they would be sent.
    pub statements: Vec<String>,
    /// The parameters of the first rows, shown as was asked for.
    pub parameters: Vec<String>,
    /// How many rows the batch has.
    pub rows: usize,
}

impl Preview {
    /// A preview of these statements for a batch of `rows` rows.
    pub fn new(statements: Vec<String>, rows: usize) -> Self {
        Self { statements, parameters: Vec::new(), rows }
    }

    /// Adds the parameters of the first rows, one text a parameter.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Vec<String>) -> Self {
        self.parameters = parameters;
        self
    }
}

impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preview")
            .field("statements", &self.statements.len())
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}
