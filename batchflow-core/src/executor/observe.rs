//! [`Observe`]: what is told to the metrics.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Executor;
use crate::batch::Batch;
use crate::driver::{Attempt, Report, Verdict, WriteError};
use crate::metrics::{AttemptEvent, BatchEvent, Metrics, Reporter, outcome};
use crate::observe::{Observer, Observers};
use crate::schema::ConflictStrategy;

/// Tells [`Metrics`] and observers what became of each batch.
#[derive(Debug)]
pub struct Observe {
    inner: Arc<dyn Executor>,
    reporter: Reporter,
    observers: Observers,
}

impl Observe {
    /// Tells `metrics`, under the name of `backend`.
    pub fn new(inner: Arc<dyn Executor>, backend: &'static str, metrics: Arc<dyn Metrics>) -> Self {
        Self::with(inner, Reporter { backend, metrics: Some(metrics) }, Observers::default())
    }

    /// Tells an observer, too.
    #[must_use]
    pub fn and(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    pub(super) fn with(inner: Arc<dyn Executor>, reporter: Reporter, observers: Observers) -> Self {
        Self { inner, reporter, observers }
    }
}

#[async_trait]
impl Executor for Observe {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        let start = Instant::now();
        let report = self.inner.execute(batch.clone(), attempt).await;
        let duration = start.elapsed();
        let counts = Counts::of(&report, batch.len());
        let event = BatchEvent {
            backend: self.reporter.backend,
            table: batch.schema().table(),
            rows: batch.len(),
            bytes: batch.size_bytes(),
            duration,
            written: counts.written,
            rejected: counts.rejected,
            not_applied: counts.not_applied,
            unknown: counts.unknown,
            error: counts.error.as_ref().map(WriteError::kind),
            cause: counts.error.as_ref(),
        };
        self.reporter.tell(|_, metrics| metrics.batch(&event));
        self.observers.tell(&event);
        report
    }
}

/// How many rows had which verdict.
#[derive(Debug, Default)]
pub(super) struct Counts {
    written: usize,
    rejected: usize,
    not_applied: usize,
    unknown: usize,
    pub(super) error: Option<WriteError>,
}

impl Counts {
    pub(super) fn of(report: &Report, rows: usize) -> Self {
        let mut counts = Self::default();
        if let Some(verdict) = report.uniform() {
            counts.add(Some(verdict), rows);
        } else {
            (0..rows).for_each(|row| counts.add(report.verdict(row), 1));
        }
        counts
    }

    pub(super) fn outcome(&self) -> &'static str {
        outcome(self.unknown, self.rejected, self.not_applied)
    }

    fn add(&mut self, verdict: Option<&Verdict>, rows: usize) {
        match verdict {
            Some(Verdict::Written) => self.written += rows,
            Some(Verdict::Rejected(_)) => self.rejected += rows,
            Some(Verdict::NotApplied(_)) => self.not_applied += rows,
            Some(Verdict::Unknown(_)) | None => self.unknown += rows,
        }
        if self.error.is_none() {
            self.error = verdict.and_then(Verdict::error).cloned();
        }
    }
}

/// Tells metrics of each attempt of the driver, from inside the throttle.
#[derive(Debug)]
pub(super) struct ObserveAttempts {
    inner: Arc<dyn Executor>,
    reporter: Reporter,
}

impl ObserveAttempts {
    pub(super) fn new(inner: Arc<dyn Executor>, reporter: Reporter) -> Self {
        Self { inner, reporter }
    }
}

#[async_trait]
impl Executor for ObserveAttempts {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        let start = Instant::now();
        let report = self.inner.execute(batch.clone(), attempt).await;
        let duration = start.elapsed();
        self.reporter.tell(|backend, metrics| {
            let mut verdicts = (0..batch.len()).map_while(|row| report.verdict(row));
            let error = match report.uniform() {
                Some(verdict) => verdict.error(),
                None => verdicts.find_map(Verdict::error),
            };
            metrics.attempt(&AttemptEvent {
                backend,
                table: batch.schema().table(),
                rows: batch.len(),
                number: attempt.number(),
                way: attempt.way(),
                fingerprint: attempt.fingerprint(),
                duration,
                affected: report.affected(),
                ignored: ignored(&report, &batch),
                error,
            });
        });
        report
    }
}

/// How many of the rows written kept what was there before.
fn ignored(report: &Report, batch: &Batch) -> Option<u64> {
    let ignores = batch.schema().strategy() == ConflictStrategy::Ignore;
    let all = matches!(report.uniform(), Some(Verdict::Written));
    let affected = report.affected().filter(|_| ignores && all)?;
    Some((batch.len() as u64).saturating_sub(affected))
}
