//! What a request can be refused for before it is queued.

use std::fmt;

use crate::value::ValueKind;

/// Why a [`Request`](super::Request) was refused. Each names the table and the column at fault,
/// and none shows a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The schema has no such column.
    UnknownColumn {
        /// The table.
        table: String,
        /// The column that was named.
        column: String,
    },
    /// A key column was not set.
    UnsetKey {
        /// The table.
        table: String,
        /// The key column.
        column: String,
    },
    /// A column that takes the server's clock was set by the row.
    TouchedColumnSet {
        /// The table.
        table: String,
        /// The touched column.
        column: String,
    },
    /// No column was set.
    Empty {
        /// The table.
        table: String,
    },
    /// More values than the schema has columns.
    TooManyValues {
        /// The table.
        table: String,
        /// How many values were given.
        values: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// A value was read as a type that it is not, or does not fit.
    WrongKind {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What it holds.
        kind: ValueKind,
        /// The type it was read as.
        wanted: &'static str,
    },
    /// The row alone is larger than the whole buffer may be.
    TooLarge {
        /// The table.
        table: String,
        /// The row's size in bytes.
        bytes: usize,
        /// `buffer_bytes`, or the share of it that one schema may hold.
        limit: usize,
    },
    /// A value of a struct could not be turned into a column's value.
    Convert {
        /// The table.
        table: String,
        /// The column, or empty where the row as a whole is at fault.
        column: String,
        /// What went wrong.
        why: String,
    },
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownColumn { table, column } => {
                write!(f, "the schema of {table} has no column {column:?}")
            }
            Self::UnsetKey { table, column } => {
                write!(f, "table {table}: the key column {column:?} is unset")
            }
            Self::TouchedColumnSet { table, column } => write!(
                f,
                "table {table}: the column {column:?} takes the server's clock; a row cannot set it"
            ),
            Self::Empty { table } => write!(f, "table {table}: the row has no column set"),
            Self::TooManyValues { table, values, columns } => {
                write!(f, "table {table}: {values} values for {columns} columns")
            }
            Self::WrongKind { table, column, kind, wanted } => write!(
                f,
                "table {table}, column {column:?}: the {kind} is not a {wanted}, or does not fit it"
            ),
            Self::TooLarge { table, bytes, limit } => write!(
                f,
                "table {table}: a row of {bytes} bytes exceeds the {limit} that `buffer_bytes` \
                 leaves to one schema"
            ),
            Self::Convert { table, column, why } if column.is_empty() => {
                write!(f, "table {table}: {why}")
            }
            Self::Convert { table, column, why } => {
                write!(f, "table {table}, column {column:?}: {why}")
            }
        }
    }
}

impl std::error::Error for RequestError {}
