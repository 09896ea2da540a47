//! From SQLite's result codes to [`ErrorKind`], and from its messages to names.

use batchflow_core::{ErrorKind, Schema, Stage, WriteError};
use rusqlite::ffi;

/// A result code, its name and its kind.
type Row = (i32, &'static str, ErrorKind);

/// Primary codes, and the extended ones that differ from theirs.
#[rustfmt::skip]
const CODES: &[Row] = &[
    (ffi::SQLITE_INTERNAL, "SQLITE_INTERNAL", ErrorKind::Internal),
    (ffi::SQLITE_PERM, "SQLITE_PERM", ErrorKind::Permission),
    (ffi::SQLITE_ABORT, "SQLITE_ABORT", ErrorKind::Serialization),
    (ffi::SQLITE_BUSY, "SQLITE_BUSY", ErrorKind::LockTimeout),
    (ffi::SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT", ErrorKind::Serialization),
    (ffi::SQLITE_LOCKED, "SQLITE_LOCKED", ErrorKind::LockTimeout),
    (ffi::SQLITE_NOMEM, "SQLITE_NOMEM", ErrorKind::Resource),
    (ffi::SQLITE_READONLY, "SQLITE_READONLY", ErrorKind::ReadOnly),
    (ffi::SQLITE_INTERRUPT, "SQLITE_INTERRUPT", ErrorKind::Cancelled),
    (ffi::SQLITE_IOERR, "SQLITE_IOERR", ErrorKind::Io),
    (ffi::SQLITE_IOERR_NOMEM, "SQLITE_IOERR_NOMEM", ErrorKind::Resource),
    (ffi::SQLITE_CORRUPT, "SQLITE_CORRUPT", ErrorKind::Schema),
    (ffi::SQLITE_NOTFOUND, "SQLITE_NOTFOUND", ErrorKind::Unsupported),
    (ffi::SQLITE_FULL, "SQLITE_FULL", ErrorKind::Resource),
    (ffi::SQLITE_CANTOPEN, "SQLITE_CANTOPEN", ErrorKind::Io),
    (ffi::SQLITE_PROTOCOL, "SQLITE_PROTOCOL", ErrorKind::LockTimeout),
    (ffi::SQLITE_SCHEMA, "SQLITE_SCHEMA", ErrorKind::Schema),
    (ffi::SQLITE_TOOBIG, "SQLITE_TOOBIG", ErrorKind::TooLarge),
    (ffi::SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT", ErrorKind::Constraint),
    (ffi::SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT_CHECK", ErrorKind::Constraint),
    (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "SQLITE_CONSTRAINT_FOREIGNKEY", ErrorKind::Constraint),
    (ffi::SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL", ErrorKind::Constraint),
    (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, "SQLITE_CONSTRAINT_PRIMARYKEY", ErrorKind::DuplicateKey),
    (ffi::SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE", ErrorKind::DuplicateKey),
    (ffi::SQLITE_CONSTRAINT_ROWID, "SQLITE_CONSTRAINT_ROWID", ErrorKind::DuplicateKey),
    (ffi::SQLITE_CONSTRAINT_DATATYPE, "SQLITE_CONSTRAINT_DATATYPE", ErrorKind::Data),
    (ffi::SQLITE_CONSTRAINT_TRIGGER, "SQLITE_CONSTRAINT_TRIGGER", ErrorKind::Other),
    (ffi::SQLITE_MISMATCH, "SQLITE_MISMATCH", ErrorKind::Data),
    (ffi::SQLITE_MISUSE, "SQLITE_MISUSE", ErrorKind::Internal),
    (ffi::SQLITE_NOLFS, "SQLITE_NOLFS", ErrorKind::Resource),
    (ffi::SQLITE_AUTH, "SQLITE_AUTH", ErrorKind::Permission),
    (ffi::SQLITE_RANGE, "SQLITE_RANGE", ErrorKind::Unsupported),
    (ffi::SQLITE_NOTADB, "SQLITE_NOTADB", ErrorKind::Schema),
];

/// `SQLITE_ERROR` says what it is only in words.
const WORDS: &[(&str, ErrorKind)] = &[
    ("no such table", ErrorKind::Schema),
    ("no such column", ErrorKind::Schema),
    ("no such database", ErrorKind::Schema),
    ("unknown database", ErrorKind::Schema),
    ("has no column named", ErrorKind::Schema),
    ("ON CONFLICT clause does not match", ErrorKind::Schema),
    ("generated column", ErrorKind::Schema),
    ("because it is a view", ErrorKind::Schema),
    ("may not be modified", ErrorKind::Schema),
    ("UPSERT not", ErrorKind::Schema),
    ("syntax error", ErrorKind::Syntax),
    ("incomplete input", ErrorKind::Syntax),
    ("too many", ErrorKind::Unsupported),
    ("integer overflow", ErrorKind::Data),
];

fn classify(code: i32, words: &str) -> (Option<&'static str>, ErrorKind) {
    let find = |wanted| CODES.iter().find(|(code, ..)| *code == wanted);
    if let Some((_, name, kind)) = find(code).or_else(|| find(code & 0xff)) {
        return (Some(name), *kind);
    }
    let known = WORDS.iter().find(|(part, _)| words.contains(part));
    (Some("SQLITE_ERROR"), known.map_or(ErrorKind::Other, |(_, kind)| *kind))
}

/// What the driver itself can say about a code, without what SQLite said.
fn explain(code: i32) -> Option<&'static str> {
    Some(match code & 0xff {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => "another connection holds the database's lock",
        ffi::SQLITE_READONLY => "the database cannot be written",
        ffi::SQLITE_CORRUPT => "the database file is damaged",
        ffi::SQLITE_FULL => "the disk is full, or the database has reached its size limit",
        ffi::SQLITE_CANTOPEN => "the database file or its journal cannot be opened",
        ffi::SQLITE_NOTADB => "the file is not a SQLite database, or it is encrypted",
        _ => return None,
    })
}

/// The code of an error that SQLite itself gave.
pub(crate) fn code_of(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.extended_code),
        rusqlite::Error::SqlInputError { error, .. } => Some(error.extended_code),
        _ => None,
    }
}

/// Whether a statement ended because it was told to.
pub(crate) fn is_interrupt(error: &rusqlite::Error) -> bool {
    code_of(error).is_some_and(|code| code & 0xff == ffi::SQLITE_INTERRUPT)
}

/// Whether the file system failed, so that what is on the disk is in doubt.
pub(crate) fn is_io(error: &rusqlite::Error) -> bool {
    code_of(error).is_some_and(|code| code & 0xff == ffi::SQLITE_IOERR)
}

/// The error as the flow knows it. What SQLite said stays out of its shown parts, except for a
/// statement that could not be prepared: its text holds no values.
pub(crate) fn translate(error: &rusqlite::Error, stage: Stage) -> WriteError {
    let (words, prepared) = match error {
        rusqlite::Error::SqliteFailure(_, words) => (words.clone().unwrap_or_default(), true),
        rusqlite::Error::SqlInputError { msg, .. } => (msg.clone(), false),
        other => (other.to_string(), true),
    };
    let Some(code) = code_of(error) else {
        return WriteError::new(ErrorKind::Internal).at(stage).with_server_message(words);
    };
    let (name, kind) = classify(code, &words);
    let mut translated = WriteError::new(kind).at(stage);
    if let Some(name) = name {
        translated = translated.with_code(name);
    }
    if let Some(explanation) = explain(code) {
        translated = translated.with_message(explanation);
    } else if !prepared {
        translated = translated.with_message(words.clone());
    }
    translated.with_server_message(words)
}

/// Adds the column or the constraint that SQLite's message names.
pub(crate) fn name_culprit(error: WriteError, schema: &Schema) -> WriteError {
    let Some(words) = error.server_message().map(str::to_owned) else {
        return error;
    };
    let table = schema.table().name();
    let column = |text: &str| {
        let prefix = text.get(..table.len())?;
        let name = text.get(table.len()..)?.strip_prefix('.')?;
        prefix.eq_ignore_ascii_case(table).then(|| name.to_owned())
    };
    if let Some(columns) = words.strip_prefix("UNIQUE constraint failed: ") {
        let separator = format!(", {table}.");
        let names: Vec<&str> = columns.split(&*separator).collect();
        let error = match names.as_slice() {
            [only] => match column(only) {
                Some(name) => error.with_column(name),
                None => error,
            },
            _ => error,
        };
        return error.with_constraint(format!("UNIQUE ({columns})"));
    }
    let named = words
        .strip_prefix("NOT NULL constraint failed: ")
        .or_else(|| words.rsplit_once(" column ").map(|(_, name)| name));
    if let Some(name) = named.and_then(column) {
        return error.with_column(name);
    }
    match words.strip_prefix("CHECK constraint failed: ") {
        Some(check) => error.with_constraint(format!("CHECK ({check})")),
        None => error,
    }
}

#[cfg(test)]
#[path = "../../xtask/shared/documented.rs"]
mod documented;

#[cfg(test)]
mod tests {
    use batchflow_core::{ConflictStrategy, ErrorClass};

    use super::*;

    fn failure(code: i32, words: &str) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(words.to_owned()))
    }

    /// `docs/errors.md` shows the codes of each kind.
    #[test]
    fn the_documented_codes_are_these() {
        documented::assert_documented("SQLite\n", |kind| {
            let own = CODES.iter().filter(|(_, _, of)| *of == kind);
            own.map(|(_, code, _)| (*code).to_owned()).collect()
        });
    }

    #[test]
    fn each_result_code_has_its_kind() {
        let cases = [
            (261, ErrorKind::LockTimeout),
            (517, ErrorKind::Serialization),
            (262, ErrorKind::LockTimeout),
            (1032, ErrorKind::ReadOnly),
            (778, ErrorKind::Io),
            (3082, ErrorKind::Resource),
            (13, ErrorKind::Resource),
            (7, ErrorKind::Resource),
            (14, ErrorKind::Io),
            (11, ErrorKind::Schema),
            (26, ErrorKind::Schema),
            (17, ErrorKind::Schema),
            (18, ErrorKind::TooLarge),
            (275, ErrorKind::Constraint),
            (787, ErrorKind::Constraint),
            (1299, ErrorKind::Constraint),
            (1555, ErrorKind::DuplicateKey),
            (2067, ErrorKind::DuplicateKey),
            (2579, ErrorKind::DuplicateKey),
            (1811, ErrorKind::Other),
            (3091, ErrorKind::Data),
            (20, ErrorKind::Data),
            (21, ErrorKind::Internal),
            (23, ErrorKind::Permission),
            (3, ErrorKind::Permission),
            (9, ErrorKind::Cancelled),
        ];
        for (code, kind) in cases {
            assert_eq!(translate(&failure(code, ""), Stage::Write).kind(), kind, "code {code}");
        }
        for (words, kind) in [
            ("no such table: t", ErrorKind::Schema),
            ("table t has no column named c", ErrorKind::Schema),
            ("near \"x\": syntax error", ErrorKind::Syntax),
            ("integer overflow", ErrorKind::Data),
            ("a function of the user's own failed", ErrorKind::Other),
        ] {
            assert_eq!(translate(&failure(1, words), Stage::Write).kind(), kind, "{words}");
        }
        assert_eq!(ErrorKind::Resource.class(), ErrorClass::Transient);
    }

    #[test]
    fn the_column_or_constraint_that_sqlite_names_is_named() {
        let schema = Schema::new("Users", ConflictStrategy::Ignore, ["id"]).unwrap();
        let cases = [
            (2067, "UNIQUE constraint failed: users.email", Some("email"), Some("users.email")),
            (2067, "UNIQUE constraint failed: Users.a, Users.b", None, Some("Users.a, Users.b")),
            (1299, "NOT NULL constraint failed: Users.odd.name", Some("odd.name"), None),
            (275, "CHECK constraint failed: age > 0", None, Some("age > 0")),
            (3091, "cannot store TEXT value in INTEGER column Users.age", Some("age"), None),
            (787, "FOREIGN KEY constraint failed", None, None),
        ];
        for (code, words, column, constraint) in cases {
            let error = name_culprit(translate(&failure(code, words), Stage::Write), &schema);
            assert_eq!(error.column(), column, "{words}");
            let named = error.constraint().unwrap_or_default();
            assert!(named.contains(constraint.unwrap_or_default()), "{named}");
            assert_eq!(error.constraint().is_some(), constraint.is_some(), "{words}");
        }
    }

    #[test]
    fn promise_10_what_sqlite_said_is_not_shown() {
        let error = translate(&failure(1811, "canary"), Stage::Write);
        assert!(!format!("{error} {error:?}").contains("canary"));
        assert_eq!(error.server_message(), Some("canary"));
    }
}
