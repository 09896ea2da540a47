//! [`Timeout`]: how long one attempt may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::drive::describe;
use super::{Executor, after};
use crate::batch::Batch;
use crate::driver::{Attempt, ErrorKind, Report, Verdict, WriteError};
use crate::unwind::catch;

/// How long a driver has at most to end a cancelled attempt, unless told otherwise.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Gives each attempt a deadline, and sees to it that it ends.
///
/// When the deadline is over, or the flow stops, the attempt is
/// [cancelled](Attempt::cancelled). The driver then has a grace, as long as the deadline and
/// 5 seconds at most, to end it on the server and to return. Where it does not, its future is
/// dropped, and the rows are unknown: the attempt may still be running.
#[derive(Debug)]
pub struct Timeout {
    inner: Arc<dyn Executor>,
    limit: Limit,
    grace: Option<Duration>,
}

/// A duration that can be changed while attempts run: those that begin later have the new one.
#[derive(Clone, Debug)]
pub(crate) struct Limit(Arc<AtomicU64>);

impl Limit {
    pub(crate) fn new(limit: Duration) -> Self {
        let shared = Self(Arc::default());
        shared.set(limit);
        shared
    }

    pub(crate) fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, limit: Duration) {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.0.store(micros.max(1), Ordering::Relaxed);
    }
}

impl Timeout {
    /// Each attempt may take `limit`.
    pub fn new(inner: Arc<dyn Executor>, limit: Duration) -> Self {
        Self::with_limit(inner, Limit::new(limit))
    }

    pub(crate) fn with_limit(inner: Arc<dyn Executor>, limit: Limit) -> Self {
        Self { inner, limit, grace: None }
    }

    /// How long a cancelled attempt has to end. Left out: as long as the limit, and 5 seconds at
    /// most.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }
}

#[async_trait]
impl Executor for Timeout {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        let limit = self.limit.get();
        let deadline = after(Instant::now(), limit);
        let attempt = attempt.clone().with_deadline(deadline);
        let mut work = self.inner.execute(batch.clone(), &attempt);
        let kind = tokio::select! {
            biased;
            report = &mut work => return report,
            () = tokio::time::sleep_until(attempt.deadline().unwrap_or(deadline)) => {
                ErrorKind::Timeout
            }
            () = attempt.cancelled() => ErrorKind::Cancelled,
        };
        attempt.cancel();
        let grace = self.grace.unwrap_or(limit.min(GRACE));
        if let Ok(report) = tokio::time::timeout(grace, &mut work).await {
            return match kind {
                ErrorKind::Timeout => because_of_the_deadline(report, batch.len()),
                _ => report,
            };
        }
        // A driver's clean-up that panics has nowhere else to go.
        let _ = catch(|| drop(work));
        let error = WriteError::new(kind)
            .with_message("the driver did not end the attempt in time")
            .still_running();
        Report::same(Verdict::Unknown(describe(error, &batch)))
    }
}

/// A driver that was told to stop says so; it was the attempt's deadline that told it.
fn because_of_the_deadline(report: Report, rows: usize) -> Report {
    let renamed = |error: WriteError| match error.kind() {
        ErrorKind::Cancelled | ErrorKind::Deadline => error.with_kind(ErrorKind::Timeout),
        _ => error,
    };
    let rename = |verdict| match verdict {
        Verdict::NotApplied(error) => Verdict::NotApplied(renamed(error)),
        Verdict::Unknown(error) => Verdict::Unknown(renamed(error)),
        verdict => verdict,
    };
    match report.uniform() {
        Some(Verdict::Written) => report,
        Some(verdict) => Report::same(rename(verdict.clone())),
        None => Report::each(report.into_verdicts(rows).into_iter().map(rename).collect()),
    }
}
