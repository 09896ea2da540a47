//! What a failed attempt comes to: its error, and whether the driver itself can do better.

use batchflow_core::{Batch, ErrorClass, ErrorKind, Stage, WriteError};
use mysql_async::Error;

use crate::codes;
use crate::error::translate;
use crate::table::Table;
use crate::way::Failed;

/// What the driver does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Tells it.
    GiveUp,
    /// Looks the table up again, and writes again if it has changed. At leisure: not if it was
    /// looked up a moment ago.
    LookAgain { at_leisure: bool },
    /// Writes without `LOAD DATA`, from now on.
    NoLoad,
}

/// A value did not fit its column.
pub(crate) fn of_encoding(error: &WriteError) -> Next {
    match error.kind() {
        ErrorKind::Data | ErrorKind::Constraint => Next::LookAgain { at_leisure: true },
        _ => Next::GiveUp,
    }
}

/// The server refused a statement, and the transaction was rolled back.
pub(crate) fn of_refusal(failed: &Failed, batch: &Batch, table: &Table) -> (WriteError, Next) {
    let (error, part) = match failed {
        Failed::Write(error, part) => (error, *part),
        Failed::Way(error) => {
            let told = translate(error, Stage::Write, Some((batch, table)));
            let next = match (told.kind(), told.kind().class()) {
                // It is the temporary table that the server has no room for.
                (ErrorKind::Resource, _) => Next::NoLoad,
                (_, ErrorClass::Transient | ErrorClass::Stop) => Next::GiveUp,
                _ => Next::NoLoad,
            };
            return (told, next);
        }
    };
    let told = match part {
        Some((first, rows)) if rows < batch.len() => {
            let of_part: Vec<usize> = (first..(first + rows).min(batch.len())).collect();
            let part = batch.pick(&of_part);
            let told = translate(error, Stage::Write, Some((&part, table)));
            let blamed: Vec<usize> =
                told.blame().iter().filter_map(|&at| of_part.get(at).copied()).collect();
            told.with_blame(blamed)
        }
        _ => translate(error, Stage::Write, Some((batch, table))),
    };
    let told = match part {
        Some((row, 1)) if told.kind().class() == ErrorClass::Row => told.with_blame([row]),
        _ => told,
    };
    let next = match code(error) {
        Some(code) if may_be_altered(code) => Next::LookAgain { at_leisure: false },
        // A value that was no value of the type that the column had, or a default that it had.
        Some(_) if matches!(told.kind(), ErrorKind::Data | ErrorKind::Constraint) => {
            Next::LookAgain { at_leisure: true }
        }
        _ => Next::GiveUp,
    };
    (told, next)
}

/// What the server, or the client, said.
pub(crate) fn error_of(failed: &Failed) -> &Error {
    match failed {
        Failed::Write(error, _) | Failed::Way(error) => error,
    }
}

/// Whether the error may come from a table that is not what it was when it was looked up.
fn may_be_altered(code: u16) -> bool {
    // An unknown column, another number of columns, an unknown table, a changed definition, a
    // statement that must be prepared anew, a value for a generated column (both families).
    matches!(code, 1054 | 1136 | 1146 | 1412 | 1615 | 1906 | 3105)
}

/// Whether the answer to a COMMIT says for certain that nothing was committed.
///
/// Only what the servers answer before anything is committed: a deadlock (which a cluster finds
/// at the commit), a cluster's node that is not ready, a plugin's veto, a server that has been made
/// read-only. What ends a session, or a statement, may end it after the commit.
pub(crate) fn refuses_commit(error: &Error) -> bool {
    matches!(code(error), Some(1047 | 1213 | 1290 | 1792 | 1836 | 3100 | 3101))
}

/// Whether the answer to a statement that commits itself says for certain that nothing was.
///
/// What ends a statement, a session or the server may do so after the commit; so may what an engine
/// or a file meets.
pub(crate) fn refuses_alone(error: &Error) -> bool {
    let Error::Server(said) = error else { return false };
    let is_in_doubt = matches!(
        codes::kind(said.code, &said.state),
        ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::Io
            | ErrorKind::Resource
            | ErrorKind::Internal
    );
    !is_in_doubt || refuses_commit(error) || PRECEDES.contains(&said.code)
}

/// Of the kinds that leave a statement in doubt, what a write meets before it is committed: a full
/// table, no room for locks, and what may not be prepared or begun.
const PRECEDES: [u16; 5] = [1114, 1206, 1226, 1461, 1203];

/// Whether the server takes no writes: it is a replica, or was told to.
pub(crate) fn is_read_only(error: &Error) -> bool {
    matches!(code(error), Some(1290 | 1792 | 1836))
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Server(error) => Some(error.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn server(code: u16) -> Error {
        let state = "HY000".to_owned();
        Error::Server(ServerError { code, message: "canary".to_owned(), state })
    }

    #[test]
    fn promise_8_only_what_surely_precedes_the_commit_refuses_it() {
        for (code, certain) in [
            (1213, true),
            (1290, true),
            (1836, true),
            (3101, true),
            (1180, false),
            (1053, false),
            (1317, false),
            (1927, false),
            (1969, false),
            (3024, false),
            (2013, false),
        ] {
            assert_eq!(refuses_commit(&server(code)), certain, "{code}");
        }
        let lost = Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
        assert!(!refuses_commit(&lost));
    }

    #[test]
    fn promise_8_a_statement_that_commits_itself_is_in_doubt_where_it_may_have_been_ended_late() {
        // A duplicate, a parent that is missing, a text that is too long, a deadlock, a lock, a
        // trigger's own, a full table, an unknown number, a cluster that is not ready, a replica.
        let certain = [1062, 1452, 1406, 1213, 1205, 1644, 1114, 9_999, 1047, 1290];
        // Ended by a limit, from outside or by the server's end; files, memory, and what no one knows.
        let in_doubt = [1317, 1969, 3024, 1927, 1053, 1180, 1026, 1030, 1041, 1105];
        for (codes, expected) in [(certain, true), (in_doubt, false)] {
            for code in codes {
                assert_eq!(refuses_alone(&server(code)), expected, "{code}");
            }
        }
        let lost = Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
        assert!(!refuses_alone(&lost));
    }
}
