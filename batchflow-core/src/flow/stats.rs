//! What a flow counted: [`Stats`], [`Counts`], [`Summary`] and [`Health`].

use std::time::Duration;

use super::queue::End;
use crate::driver::ErrorKind;
use crate::request::Request;

/// Every row that a flow was given, by what became of it, in one consistent snapshot.
///
/// `submitted = written + superseded + rejected + unknown + returned + abandoned + pending`,
/// with each number counted by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Rows that were queued.
    pub submitted: u64,
    /// Rows written.
    pub written: u64,
    /// Rows for which a newer or older row of the same key stands, which was written.
    pub superseded: u64,
    /// Rows refused by the database or given up after their retries. They are dead letters.
    pub rejected: u64,
    /// Rows of which nobody can tell whether they were written. They are dead letters.
    pub unknown: u64,
    /// Rows handed back by a close.
    pub returned: u64,
    /// Rows dropped because the flow was told to: cancelled without drain, dropped beyond its
    /// grace, or its runtime shut down.
    pub abandoned: u64,
    /// Rows held: queued, waiting to be merged, or in flight.
    pub pending: u64,
    /// The bytes of the rows held, as [`Request::size_bytes`] counts.
    pub pending_bytes: u64,
    /// Of the rows held, those still in the queue.
    pub queued: u64,
    /// Of the rows held, those on their way to the database.
    pub in_flight: u64,
}

impl Stats {
    /// Whether the numbers add up. They always do.
    pub fn is_conserved(&self) -> bool {
        self.drift() == 0
    }

    /// How many rows were submitted of which nobody knows where they are; less than 0 where more
    /// ended than were submitted. Always 0, or something is wrong with the flow itself: each number
    /// is counted by itself, where it happens.
    pub fn drift(&self) -> i64 {
        let settled = self.written + self.superseded + self.rejected + self.unknown;
        let accounted = settled + self.returned + self.abandoned + self.pending;
        self.submitted.wrapping_sub(accounted) as i64
    }
}

/// What became of some rows: those that a [`flush`](crate::BatchFlow::flush) waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Rows written.
    pub written: u64,
    /// Rows superseded by another of the same key.
    pub superseded: u64,
    /// Rows refused or given up.
    pub rejected: u64,
    /// Rows of which nobody can tell.
    pub unknown: u64,
    /// Rows handed back.
    pub returned: u64,
    /// Rows dropped because the flow was told to.
    pub abandoned: u64,
}

impl Counts {
    pub(super) fn add(&mut self, end: End) {
        let count = match end {
            End::Written => &mut self.written,
            End::Superseded => &mut self.superseded,
            End::Rejected => &mut self.rejected,
            End::Unknown => &mut self.unknown,
            End::Returned => &mut self.returned,
            End::Abandoned => &mut self.abandoned,
        };
        *count += 1;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        let Self { written, superseded, rejected, unknown, returned, abandoned } = other;
        self.written += written;
        self.superseded += superseded;
        self.rejected += rejected;
        self.unknown += unknown;
        self.returned += returned;
        self.abandoned += abandoned;
    }

    /// Whether every row was written, or superseded by one that was.
    pub fn all_written(&self) -> bool {
        self.rejected + self.unknown + self.returned + self.abandoned == 0
    }
}

/// How a flow ended.
#[derive(Debug)]
#[must_use = "a closed flow may have rejected rows, or hand some back"]
#[non_exhaustive]
pub struct Summary {
    /// The last snapshot.
    pub stats: Stats,
    /// Rows that were surely never applied, in submission order. Only the first close that asks
    /// gets them.
    pub returned: Vec<Request>,
    /// Dead letters that their sink did not take.
    pub undelivered: u64,
}

impl Summary {
    /// Whether every row ever submitted was written, or superseded by one that was.
    pub fn all_written(&self) -> bool {
        self.stats.written + self.stats.superseded == self.stats.submitted
    }
}

/// How a flow is doing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Health {
    /// How long the oldest row held has waited for its verdict.
    pub oldest_pending: Option<Duration>,
    /// The tables whose batches fail or hang just now.
    pub stalled: Vec<String>,
    /// The kind of the last error, be it one that a retry mended.
    pub last_error: Option<ErrorKind>,
    /// Dead letters that wait for their sink; while there are any, no new batch starts.
    pub dead_letter_backlog: usize,
}

impl Health {
    /// Whether no schema is stalled and no dead letter waits.
    pub fn is_healthy(&self) -> bool {
        self.stalled.is_empty() && self.dead_letter_backlog == 0
    }
}
