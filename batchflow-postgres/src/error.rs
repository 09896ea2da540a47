//! From what tokio-postgres reports to [`WriteError`].

use std::fmt::Write as _;

use batchflow_core::{Batch, ErrorClass, ErrorKind, Stage, WriteError};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use crate::connect;
use crate::culprit;
use crate::sqlstate;
use crate::table::Table;

/// The error as the flow knows it. What the server said stays out of its shown parts, except
/// where it can only speak of the statement, which holds no values.
///
/// A lost connection before COMMIT was sent has applied nothing; from then on, nobody knows. An
/// error that the server answers COMMIT with has rolled back, unless it ended the connection too.
pub(crate) fn translate(
    error: &Error,
    stage: Stage,
    batch: Option<(&Batch, &Table)>,
) -> WriteError {
    let (mut translated, in_doubt) = match error.as_db_error() {
        Some(db) => {
            let said = Said::of(db);
            let mut translated = said.translate(stage);
            if let Some((batch, table)) = batch {
                translated = translated.with_blame(culprit::rows(&said, batch, table));
            }
            (translated, said.is_in_doubt())
        }
        None => {
            let kind = client_kind(error);
            let in_doubt = kind != ErrorKind::TooLarge;
            let mut translated = WriteError::new(kind).at(stage);
            if let Some(why) = connect::explain(error) {
                translated = translated.with_message(why);
            }
            (translated.with_server_message(chain(error)), in_doubt)
        }
    };
    if let Some((batch, _)) = batch {
        translated = translated.with_table(batch.schema().table());
    }
    if stage == Stage::Commit && in_doubt { translated.outcome_unknown() } else { translated }
}

/// Whether the server said it, and went on.
pub(crate) fn is_plain(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| !Said::of(db).fatal)
}

/// The kind of an error that the client itself found. Its own kinds are not public, their
/// messages are.
fn client_kind(error: &Error) -> ErrorKind {
    let text = error.to_string();
    let starts = |prefix: &str| text.starts_with(prefix);
    if starts("error encoding message") {
        ErrorKind::TooLarge
    } else if starts("authentication error") {
        ErrorKind::Permission
    } else if starts("invalid con") {
        ErrorKind::Unsupported
    } else if starts("error serializing")
        || starts("error deserializing")
        || starts("expected")
        || starts("invalid column")
        || starts("query returned")
    {
        ErrorKind::Internal
    } else {
        ErrorKind::Connection
    }
}

/// An error's text and its sources'.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What the server said, field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) detail: Option<&'a str>,
    pub(crate) hint: Option<&'a str>,
    pub(crate) context: Option<&'a str>,
    pub(crate) table: Option<&'a str>,
    pub(crate) column: Option<&'a str>,
    pub(crate) constraint: Option<&'a str>,
    /// The function of the server's source that said it.
    pub(crate) routine: Option<&'a str>,
    /// Whether it points at a place in a statement.
    pub(crate) has_position: bool,
    /// Whether the connection ended with it.
    pub(crate) fatal: bool,
}

impl<'a> Said<'a> {
    fn of(db: &'a DbError) -> Self {
        let fatal = match db.parsed_severity() {
            Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
            None => matches!(db.severity(), "FATAL" | "PANIC"),
        };
        Self {
            code: db.code().code(),
            message: db.message(),
            detail: db.detail(),
            hint: db.hint(),
            context: db.where_(),
            table: db.table(),
            column: db.column(),
            constraint: db.constraint(),
            routine: db.routine(),
            has_position: db.position().is_some(),
            fatal,
        }
    }

    /// Whether a COMMIT that was answered so may have committed.
    fn is_in_doubt(&self) -> bool {
        self.fatal || self.code.starts_with("08") || self.code == "40003"
    }

    fn is_row_policy(&self) -> bool {
        self.code == "42501" && self.routine == Some("ExecWithCheckOptions")
    }

    /// Whether a function of the user's own raised it.
    fn is_raised(&self) -> bool {
        self.routine == Some("exec_stmt_raise")
    }

    fn kind(&self) -> ErrorKind {
        let kind = sqlstate::kind(self.code);
        if self.is_row_policy() {
            return ErrorKind::Constraint;
        }
        // A trigger may choose any code for an error of its own; it speaks of one row.
        match kind.class() {
            ErrorClass::Systemic | ErrorClass::TooLarge if self.is_raised() => ErrorKind::Other,
            _ => kind,
        }
    }

    fn translate(&self, stage: Stage) -> WriteError {
        let mut error = WriteError::new(self.kind()).at(stage).with_code(self.code);
        if let Some(table) = self.table {
            error = error.with_table(table);
        }
        if let Some(column) = self.column {
            error = error.with_column(column);
        }
        if let Some(constraint) = self.constraint {
            error = error.with_constraint(constraint);
        }
        if let Some(message) = self.shown() {
            error = error.with_message(message);
        }
        error.with_server_message(self.whole())
    }

    /// What may be shown: our own words, or the server's about a statement, in which there are no
    /// values. Not what a function said, be it one that reads a type's values, which points at no
    /// place in the statement.
    fn shown(&self) -> Option<&'a str> {
        if self.is_row_policy() {
            return Some("a row-level security policy refuses the row");
        }
        if self.is_raised() {
            return None;
        }
        let of_statement = self.code.starts_with("42") && self.code != "42501";
        match sqlstate::explain(self.code) {
            Some(own) => Some(own),
            None => (of_statement && self.has_position && self.context.is_none())
                .then_some(self.message),
        }
    }

    fn whole(&self) -> String {
        let mut text = self.message.to_owned();
        for (label, part) in
            [("detail", self.detail), ("hint", self.hint), ("context", self.context)]
        {
            if let Some(part) = part {
                // Writing to a string cannot fail.
                let _ = write!(text, "\n{label}: {part}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<'a>(code: &'a str, routine: &'a str) -> Said<'a> {
        Said { code, routine: Some(routine), message: "canary", ..Said::default() }
    }

    #[test]
    fn a_row_policy_and_a_triggers_own_error_speak_of_one_row() {
        for (code, routine, expected) in [
            ("42501", "ExecWithCheckOptions", ErrorClass::Row),
            ("42501", "aclcheck_error", ErrorClass::Systemic),
            ("42501", "exec_stmt_raise", ErrorClass::Row),
            ("42P01", "exec_stmt_raise", ErrorClass::Row),
            ("42P01", "parserOpenTable", ErrorClass::Systemic),
            ("40001", "exec_stmt_raise", ErrorClass::Transient),
            ("P0001", "exec_stmt_raise", ErrorClass::Row),
        ] {
            assert_eq!(said(code, routine).kind().class(), expected, "{code} {routine}");
        }
    }

    #[test]
    fn promise_10_what_the_server_said_is_not_shown() {
        let values = Said { detail: Some("Key (a)=(canary) exists."), ..said("23505", "x") };
        for said in [
            values,
            said("22P02", "x"),
            said("P0001", "exec_stmt_raise"),
            said("42601", "exec_stmt_raise"),
            said("XX000", "x"),
            said("53100", "x"),
            Said { context: Some("canary"), has_position: true, ..said("42703", "x") },
            said("42601", "prssyntaxerror"),
            said("42P01", "RangeVarGetRelidExtended"),
        ] {
            let error = said.translate(Stage::Write);
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
            assert!(error.server_message().is_some_and(|text| text.contains("canary")));
        }
        let statement = Said { has_position: true, ..said("42703", "errorMissingColumn") };
        let statement = statement.translate(Stage::Write);
        assert!(statement.to_string().contains("canary"), "a statement holds no values");
    }

    #[test]
    fn a_commit_refused_is_rolled_back_unless_the_connection_ended() {
        assert!(!said("23503", "x").is_in_doubt());
        assert!(!said("40001", "x").is_in_doubt());
        assert!(Said { fatal: true, ..said("57P01", "x") }.is_in_doubt());
        assert!(said("08P01", "x").is_in_doubt());
        assert!(said("40003", "x").is_in_doubt());
    }
}
