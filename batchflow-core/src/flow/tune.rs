//! [`Tune`]: the pace of a flow, changeable while it runs.

use std::time::Duration;

/// The pace of a flow, changed with [`BatchFlow::tune`](crate::BatchFlow::tune) while it runs.
/// A 0 counts as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Tune {
    pub(super) flush_size: usize,
    pub(super) flush_bytes: usize,
    pub(super) flush_interval: Duration,
    pub(super) concurrency: usize,
}

impl Tune {
    /// The most rows of a batch.
    pub fn flush_size(mut self, rows: usize) -> Self {
        self.flush_size = rows.max(1);
        self
    }

    /// The most bytes of a batch.
    pub fn flush_bytes(mut self, bytes: usize) -> Self {
        self.flush_bytes = bytes.max(1);
        self
    }

    /// How long an unwatched row waits for others at most.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// How many batches are written at once. Those in flight finish.
    pub fn concurrency(mut self, batches: usize) -> Self {
        self.concurrency = batches.max(1);
        self
    }
}
