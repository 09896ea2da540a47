//! [`Fate`]: what is becoming of one batch, told without asking the thread that writes it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use batchflow_core::{ErrorKind, Settled, WriteError};

const QUEUED: u8 = 0;
const RUNNING: u8 = 1;
const COMMITTED: u8 = 2;
const NOT_APPLIED: u8 = 3;
const UNKNOWN: u8 = 4;

/// What is becoming of one batch. The attempt's commit token holds it, so that it outlives the
/// `write` future; the writer thread moves it on.
#[derive(Debug)]
pub(crate) struct Fate {
    state: AtomicU8,
    stop: AtomicBool,
    deadline: Option<Instant>,
}

impl Fate {
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self { state: AtomicU8::new(QUEUED), stop: AtomicBool::new(false), deadline }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Claims the batch for writing; `false` where it was withdrawn, and must never be written.
    pub(crate) fn start(&self) -> bool {
        self.advance(QUEUED, RUNNING)
    }

    /// Asks for an end. `true` where the batch had not started and now never will.
    pub(crate) fn cancel(&self) -> bool {
        self.stop.store(true, Ordering::Release);
        self.advance(QUEUED, NOT_APPLIED)
    }

    /// Whether the batch should end now: it was cancelled, or its deadline is over.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.is_late()
    }

    /// Why it was stopped.
    pub(crate) fn stopped(&self) -> WriteError {
        if self.is_late() {
            WriteError::new(ErrorKind::Timeout).with_message("the attempt's deadline is over")
        } else {
            WriteError::new(ErrorKind::Cancelled).with_message("the attempt was cancelled")
        }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    pub(crate) fn committed(&self) {
        self.advance(RUNNING, COMMITTED);
    }

    pub(crate) fn not_applied(&self) {
        self.advance(RUNNING, NOT_APPLIED);
    }

    pub(crate) fn unknown(&self) {
        self.advance(RUNNING, UNKNOWN);
    }

    pub(crate) fn settled(&self) -> Settled {
        match self.state.load(Ordering::Acquire) {
            COMMITTED => Settled::Committed,
            NOT_APPLIED => Settled::NotApplied,
            UNKNOWN => Settled::Unknown,
            _ => Settled::Running,
        }
    }

    fn advance(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_withdrawn_before_its_start_never_starts() {
        let fate = Fate::new(None);
        assert_eq!(fate.settled(), Settled::Running);
        assert!(fate.cancel());
        assert!(!fate.start());
        assert_eq!(fate.settled(), Settled::NotApplied);
        fate.committed();
        assert_eq!(fate.settled(), Settled::NotApplied);
    }

    #[test]
    fn a_batch_that_started_ends_as_the_writer_says() {
        for (end, settled) in [
            (Fate::committed as fn(&Fate), Settled::Committed),
            (Fate::not_applied, Settled::NotApplied),
            (Fate::unknown, Settled::Unknown),
        ] {
            let fate = Fate::new(None);
            assert!(fate.start());
            assert!(!fate.cancel());
            assert!(fate.is_stopped());
            assert_eq!(fate.settled(), Settled::Running);
            end(&fate);
            assert_eq!(fate.settled(), settled);
        }
    }

    #[test]
    fn a_late_batch_is_a_timeout_and_any_other_stop_a_cancellation() {
        let late = Fate::new(Some(Instant::now()));
        assert!(late.is_stopped());
        assert_eq!(late.stopped().kind(), ErrorKind::Timeout);
        assert_eq!(Fate::new(None).stopped().kind(), ErrorKind::Cancelled);
    }
}
