//! [`FlowProbe`]: what a flow counts, read when somebody looks.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::event::Trigger;
use crate::flow::Stats;

/// Reads what a flow counts, without keeping the flow.
///
/// A cheap clone. Counts never go back: once the flow has ended, the probe goes on saying what
/// they were at its end.
#[derive(Clone)]
pub struct FlowProbe {
    pub(crate) probed: Arc<Probed>,
}

/// Whence a probe reads: the flow, while it is there.
pub(crate) trait Source: Send + Sync {
    fn reading(&self) -> FlowReading;
}

/// What a flow and its probes share.
pub(crate) struct Probed {
    pub(crate) backend: &'static str,
    source: Mutex<Weak<dyn Source>>,
    last: Mutex<FlowReading>,
}

impl Probed {
    pub(crate) fn new<S: Source + 'static>(backend: &'static str) -> Arc<Self> {
        let source: Weak<dyn Source> = Weak::<S>::new();
        Arc::new(Self { backend, source: Mutex::new(source), last: Mutex::default() })
    }

    pub(crate) fn watch(&self, source: Weak<dyn Source>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// What the flow says last.
    pub(crate) fn end(&self, last: FlowReading) {
        let mut said = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *said = last;
        (said.running, said.ended) = (false, true);
    }
}

impl FlowProbe {
    /// The driver's name.
    pub fn backend(&self) -> &'static str {
        self.probed.backend
    }

    /// What the flow counts now; after its end, what it counted at its end.
    pub fn read(&self) -> FlowReading {
        let source = self.probed.source.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let last = || self.probed.last.lock().unwrap_or_else(PoisonError::into_inner);
        match source {
            Some(source) => {
                let reading = source.reading();
                // While the flow is held here: what it says at its end comes after this.
                *last() = reading.clone();
                drop(source);
                reading
            }
            None => last().clone(),
        }
    }
}

impl fmt::Debug for FlowProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowProbe").field("backend", &self.backend()).finish_non_exhaustive()
    }
}

/// What a flow counts and holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowReading {
    /// Every row by what became of it.
    pub stats: Stats,
    /// What was refused, sent and merged.
    pub activity: Activity,
    /// What became of dead letters.
    pub letters: LetterStats,
    /// How long the oldest row held has waited for its verdict.
    pub oldest_pending: Option<Duration>,
    /// How many tables' batches fail or hang just now.
    pub stalled: usize,
    /// Batches on their way, those that wait to be tried again among them.
    pub in_flight: u64,
    /// How many batches may be written at once.
    pub concurrency: usize,
    /// The most rows held.
    pub buffer_rows: usize,
    /// The most bytes held.
    pub buffer_bytes: usize,
    /// Whether the flow still takes rows, or writes those it took.
    pub running: bool,
    /// Whether the last handle of the flow is gone, too, so that nothing changes any more.
    pub ended: bool,
}

/// What a flow refused, sent and merged since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Rows that `try_submit` refused because there was no room.
    pub refused_full: u64,
    /// Rows refused because the flow was closed or cancelled.
    pub refused_closed: u64,
    /// Rows refused because they could not be written as they were.
    pub refused_invalid: u64,
    /// Rows refused because they were larger than the whole buffer.
    pub refused_too_large: u64,
    /// Submits that waited for room.
    pub waits: u64,
    /// Rows that were merged into others before they were sent.
    pub merged: u64,
    pub(crate) launched: [u64; Trigger::ALL.len()],
}

impl Activity {
    /// How many batches were sent.
    pub fn batches(&self) -> u64 {
        self.launched.iter().sum()
    }

    /// How many batches this sent.
    pub fn batches_by(&self, trigger: Trigger) -> u64 {
        self.launched[trigger as usize]
    }
}

/// What became of a flow's dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterStats {
    /// Taken by their sink.
    pub delivered: u64,
    /// Not taken: the sink was gone or refused them, or the time was over. They are lost but for
    /// a line in the log.
    pub undeliverable: u64,
    /// Logged without their values, because there is no sink.
    pub logged: u64,
    /// Waiting for their sink. While there are any, no new batch starts.
    pub backlog: usize,
}
