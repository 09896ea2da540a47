//! [`WriteError`]: what went wrong with an attempt, and what may be done about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::kind::ErrorKind;

/// Where in an attempt it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Getting a connection.
    Connect,
    /// Looking up the table.
    Describe,
    /// Converting values, before anything was sent.
    Encode,
    /// Sending rows and running the statement.
    Write,
    /// Committing.
    Commit,
    /// Asking what became of a commit.
    Settle,
}

impl Stage {
    /// Every stage there is.
    pub const ALL: &'static [Self] =
        &[Self::Connect, Self::Describe, Self::Encode, Self::Write, Self::Commit, Self::Settle];

    /// The stage's name in messages and metrics: `"connect"`, `"write"`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Describe => "describe",
            Self::Encode => "encode",
            Self::Write => "write",
            Self::Commit => "commit",
            Self::Settle => "settle",
        }
    }
}

/// Whether a failed attempt may have left something in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Applied {
    /// Surely nothing.
    Nothing,
    /// All of the attempt, or nothing: the answer to the commit never came.
    Unknown,
}

/// Why an attempt failed: the kind decides what is done, the rest says where to look.
///
/// A cheap clone. Neither `Debug` nor `Display` nor [`source`](std::error::Error::source) shows
/// what the server said, because servers print values in their messages: ask for it by name with
/// [`server_message`](Self::server_message).
///
/// ```
/// use batchflow_core::{Applied, ErrorKind, Stage, WriteError};
///
/// let error = WriteError::new(ErrorKind::DuplicateKey)
///     .with_table("users")
///     .with_constraint("users_email_key")
///     .with_code("23505")
///     .with_blame([3])
///     .with_server_message("Key (email)=(ada@example.com) already exists.");
/// assert_eq!(error.applied(), Applied::Nothing);
/// assert_eq!(
///     error.to_string(),
///     "duplicate_key while writing users, constraint users_email_key (code 23505)",
/// );
/// ```
#[derive(Clone)]
pub struct WriteError(Arc<Details>);

#[derive(Clone)]
struct Details {
    kind: ErrorKind,
    stage: Stage,
    applied: Applied,
    still_running: bool,
    blame: Vec<usize>,
    retry_after: Option<Duration>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
    code: Option<String>,
    batch_rows: Option<usize>,
    fingerprint: Option<u64>,
    message: Option<String>,
    server_message: Option<String>,
}

impl WriteError {
    /// An error of `kind` at [`Stage::Write`] that surely left nothing in the table.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Arc::new(Details {
            kind,
            stage: Stage::Write,
            applied: Applied::Nothing,
            still_running: false,
            blame: Vec::new(),
            retry_after: None,
            table: None,
            column: None,
            constraint: None,
            code: None,
            batch_rows: None,
            fingerprint: None,
            message: None,
            server_message: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Details)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Where it went wrong.
    #[must_use]
    pub fn at(self, stage: Stage) -> Self {
        self.with(|d| d.stage = stage)
    }

    /// The attempt has ended, and nothing tells whether its commit was applied.
    #[must_use]
    pub fn outcome_unknown(self) -> Self {
        self.with(|d| d.applied = Applied::Unknown)
    }

    /// The attempt could not be seen to end: it may still commit later. Implies
    /// [`outcome_unknown`](Self::outcome_unknown). Its rows are not sent again unless
    /// [`Driver::settle`](crate::Driver::settle) sees it ended.
    #[must_use]
    pub fn still_running(self) -> Self {
        self.with(|d| {
            d.still_running = true;
            d.applied = Applied::Unknown;
        })
    }

    /// The attempt has ended, and surely left nothing in the table after all.
    pub(crate) fn nothing_applied(self) -> Self {
        self.with(|d| {
            d.still_running = false;
            d.applied = Applied::Nothing;
        })
    }

    /// Whether the two are clones of one error.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The attempt has ended after all.
    pub(crate) fn ended(self) -> Self {
        self.with(|d| d.still_running = false)
    }

    /// The rows of the batch that the server named as the culprits. Each is tried alone before
    /// it is rejected, so a wrong guess costs time but no row.
    #[must_use]
    pub fn with_blame(self, rows: impl IntoIterator<Item = usize>) -> Self {
        self.with(|d| d.blame = rows.into_iter().collect())
    }

    /// How long the server asks to be left alone.
    #[must_use]
    pub fn with_retry_after(self, delay: Duration) -> Self {
        self.with(|d| d.retry_after = Some(delay))
    }

    /// The table at fault.
    #[must_use]
    pub fn with_table(self, table: impl fmt::Display) -> Self {
        self.with(|d| d.table = Some(table.to_string()))
    }

    /// The column at fault.
    #[must_use]
    pub fn with_column(self, column: impl Into<String>) -> Self {
        self.with(|d| d.column = Some(column.into()))
    }

    /// The constraint at fault.
    #[must_use]
    pub fn with_constraint(self, constraint: impl Into<String>) -> Self {
        self.with(|d| d.constraint = Some(constraint.into()))
    }

    /// The server's code: a SQLSTATE, an error number.
    #[must_use]
    pub fn with_code(self, code: impl fmt::Display) -> Self {
        self.with(|d| d.code = Some(code.to_string()))
    }

    /// How many rows the attempt carried. The executor stack fills it in.
    #[must_use]
    pub fn with_batch_rows(self, rows: usize) -> Self {
        self.with(|d| d.batch_rows = Some(rows))
    }

    /// A hash of the statement's text, to tell statements apart without showing them.
    #[must_use]
    pub fn with_fingerprint(self, fingerprint: u64) -> Self {
        self.with(|d| d.fingerprint = Some(fingerprint))
    }

    /// A message of the driver's own. It is shown, so it must hold no value, URL or password.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        self.with(|d| d.message = Some(message.into()))
    }

    /// What the server said, or a source error's text. Shown only to who asks for it.
    #[must_use]
    pub fn with_server_message(self, message: impl Into<String>) -> Self {
        self.with(|d| d.server_message = Some(message.into()))
    }

    /// Reclassifies the error.
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        self.with(|d| d.kind = kind)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it went wrong.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// Whether something may be in the table.
    pub fn applied(&self) -> Applied {
        self.0.applied
    }

    /// Whether the attempt may still be running on the server.
    pub fn is_still_running(&self) -> bool {
        self.0.still_running
    }

    /// The positions in the batch of the rows that the server named.
    pub fn blame(&self) -> &[usize] {
        &self.0.blame
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The table at fault.
    pub fn table(&self) -> Option<&str> {
        self.0.table.as_deref()
    }

    /// The column at fault.
    pub fn column(&self) -> Option<&str> {
        self.0.column.as_deref()
    }

    /// The constraint at fault.
    pub fn constraint(&self) -> Option<&str> {
        self.0.constraint.as_deref()
    }

    /// The server's code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// How many rows the failed attempt carried.
    pub fn batch_rows(&self) -> Option<usize> {
        self.0.batch_rows
    }

    /// A hash of the statement's text.
    pub fn fingerprint(&self) -> Option<u64> {
        self.0.fingerprint
    }

    /// The driver's own message, which holds no value.
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// What the server said. **It may hold values of the row**: keep it out of shared logs.
    pub fn server_message(&self) -> Option<&str> {
        self.0.server_message.as_deref()
    }
}

impl From<ErrorKind> for WriteError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.0.stage {
            Stage::Connect => "connecting",
            Stage::Describe => "describing",
            Stage::Encode => "encoding",
            Stage::Write => "writing",
            Stage::Commit => "committing",
            Stage::Settle => "settling",
        };
        write!(f, "{} while {doing}", self.0.kind)?;
        if let Some(table) = &self.0.table {
            write!(f, " {table}")?;
        }
        if let Some(column) = &self.0.column {
            write!(f, ", column {column}")?;
        }
        if let Some(constraint) = &self.0.constraint {
            write!(f, ", constraint {constraint}")?;
        }
        if let Some(message) = &self.0.message {
            write!(f, ": {message}")?;
        }
        if let Some(code) = &self.0.code {
            write!(f, " (code {code})")?;
        }
        match (self.0.still_running, self.0.applied) {
            (true, _) => f.write_str("; the attempt may still be running"),
            (_, Applied::Unknown) => f.write_str("; whether it was applied is unknown"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = &*self.0;
        f.debug_struct("WriteError")
            .field("kind", &d.kind)
            .field("stage", &d.stage)
            .field("applied", &d.applied)
            .field("still_running", &d.still_running)
            .field("blame", &d.blame)
            .field("table", &d.table)
            .field("column", &d.column)
            .field("constraint", &d.constraint)
            .field("code", &d.code)
            .field("batch_rows", &d.batch_rows)
            .field("message", &d.message)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for WriteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_10_only_server_message_shows_what_the_server_said() {
        let error = WriteError::new(ErrorKind::Data)
            .at(Stage::Encode)
            .with_table("t")
            .with_column("c")
            .with_server_message("canary");
        assert_eq!(error.to_string(), "data while encoding t, column c");
        assert!(!format!("{error:?}").contains("canary"));
        assert_eq!(error.server_message(), Some("canary"));
        assert!(std::error::Error::source(&error).is_none());
    }

    #[test]
    fn a_running_attempt_is_an_unknown_one() {
        let error = WriteError::new(ErrorKind::Timeout).still_running();
        assert_eq!(error.applied(), Applied::Unknown);
    }
}
