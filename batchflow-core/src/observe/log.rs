//! [`LogObserver`]: a line in the log for batches that are worth one.

use std::fmt;
use std::time::Duration;

use super::Observer;
use super::sampler::{Failures, Sampler, Slow};
use crate::metrics::BatchEvent;

/// Writes a [`tracing`] event for each batch that its rule picks: a warning where rows were not
/// written, information else. No value of a row is ever in it.
pub struct LogObserver {
    rule: Box<dyn Sampler>,
}

impl LogObserver {
    /// Lines for what the rule picks.
    pub fn new(rule: impl Sampler) -> Self {
        Self { rule: Box::new(rule) }
    }
}

/// Lines for batches that failed, and for those that took a second or longer.
impl Default for LogObserver {
    fn default() -> Self {
        Self::new(Failures.or(Slow(Duration::from_secs(1))))
    }
}

impl Observer for LogObserver {
    fn batch(&self, event: &BatchEvent<'_>) {
        if !self.rule.picks(event) {
            return;
        }
        let seconds = event.duration.as_secs_f64();
        let BatchEvent { backend, table, .. } = event;
        // The integer that OpenTelemetry has.
        let (rows, written) = (event.rows as i64, event.written as i64);
        match event.cause {
            Some(error) => tracing::warn!(
                target: "batchflow",
                backend, %table, rows, written, seconds, outcome = event.outcome(),
                kind = error.kind().as_str(), stage = error.stage().as_str(), %error,
                "rows of a batch were not written"
            ),
            None => tracing::info!(
                target: "batchflow",
                backend, %table, rows, written, seconds, outcome = event.outcome(),
                "a batch was written"
            ),
        }
    }
}

impl fmt::Debug for LogObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogObserver").finish_non_exhaustive()
    }
}
