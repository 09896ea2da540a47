//! A batch in flight: from the executor to a verdict for each of its rows.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lane::{Held, Sent};
use super::queue::{End, From, Settled};
use super::shared::{Ended, Shared};
use crate::batch::Batch;
use crate::driver::{Attempt, ErrorClass, ErrorKind, Report, Verdict, WriteError};
use crate::executor::Executor;
use crate::outcome::{Outcome, RowError};
use crate::unwind::catch_async;

/// So many rows are settled at once.
const STEP: usize = 1_024;

/// A batch and its rows. However its task ends, every row gets its verdict.
pub(super) struct Flight {
    shared: Arc<Shared>,
    executor: Arc<dyn Executor>,
    attempt: Attempt,
    slot: u32,
    /// The fingerprint of the table as it was described, if it was.
    described: Option<u64>,
    batch: Batch,
    rows: VecDeque<Sent>,
    /// Rows that were merged into refused ones, to be sent one by one.
    singles: VecDeque<Held>,
    /// The single row just now in the executor's hands.
    current: Option<Held>,
}

impl Flight {
    pub(super) fn new(
        shared: Arc<Shared>,
        executor: Arc<dyn Executor>,
        attempt: Attempt,
        slot: u32,
        described: Option<u64>,
        batch: Batch,
        rows: Vec<Sent>,
    ) -> Self {
        let (rows, singles, current) = (rows.into(), VecDeque::new(), None);
        Self { shared, executor, attempt, slot, described, batch, rows, singles, current }
    }

    /// Brings every row to its verdict.
    pub(super) async fn fly(mut self) {
        self.let_others_go_first().await;
        let executed = self.executor.execute(self.batch.clone(), &self.attempt);
        let report = match catch_async(executed).await {
            Ok(report) => report,
            Err(_) => Report::same(Verdict::Unknown(panicked())),
        };
        if let Some(Verdict::Written) = report.uniform() {
            self.note_table(false);
            while !self.rows.is_empty() {
                self.let_others_go_first().await;
                self.settle_written();
            }
        } else {
            self.settle_each(report);
            self.send_singles().await;
        }
    }

    /// Tells the pump if the table is not what was described: rows were refused because of it, or
    /// the driver said so. Before the rows are settled, so that it counts for all rows that are
    /// submitted after their verdicts.
    fn note_table(&self, refused: bool) {
        let seen = self.attempt.table();
        if refused || seen.is_some_and(|table| Some(table) != self.described) {
            self.shared.note_altered(self.slot);
        }
    }

    /// Lets what is ready to run do so, before many rows keep the thread busy: the batch that waits
    /// for the connection which this one has let go of, or a server's answer to another.
    async fn let_others_go_first(&self) {
        if self.rows.len() > STEP {
            tokio::task::yield_now().await;
        }
    }

    /// Settles some of the rows.
    fn settle_written(&mut self) {
        let some = self.rows.len().min(STEP);
        let mut settled = Vec::with_capacity(some);
        let mut replies = Vec::new();
        for mut row in self.rows.drain(..some) {
            let (submission, bytes, reply) = (row.submission, row.bytes, row.reply.take());
            for held in row.into_others() {
                let (submission, bytes) = (held.submission, held.bytes);
                settled.push(Settled { submission, bytes, end: End::Superseded });
                replies.extend(held.reply.map(|reply| (reply, Outcome::Superseded)));
            }
            settled.push(Settled { submission, bytes, end: End::Written });
            replies.extend(reply.map(|reply| (reply, Outcome::Written)));
        }
        self.shared.queue.settle(self.slot, From::Flight, &settled);
        for (reply, outcome) in replies {
            // A receipt that was dropped has no one to tell.
            let _ = reply.send(Ok(outcome));
        }
    }

    /// Settles what has its verdict; merged rows that were refused are left in `singles`.
    fn settle_each(&mut self, report: Report) {
        let rows = std::mem::take(&mut self.rows);
        let verdicts = report.into_verdicts(rows.len());
        let mut ended = Vec::with_capacity(rows.len());
        let mut for_its_table = false;
        for (at, (row, verdict)) in rows.into_iter().zip(verdicts).enumerate() {
            let error = verdict.error().map(WriteError::kind);
            for_its_table |= error == Some(ErrorKind::Schema);
            let merged = row.is_merged();
            let written = error.and_then(|_| self.batch.request(at));
            let (deciding, others) = row.into_parts(written);
            match verdict {
                Verdict::Rejected(error) if merged && self.is_of_a_row(&error) => {
                    let mut parts: Vec<Held> = others.chain([deciding]).collect();
                    parts.sort_by_key(|held| held.submission);
                    self.singles.extend(parts);
                }
                verdict => {
                    ended.extend(others.map(|held| self.end(held, &verdict, true)));
                    ended.push(self.end(deciding, &verdict, false));
                }
            }
        }
        self.note_table(for_its_table);
        self.shared.settle(self.slot, From::Flight, ended);
    }

    /// Whether another row might be written where this one was refused.
    fn is_of_a_row(&self, error: &WriteError) -> bool {
        matches!(self.shared.classes.of(error), ErrorClass::Row | ErrorClass::TooLarge)
    }

    fn end(&self, held: Held, verdict: &Verdict, superseded: bool) -> Ended {
        let (end, result) = match verdict {
            Verdict::Written if superseded => (End::Superseded, Ok(Outcome::Superseded)),
            Verdict::Written => (End::Written, Ok(Outcome::Written)),
            Verdict::Rejected(error) => (End::Rejected, Err(RowError::Rejected(error.clone()))),
            Verdict::NotApplied(error) => {
                (self.shared.end_of_unapplied(), Err(RowError::NotSent(error.clone())))
            }
            Verdict::Unknown(error) => (End::Unknown, Err(RowError::Unknown(error.clone()))),
        };
        Ended { held, end, result }
    }

    /// A merged row was refused: each of the rows it was made of is tried by itself, in order.
    async fn send_singles(&mut self) {
        while let Some(held) = self.singles.pop_front() {
            let Some(request) = held.request.clone() else { continue };
            self.current = Some(held);
            let verdict = match Batch::from_requests(vec![request]) {
                Ok(batch) => {
                    let attempt = self.attempt.next();
                    let executed = self.executor.execute(batch, &attempt);
                    match catch_async(executed).await {
                        Ok(report) => report.into_verdicts(1).pop(),
                        Err(_) => None,
                    }
                }
                Err(error) => Some(Verdict::Rejected(error)),
            };
            let verdict = verdict.unwrap_or_else(|| Verdict::Unknown(panicked()));
            self.note_table(false);
            if let Some(held) = self.current.take() {
                let ended = self.end(held, &verdict, false);
                self.shared.settle(self.slot, From::Flight, vec![ended]);
            }
        }
    }
}

fn panicked() -> WriteError {
    WriteError::new(ErrorKind::Internal)
        .outcome_unknown()
        .with_message("the executor panicked while it had the row")
}

/// The flight is over. Where its task was dropped half-way, because its runtime shut down, rows
/// are left, and get their verdicts here.
impl Drop for Flight {
    fn drop(&mut self) {
        self.shared.tally.land();
        let error = WriteError::new(ErrorKind::Cancelled)
            .outcome_unknown()
            .with_message("the runtime shut down while the row was in flight");
        let unknown = Verdict::Unknown(error.clone());
        let mut ended = Vec::new();
        // The first of the batch may be settled already.
        let rows = std::mem::take(&mut self.rows);
        let first = self.batch.len().saturating_sub(rows.len());
        for (at, row) in (first..).zip(rows) {
            let (deciding, others) = row.into_parts(self.batch.request(at));
            ended.extend(others.map(|held| self.end(held, &unknown, true)));
            ended.push(self.end(deciding, &unknown, false));
        }
        ended.extend(self.current.take().map(|held| self.end(held, &unknown, false)));
        let unsent = Verdict::NotApplied(error);
        let singles = std::mem::take(&mut self.singles);
        ended.extend(singles.into_iter().map(|held| {
            let ended = self.end(held, &unsent, false);
            let end = if ended.end == End::Rejected { End::Abandoned } else { ended.end };
            Ended { end, ..ended }
        }));
        if !ended.is_empty() {
            self.shared.settle(self.slot, From::Flight, ended);
        }
    }
}
