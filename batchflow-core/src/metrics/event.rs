//! The events that [`Metrics`](super::Metrics) are told.

use std::time::Duration;

use crate::driver::{ErrorKind, Stage, WriteError};
use crate::schema::TableName;

/// Why rows were taken from the queue, or a batch was sent, just then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// There were `flush_size` rows, or as many as the driver takes at once.
    Full,
    /// There were `flush_bytes` bytes.
    Bytes,
    /// The oldest row was `flush_interval` old.
    Age,
    /// Someone awaits a row, and a batch could start.
    Tracked,
    /// Someone flushes.
    Flush,
    /// The flow closes.
    Close,
    /// Submitters wait for room.
    Room,
}

impl Trigger {
    /// Every trigger there is.
    pub const ALL: &'static [Self] =
        &[Self::Full, Self::Bytes, Self::Age, Self::Tracked, Self::Flush, Self::Close, Self::Room];

    /// The trigger's name in metrics: `"full"`, `"age"`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Tracked => "tracked",
            Self::Flush => "flush",
            Self::Close => "close",
            Self::Room => "room",
        }
    }
}

/// A row was queued.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubmitEvent {
    /// The driver's name.
    pub backend: &'static str,
    /// How long the submit took. Of one that is not [sampled](Self::sampled), only its wait.
    pub duration: Duration,
    /// Whether it waited for room.
    pub waited: bool,
    /// Whether it is one of the submits drawn at random, one in 64: these alone stand for all.
    pub sampled: bool,
}

/// Rows were taken from the queue and merged by key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlushEvent {
    /// The driver's name.
    pub backend: &'static str,
    /// Why just then.
    pub trigger: Trigger,
    /// How many rows there were.
    pub rows: usize,
    /// Of how many schemas.
    pub schemas: usize,
    /// How long the first of them had been in the queue.
    pub waited: Duration,
    /// How long it took to sort them by schema and merge them by key.
    pub merging: Duration,
}

/// A batch was formed, and is on its way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LaunchEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table it is for.
    pub table: &'a TableName,
    /// Why just then.
    pub trigger: Trigger,
    /// How many rows are sent.
    pub rows: usize,
    /// How many more were merged into these.
    pub merged: usize,
    /// How long the oldest of them had waited since it was submitted.
    pub waited: Duration,
    /// How long it took to choose and sort the rows.
    pub assembling: Duration,
}

/// One attempt of a driver has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows it carried.
    pub rows: usize,
    /// 1 for the first try at these rows.
    pub number: u32,
    /// The way of writing, where the driver has several and chose: `"copy"`, `"unnest"`.
    pub way: Option<&'static str>,
    /// A hash of the statement's text, where the driver tells it.
    pub fingerprint: Option<u64>,
    /// How long it took, without waiting for a slot.
    pub duration: Duration,
    /// How many rows the server says it inserted or changed, where the driver knows.
    pub affected: Option<u64>,
    /// How many rows kept what was there, under
    /// [`Ignore`](crate::ConflictStrategy::Ignore), where the driver knows.
    pub ignored: Option<u64>,
    /// The first row's error, of those not written.
    pub error: Option<&'a WriteError>,
}

/// A driver was asked about a table, or about a commit whose answer never came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LookupEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// [`Describe`](Stage::Describe) or [`Settle`](Stage::Settle).
    pub stage: Stage,
    /// How long the answer took.
    pub duration: Duration,
    /// What came instead of one.
    pub error: Option<&'a WriteError>,
}

/// A batch came to its verdicts, whatever it took.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows it had.
    pub rows: usize,
    /// Their size, as [`Request::size_bytes`](crate::Request::size_bytes) counts.
    pub bytes: usize,
    /// From the batch's start to its last verdict, waits included.
    pub duration: Duration,
    /// How many rows were written.
    pub written: usize,
    /// How many the database refused.
    pub rejected: usize,
    /// How many were surely not applied.
    pub not_applied: usize,
    /// Of how many nobody can tell.
    pub unknown: usize,
    /// The kind of the first error.
    pub error: Option<ErrorKind>,
    /// The first error.
    pub cause: Option<&'a WriteError>,
}

impl BatchEvent<'_> {
    /// What became of the batch, in a word: `"written"`, `"rejected"`, `"not_applied"`,
    /// `"unknown"`; of several verdicts, the gravest.
    pub fn outcome(&self) -> &'static str {
        outcome(self.unknown, self.rejected, self.not_applied)
    }
}

/// Of several verdicts, the gravest.
pub(crate) fn outcome(unknown: usize, rejected: usize, not_applied: usize) -> &'static str {
    match (unknown, rejected, not_applied) {
        (0, 0, 0) => "written",
        (0, 0, _) => "not_applied",
        (0, ..) => "rejected",
        _ => "unknown",
    }
}

/// Rows wait to be tried again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows wait.
    pub rows: usize,
    /// The number of the attempt that failed.
    pub number: u32,
    /// How long they wait.
    pub delay: Duration,
    /// Why.
    pub error: &'a WriteError,
}

/// A batch was refused, and is tried in parts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SplitEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows were refused together.
    pub rows: usize,
    /// Why.
    pub error: &'a WriteError,
}

/// Rows became dead letters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetterEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table they were for.
    pub table: &'a TableName,
    /// How many rows.
    pub rows: usize,
    /// `"rejected"`, `"not_sent"` or `"unknown"`.
    pub outcome: &'static str,
    /// Why.
    pub kind: ErrorKind,
}
