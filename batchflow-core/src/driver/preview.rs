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
    /// How many parameters the statements take together, where the driver tells it.
    pub parameter_count: Option<usize>,
    /// The way of writing, as [`Attempt::way`](crate::Attempt::way) has it.
    pub way: Option<&'static str>,
    /// Why this way.
    pub why: Option<String>,
    /// The [`fingerprint`] of the main statement.
    pub fingerprint: Option<u64>,
}

impl Preview {
    /// A preview of these statements for a batch of `rows` rows.
    pub fn new(statements: Vec<String>, rows: usize) -> Self {
        Self {
            statements,
            parameters: Vec::new(),
            rows,
            parameter_count: None,
            way: None,
            why: None,
            fingerprint: None,
        }
    }

    /// Adds the way of writing, the fingerprint of its main statement, and why this way.
    #[must_use]
    pub fn with_way(mut self, way: &'static str, fingerprint: u64, why: &str) -> Self {
        self.way = Some(way);
        self.fingerprint = Some(fingerprint);
        self.why = Some(why.to_owned());
        self
    }

    /// Adds how many parameters the statements take together.
    #[must_use]
    pub fn with_parameter_count(mut self, parameters: usize) -> Self {
        self.parameter_count = Some(parameters);
        self
    }

    /// Adds the parameters of the first rows: one text for each set column, row after row.
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

/// A hash of a statement's text, the same in every process: it tells statements apart in metrics
/// and logs without showing them.
///
/// ```
/// assert_eq!(batchflow_core::fingerprint("SELECT 1"), 0x199e_7bca_63ea_84f2);
/// ```
pub const fn fingerprint(statement: &str) -> u64 {
    // FNV-1a: short, and free to change neither with the compiler nor with a crate's version.
    let bytes = statement.as_bytes();
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}
