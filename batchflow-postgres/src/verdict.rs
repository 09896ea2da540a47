//! What a failed attempt comes to: its error, and whether the driver itself can do better.

use batchflow_core::{Batch, ConflictStrategy, ErrorKind, Stage, WriteError};

use crate::error::translate;
use crate::sqlstate;
use crate::table::Table;
use crate::way::{Failed, Way};

/// What the driver does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Tells it.
    GiveUp,
    /// Looks the table up again, and writes again if it has changed. At leisure: not if it was
    /// looked up a moment ago.
    LookAgain { at_leisure: bool },
    /// Writes without a temporary table, from now on.
    Unnest,
    /// Writes without copying into the table.
    NoCopy,
    /// Writes row by row.
    Singly,
}

/// A value did not fit its column.
pub(crate) fn of_encoding(error: &WriteError) -> Next {
    match error.kind() {
        ErrorKind::Data | ErrorKind::Constraint => Next::LookAgain { at_leisure: true },
        _ => Next::GiveUp,
    }
}

/// The server refused a statement, and the transaction was rolled back.
pub(crate) fn of_refusal(
    failed: &Failed,
    way: Way,
    batch: &Batch,
    table: &Table,
) -> (WriteError, Next) {
    if let Failed::Changed = failed {
        let error = WriteError::new(ErrorKind::Schema);
        let error = error.with_message("the table's columns have other types than before");
        return (error, Next::LookAgain { at_leisure: false });
    }
    let Some(error) = failed.error() else { return (ErrorKind::Internal.into(), Next::GiveUp) };
    let code = error.code().map_or("", |code| code.code());
    let mut told = translate(error, Stage::Write, Some((batch, table)));
    if let Failed::Write(_, Some(row)) = failed {
        told = told.with_blame([*row]);
    }
    let reads_a_value = matches!(failed, Failed::Write(..))
        && sqlstate::may_be_of_a_value(code)
        && error.as_db_error().is_some_and(|db| db.position().is_none() && db.where_().is_none());
    if reads_a_value {
        told = told.with_kind(ErrorKind::Data);
    }
    let strategy = batch.schema().strategy();
    let next = match (failed, code) {
        (Failed::Stage(_), "42501") => Next::Unnest,
        // A right to insert that is granted column by column does not allow to lock.
        (Failed::Lock(_), "42501") => Next::NoCopy,
        // Two rows of one key in one statement: only the database could tell.
        (Failed::Write(..), "21000")
            if matches!(strategy, ConflictStrategy::Update | ConflictStrategy::Replace) =>
        {
            Next::Singly
        }
        // A name that another client of the same pooler has left on the connection.
        (Failed::Write(..) | Failed::Open(_), "42P05") if way != Way::Unnest => {
            told = told.with_kind(ErrorKind::Connection);
            Next::GiveUp
        }
        (Failed::Write(..) | Failed::Open(_) | Failed::Lock(_), code)
            if sqlstate::may_be_altered(code) && !reads_a_value =>
        {
            Next::LookAgain { at_leisure: false }
        }
        // A value that was no value of the type that the column had.
        (Failed::Write(..), _) if told.kind() == ErrorKind::Data => {
            Next::LookAgain { at_leisure: true }
        }
        _ => Next::GiveUp,
    };
    (told, next)
}
