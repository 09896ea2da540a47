//! [`Retry`]: what failed for the moment is tried again, what is unknown is settled.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::classify::Classifying;
use super::health::Health;
use super::order::keep_in_order;
use super::policy::{Backoff, RetryPolicy};
use super::settle::{Fate, Settler};
use super::timeout::Limit;
use super::{Classes, Classifier, Executor, after, stop_error, stopped};
use crate::batch::Batch;
use crate::driver::{Attempt, Driver, ErrorClass, Report, Verdict, WriteError};
use crate::metrics::{Reporter, RetryEvent};

/// Tries again what failed for the moment, by a [`RetryPolicy`].
///
/// - A row that was surely not applied is tried again after a transient error.
/// - A row of which nobody can tell is settled, where the driver [can](Self::settling): written
///   or not, that decides. Else it is tried again if the attempt has ended and writing the row
///   twice is [harmless](Batch::is_idempotent).
/// - A row that may have been applied once stays unknown until a later attempt writes it: that a
///   later attempt does not apply it, or is refused, proves nothing about the first.
/// - Once the flow stops, nothing is tried again.
#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn Executor>,
    backoff: Backoff,
    settler: Option<Settler>,
    classes: Classes,
    reporter: Reporter,
    health: Option<Arc<Health>>,
}

impl Retry {
    /// Tries again by `policy`.
    pub fn new(inner: Arc<dyn Executor>, policy: RetryPolicy) -> Self {
        Self {
            inner,
            backoff: Backoff::new(policy),
            settler: None,
            classes: Classes::default(),
            reporter: Reporter::default(),
            health: None,
        }
    }

    /// Asks `driver` what became of a commit whose answer never came, if it
    /// [can tell](crate::Capabilities::settles). One question may take 30 seconds.
    #[must_use]
    pub fn settling(self, driver: Arc<dyn Driver>) -> Self {
        self.settling_within(driver, Limit::new(Duration::from_secs(30)))
    }

    pub(crate) fn settling_within(mut self, driver: Arc<dyn Driver>, limit: Limit) -> Self {
        self.settler = Settler::new(driver, limit);
        self
    }

    /// Asks `classifier` first what is done about an error.
    #[must_use]
    pub fn classified_by(self, classifier: Arc<dyn Classifier>) -> Self {
        self.with_classes(Classes(Some(classifier)))
    }

    pub(crate) fn with_classes(mut self, classes: Classes) -> Self {
        self.classes = classes;
        self
    }

    pub(crate) fn with_reporter(mut self, reporter: Reporter) -> Self {
        self.settler = self.settler.map(|settler| settler.with_reporter(reporter.clone()));
        self.reporter = reporter;
        self
    }

    pub(crate) fn with_health(mut self, health: Option<Arc<Health>>) -> Self {
        self.health = health;
        self
    }
}

#[async_trait]
impl Executor for Retry {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        if attempt.is_stopped() {
            return stopped(&batch, None);
        }
        let give_up = attempt.give_up_at(|| after(Instant::now(), self.backoff.policy.limit()));
        let report = self.inner.execute(batch.clone(), attempt).await;
        if let Some(Verdict::Written) = report.uniform() {
            self.note(&batch, None);
            return report;
        }
        let give_up = if self.backoff.policy.allows_another(1) {
            give_up
        } else {
            // All that is left to do is to ask, however long the attempt took.
            after(Instant::now(), self.backoff.policy.limit())
        };
        // Boxed, so that the attempts which succeed at once do not carry its state.
        Box::pin(self.persist(batch, attempt, report, give_up)).await
    }
}

impl Retry {
    /// Tries again from a first report on, until nothing more can be done.
    async fn persist(
        &self,
        batch: Batch,
        first: &Attempt,
        mut report: Report,
        give_up: Instant,
    ) -> Report {
        let mut rows = Rows::new(&batch);
        let mut tried: Vec<usize> = (0..batch.len()).collect();
        let mut part = batch.clone();
        let mut attempt = first.clone();
        for attempts in 1.. {
            let fate = self.fate(&report, part.len(), &attempt, give_up).await;
            let again = rows.take(report, &tried, fate, &self.classes);
            self.note(&batch, rows.failure.as_ref());
            let Some((error, _)) = rows.failure.as_ref().filter(|_| !again.is_empty()) else {
                break;
            };
            if first.is_stopped() {
                rows.stop(&again);
                break;
            }
            let mut delay = self.backoff.delay(attempts);
            if let Some(asked_for) = rows.retry_after {
                delay = delay.max(asked_for);
            }
            let when = after(Instant::now(), delay);
            if !self.backoff.policy.allows_another(attempts) || when > give_up {
                break;
            }
            self.reporter.tell(|backend, metrics| {
                metrics.retry(&RetryEvent {
                    backend,
                    table: batch.schema().table(),
                    rows: again.len(),
                    number: attempt.number(),
                    delay,
                    error,
                });
            });
            attempt = attempt.next().with_begins_by(give_up);
            if !wait_until(when, &attempt).await {
                rows.stop(&again);
                break;
            }
            part = if again.len() == batch.len() { batch.clone() } else { batch.pick(&again) };
            tried = again;
            report = self.inner.execute(part.clone(), &attempt).await;
        }
        rows.into_report()
    }

    /// What became of the rows that the report says are unknown; `None` where nobody is asked.
    async fn fate(
        &self,
        report: &Report,
        rows: usize,
        attempt: &Attempt,
        give_up: Instant,
    ) -> Option<Fate> {
        let settler = self.settler.as_ref()?;
        let is_unknown = |row| matches!(report.verdict(row), None | Some(Verdict::Unknown(_)));
        if !(0..rows).any(is_unknown) {
            return None;
        }
        Some(settler.fate(attempt, give_up, &self.backoff, &self.classes).await)
    }

    /// Keeps the book on which schemas fail. One that refuses a row works.
    fn note(&self, batch: &Batch, failure: Option<&(WriteError, ErrorClass)>) {
        let Some(health) = &self.health else { return };
        match failure {
            Some((error, ErrorClass::Transient | ErrorClass::Systemic)) => {
                health.failed(batch.schema(), error.kind());
            }
            Some((_, ErrorClass::Stop)) => {}
            _ => health.succeeded(batch.schema()),
        }
    }
}

/// Whether `when` came before the flow stopped.
async fn wait_until(when: Instant, attempt: &Attempt) -> bool {
    tokio::select! {
        biased;
        () = attempt.cancelled() => false,
        () = tokio::time::sleep_until(when) => true,
    }
}

/// What is known of a batch's rows so far.
struct Rows<'a> {
    batch: &'a Batch,
    verdicts: Vec<Verdict>,
    /// Whether an earlier attempt may have applied the row.
    doubtful: Vec<bool>,
    /// Why the last attempt failed: the first error of those to be tried again for, or else of
    /// all.
    failure: Option<(WriteError, ErrorClass)>,
    /// The longest wait that the server asked for in the last report.
    retry_after: Option<Duration>,
}

impl<'a> Rows<'a> {
    fn new(batch: &'a Batch) -> Self {
        Self {
            batch,
            verdicts: vec![Verdict::Written; batch.len()],
            doubtful: vec![false; batch.len()],
            failure: None,
            retry_after: None,
        }
    }

    /// Takes the report of an attempt at the rows `tried`, and returns those to try again.
    fn take(
        &mut self,
        report: Report,
        tried: &[usize],
        fate: Option<Fate>,
        classes: &Classes,
    ) -> Vec<usize> {
        (self.failure, self.retry_after) = (None, None);
        let mut classes = Classifying::new(classes);
        let mut again = Vec::new();
        for (&row, verdict) in tried.iter().zip(report.into_verdicts(tried.len())) {
            let verdict = match (verdict, fate) {
                (Verdict::Unknown(error), Some(fate)) => fate.verdict(error),
                (verdict, _) => verdict,
            };
            let Some(error) = verdict.error() else {
                self.verdicts[row] = verdict;
                continue;
            };
            let (class, _) = classes.of(error);
            let may_repeat = match &verdict {
                Verdict::NotApplied(_) => true,
                Verdict::Unknown(error) => {
                    self.doubtful[row] = true;
                    !error.is_still_running() && self.batch.is_row_idempotent(row)
                }
                _ => false,
            };
            let repeats = may_repeat && class == ErrorClass::Transient;
            if repeats {
                self.retry_after = self.retry_after.max(error.retry_after());
            }
            if self.failure.is_none() || (repeats && again.is_empty()) {
                self.failure = Some((error.clone(), class));
            }
            if repeats {
                again.push(row);
            }
            self.verdicts[row] = self.in_doubt(row, in_batch(verdict, tried, self.batch.len()));
        }
        keep_in_order(self.batch, &self.verdicts, &mut again);
        again
    }

    /// A row that may have been applied before is at best unknown unless it is written.
    fn in_doubt(&self, row: usize, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Rejected(error) | Verdict::NotApplied(error) if self.doubtful[row] => {
                Verdict::Unknown(error.outcome_unknown())
            }
            verdict => verdict,
        }
    }

    /// The flow stopped before these rows were tried again.
    fn stop(&mut self, rows: &[usize]) {
        let error = super::drive::describe(
            stop_error(self.failure.as_ref().map(|(error, _)| error)),
            self.batch,
        );
        for &row in rows {
            if let Verdict::NotApplied(_) = self.verdicts[row] {
                self.verdicts[row] = Verdict::NotApplied(error.clone());
            }
        }
    }

    fn into_report(self) -> Report {
        if self.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Written)) {
            return Report::all();
        }
        Report::each(self.verdicts)
    }
}

/// The verdict of a row of a part, with the rows it blames numbered as in the whole batch.
fn in_batch(verdict: Verdict, part: &[usize], rows: usize) -> Verdict {
    if part.len() == rows {
        return verdict;
    }
    let renumber = |error: WriteError| match error.blame() {
        [] => error,
        blame => {
            let blame: Vec<_> = blame.iter().filter_map(|&at| part.get(at).copied()).collect();
            error.with_blame(blame)
        }
    };
    match verdict {
        Verdict::Written => Verdict::Written,
        Verdict::Rejected(error) => Verdict::Rejected(renumber(error)),
        Verdict::NotApplied(error) => Verdict::NotApplied(renumber(error)),
        Verdict::Unknown(error) => Verdict::Unknown(renumber(error)),
    }
}
