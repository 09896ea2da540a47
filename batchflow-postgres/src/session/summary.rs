//! What became of the sessions: [`SessionSummary`], [`SessionFailure`] and [`SessionError`].

use std::fmt;

use batchflow_core::dead_letter::DeadLetter;
use batchflow_core::{BulkError, RowError, WriteError, WriteSummary};

use super::Session;

/// A session that was not written, or of which nobody knows whether it was.
///
/// Neither `Debug` nor `Display` shows which: an id may be a secret.
#[derive(Clone)]
pub struct SessionFailure {
    position: usize,
    session_id: String,
    error: RowError,
}

impl SessionFailure {
    fn new(letter: &DeadLetter) -> Self {
        Self {
            position: letter.submission() as usize,
            session_id: Session::from_request(letter.request()).session_id,
            error: letter.error().clone(),
        }
    }

    /// Which session.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Its position in the input, from 0.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What became of it, and why.
    pub fn error(&self) -> &RowError {
        &self.error
    }
}

impl fmt::Display for SessionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} of the input: {}", self.position, self.error)
    }
}

impl fmt::Debug for SessionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFailure")
            .field("position", &self.position)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// What became of the sessions of one [`upsert`](super::SessionWriter::upsert).
///
/// submitted = written + failures, and in a [`SessionError`] + the rest.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SessionSummary {
    submitted: u64,
    written: u64,
    batches: u64,
    attempts: u64,
    failures: Vec<SessionFailure>,
}

impl SessionSummary {
    pub(super) fn new(rows: &WriteSummary) -> Self {
        Self {
            submitted: rows.submitted(),
            written: rows.written(),
            batches: rows.batches(),
            attempts: rows.attempts(),
            failures: rows.failures().iter().map(SessionFailure::new).collect(),
        }
    }

    /// The sessions taken from the input.
    pub fn submitted(&self) -> u64 {
        self.submitted
    }

    /// The sessions whose statement committed.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The batches that they were written in.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// How often sessions were sent: once a batch, and once more for each retry.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Whether every session was written.
    pub fn all_written(&self) -> bool {
        self.written == self.submitted
    }

    /// Every session that was rejected or is unknown, in the order in which they failed.
    pub fn failures(&self) -> &[SessionFailure] {
        &self.failures
    }
}

impl fmt::Display for SessionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} sessions written in {} batches and {} attempts, {} failed",
            self.written(),
            self.submitted(),
            self.batches(),
            self.attempts(),
            self.failures.len()
        )
    }
}

/// Why an upsert stopped, and what remains to be written.
pub struct SessionError {
    stopped: BulkError,
    summary: SessionSummary,
}

impl SessionError {
    pub(super) fn new(stopped: BulkError) -> Self {
        Self { summary: SessionSummary::new(stopped.summary()), stopped }
    }

    /// What went wrong last.
    pub fn error(&self) -> &WriteError {
        self.stopped.error()
    }

    /// What became of the sessions that were settled.
    pub fn summary(&self) -> &SessionSummary {
        &self.summary
    }

    /// The position in the input of the first session that is not settled.
    pub fn resume_at(&self) -> usize {
        self.stopped.resume_at()
    }

    /// How many sessions were taken from the input and not settled.
    pub fn remaining(&self) -> usize {
        self.stopped.rest().len()
    }

    /// The sessions taken from the input and not settled, in order: to be written before what is
    /// left of the input. Times that were left to be now have become the time they were sent,
    /// except those that are the server's to tell.
    pub fn into_rest(self) -> Vec<Session> {
        self.stopped.rest().iter().map(Session::from_request).collect()
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, error) = (self.resume_at(), self.error());
        write!(f, "stopped before session {at} of the input: {error} ({})", self.summary)
    }
}

impl fmt::Debug for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionError")
            .field("error", self.error())
            .field("resume_at", &self.resume_at())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error())
    }
}
