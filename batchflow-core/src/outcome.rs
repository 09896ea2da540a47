//! What becomes of a row: [`Outcome`] and [`RowError`].

use std::fmt;

use crate::driver::WriteError;

/// How a row ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The deciding statement committed. Under [`Ignore`](crate::ConflictStrategy::Ignore), the
    /// row that was there before may have been kept.
    Written,
    /// Another row of the same key stood for this one, and it was written.
    Superseded,
}

/// How a row ended otherwise, and why.
///
/// ```
/// use batchflow_core::{ErrorKind, RowError, WriteError};
///
/// let error = RowError::Rejected(WriteError::new(ErrorKind::Constraint).with_table("users"));
/// assert_eq!(error.to_string(), "rejected: constraint while writing users");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RowError {
    /// The database refused the row, or no row like it can be written.
    Rejected(WriteError),
    /// The row was surely not applied: its time was over, or the flow stopped before.
    NotSent(WriteError),
    /// Nobody can tell whether the row was applied.
    Unknown(WriteError),
}

impl RowError {
    /// Why.
    pub fn error(&self) -> &WriteError {
        match self {
            Self::Rejected(error) | Self::NotSent(error) | Self::Unknown(error) => error,
        }
    }

    /// The word for it in messages, metrics and dead letters: `"rejected"`, `"not_sent"`,
    /// `"unknown"`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::NotSent(_) => "not_sent",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.as_str(), self.error())
    }
}

impl std::error::Error for RowError {}
