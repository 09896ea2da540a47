//! [`Tally`]: what a flow counts beside its rows.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::submit::SubmitReason;
use crate::metrics::{Activity, Trigger};
use crate::request::RequestError;

/// What a flow counts beside its rows: nothing that a row which is simply queued touches.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Tally {
    full: AtomicU64,
    closed: AtomicU64,
    invalid: AtomicU64,
    too_large: AtomicU64,
    waits: AtomicU64,
    merged: AtomicU64,
    launched: [AtomicU64; Trigger::ALL.len()],
    in_flight: AtomicU64,
}

impl Tally {
    /// A row was not queued.
    #[cold]
    pub(super) fn refuse(&self, reason: &SubmitReason) {
        let count = match reason {
            SubmitReason::Full => &self.full,
            SubmitReason::Closed => &self.closed,
            SubmitReason::Invalid(RequestError::TooLarge { .. }) => &self.too_large,
            SubmitReason::Invalid(_) => &self.invalid,
        };
        count.fetch_add(1, Relaxed);
    }

    /// A submit waited for room.
    pub(super) fn wait(&self) {
        self.waits.fetch_add(1, Relaxed);
    }

    /// A batch begins its flight.
    pub(super) fn launch(&self, trigger: Trigger, merged: usize) {
        self.launched[trigger as usize].fetch_add(1, Relaxed);
        self.merged.fetch_add(merged as u64, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A batch's flight is over.
    pub(super) fn land(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    pub(super) fn activity(&self) -> Activity {
        let read = |count: &AtomicU64| count.load(Relaxed);
        Activity {
            refused_full: read(&self.full),
            refused_closed: read(&self.closed),
            refused_invalid: read(&self.invalid),
            refused_too_large: read(&self.too_large),
            waits: read(&self.waits),
            merged: read(&self.merged),
            launched: self.launched.each_ref().map(read),
        }
    }
}
