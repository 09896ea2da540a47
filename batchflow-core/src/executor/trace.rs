//! [`Trace`]: a span for every batch.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::Executor;
use super::observe::Counts;
use crate::batch::Batch;
use crate::driver::{Attempt, Report, WriteError};

/// Opens a [`tracing`] span for every batch: `batch`, at the level of debug, under the target
/// `batchflow`. It holds names and numbers, never a value. Counts are `i64`, which is the integer
/// that OpenTelemetry has.
#[derive(Debug)]
pub struct Trace {
    inner: Arc<dyn Executor>,
    backend: &'static str,
}

impl Trace {
    /// Traces what `inner` does, under the name of `backend`.
    pub fn new(inner: Arc<dyn Executor>, backend: &'static str) -> Self {
        Self { inner, backend }
    }
}

#[async_trait]
impl Executor for Trace {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        let span = tracing::debug_span!(
            target: "batchflow",
            "batch",
            backend = self.backend,
            table = %batch.schema().table(),
            rows = batch.len() as i64,
            attempts = Empty,
            outcome = Empty,
            error = Empty,
        );
        if span.is_disabled() {
            return self.inner.execute(batch, attempt).await;
        }
        let (rows, before) = (batch.len(), attempt.sent());
        let report = self.inner.execute(batch, attempt).instrument(span.clone()).await;
        let counts = Counts::of(&report, rows);
        // Rows that are sent singly after their batch are batches of their own.
        span.record("attempts", i64::from(attempt.sent() - before));
        span.record("outcome", counts.outcome());
        if let Some(kind) = counts.error.as_ref().map(WriteError::kind) {
            span.record("error", kind.as_str());
        }
        report
    }
}
