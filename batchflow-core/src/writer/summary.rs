//! What became of the rows: [`WriteSummary`] and [`BulkError`].

use std::fmt;

use crate::dead_letter::DeadLetter;
use crate::driver::WriteError;
use crate::request::Request;

/// What became of the rows of one [`write`](super::BatchWriter::write).
///
/// submitted = written + rejected + unknown, and in a [`BulkError`] + the rest.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct WriteSummary {
    pub(super) submitted: u64,
    pub(super) written: u64,
    pub(super) rejected: u64,
    pub(super) unknown: u64,
    pub(super) batches: u64,
    pub(super) attempts: u64,
    pub(super) undelivered: u64,
    pub(super) failures: Vec<DeadLetter>,
}

impl WriteSummary {
    /// The rows taken from the input.
    pub fn submitted(&self) -> u64 {
        self.submitted
    }

    /// The rows whose statement committed.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The rows refused, by the database or as invalid.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The rows of which nobody can tell whether they were applied.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The batches that the rows were written in.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// How often rows were sent: once a batch, and once more for each retry. What it took to find
    /// the rows at fault in a batch is not counted.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// The dead letters that the sink did not take, because it was gone or refused them.
    pub fn undelivered(&self) -> u64 {
        self.undelivered
    }

    /// Whether every row was written.
    pub fn all_written(&self) -> bool {
        self.written == self.submitted
    }

    /// The first rows that were rejected or are unknown, with their values and why: 1,000, or as
    /// many as [`list_failures`](super::BatchWriterBuilder::list_failures) says.
    pub fn failures(&self) -> &[DeadLetter] {
        &self.failures
    }
}

impl fmt::Display for WriteSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submitted, written, rejected, unknown, batches, attempts, .. } = self;
        write!(
            f,
            "{written} of {submitted} rows written in {batches} batches and {attempts} attempts, \
             {rejected} rejected, {unknown} unknown"
        )
    }
}

/// Why a bulk write stopped, and what remains to be written.
pub struct BulkError(Box<Stopped>);

pub(super) struct Stopped {
    pub(super) error: WriteError,
    pub(super) summary: WriteSummary,
    pub(super) resume_at: usize,
    pub(super) rest: Vec<Request>,
    pub(super) letters: Vec<DeadLetter>,
}

impl BulkError {
    pub(super) fn new(stopped: Stopped) -> Self {
        Self(Box::new(stopped))
    }

    /// What went wrong last.
    pub fn error(&self) -> &WriteError {
        &self.0.error
    }

    /// What became of the rows that were settled.
    pub fn summary(&self) -> &WriteSummary {
        &self.0.summary
    }

    /// The position in the input of the first row that is not settled: every row before it is.
    ///
    /// Of the rows after it, some may have been written, where a batch failed half-way. To repeat
    /// none, go on with [`rest`](Self::rest).
    pub fn resume_at(&self) -> usize {
        self.0.resume_at
    }

    /// The rows taken from the input and not settled, in order. They were surely not applied, or
    /// writing them again is harmless.
    pub fn rest(&self) -> &[Request] {
        &self.0.rest
    }

    /// Takes the rows that were not settled, to write them before what is left of the input.
    pub fn into_rest(self) -> Vec<Request> {
        self.0.rest
    }

    /// The dead letters that the sink has not taken yet.
    pub fn undelivered(&self) -> &[DeadLetter] {
        &self.0.letters
    }
}

impl fmt::Display for BulkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stopped { error, summary, resume_at, .. } = &*self.0;
        write!(f, "stopped before row {resume_at}: {error} ({summary})")
    }
}

impl fmt::Debug for BulkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkError")
            .field("error", &self.0.error)
            .field("resume_at", &self.0.resume_at)
            .field("rest", &self.0.rest.len())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for BulkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.error)
    }
}
