//! [`Isolate`]: finds the rows at fault, so that the others are written.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::classify::Classifying;
use super::drive::describe;
use super::order::{is_still_running, keep_in_order};
use super::{Classes, Classifier, Executor, stop_error};
use crate::batch::Batch;
use crate::driver::{Attempt, ErrorClass, Report, Verdict, WriteError};
use crate::metrics::{Reporter, SplitEvent};

/// Finds the rows at fault in a batch that was refused, so that the others are written.
///
/// - A batch refused for a row's own fault is tried in halves, in order; `k` bad rows among `n`
///   cost at most `k·(2·log2 n + 2)` further attempts. A row refused alone is rejected.
/// - Rows that the error [blames](WriteError::blame) are tried alone first, and the rest
///   together. A wrong guess costs one attempt, and the rows it stood for are halved.
/// - A batch that is too large is tried in halves; a single row that is too large is rejected.
/// - A systemic error rejects every row at once.
/// - What is given up by the executor within ends the search: the rows not yet tried share its
///   verdict.
///
/// A row that an earlier attempt may have applied is never called rejected or not applied.
#[derive(Debug)]
pub struct Isolate {
    inner: Arc<dyn Executor>,
    classes: Classes,
    reporter: Reporter,
}

impl Isolate {
    /// Finds the rows that `inner` refuses.
    pub fn new(inner: Arc<dyn Executor>) -> Self {
        Self { inner, classes: Classes::default(), reporter: Reporter::default() }
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
        self.reporter = reporter;
        self
    }
}

#[async_trait]
impl Executor for Isolate {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        let report = self.inner.execute(batch.clone(), attempt).await;
        match report.uniform() {
            Some(Verdict::Written) => report,
            // Boxed, so that the batches which succeed at once do not carry its state.
            _ => Box::pin(self.search(&batch, attempt, report)).await,
        }
    }
}

/// Rows still to be dealt with, by their ascending positions in the batch.
enum Piece {
    /// Never tried without the others of the batch. `trust` tells whether to believe the next
    /// error's blame.
    Untried { rows: Vec<usize>, trust: bool },
    /// One of these is at fault.
    Refused { rows: Vec<usize>, blame: HashSet<usize>, trust: bool },
    /// One of these is at fault, probably each of the `suspects`, the last of which comes next.
    /// `found` is how many had been found when that was known.
    Suspected { suspects: Vec<usize>, rest: Vec<usize>, found: usize },
}

impl Isolate {
    async fn search(&self, batch: &Batch, attempt: &Attempt, report: Report) -> Report {
        let all: Vec<usize> = (0..batch.len()).collect();
        let mut search = Search::new(self, batch);
        search.take(report, &all, true);
        while let Some(piece) = search.todo.pop() {
            if attempt.is_stopped() {
                search.todo.push(piece);
                search.end(&Verdict::NotApplied(describe(stop_error(None), batch)));
                break;
            }
            match piece {
                Piece::Untried { rows, .. } if rows.is_empty() => {}
                Piece::Untried { rows, trust } => search.attempt(attempt, rows, trust).await,
                Piece::Refused { rows, blame, trust } => search.divide(&rows, &blame, trust),
                Piece::Suspected { suspects, rest, found } => {
                    search.confirm(attempt, suspects, rest, found).await;
                }
            }
        }
        search.into_report()
    }
}

struct Search<'a> {
    isolate: &'a Isolate,
    batch: &'a Batch,
    verdicts: Vec<Verdict>,
    /// Whether an attempt before the search may have applied the row.
    doubtful: Vec<bool>,
    /// How many rows at fault were found.
    found: usize,
    /// What is still to be done, the next last.
    todo: Vec<Piece>,
}

impl<'a> Search<'a> {
    fn new(isolate: &'a Isolate, batch: &'a Batch) -> Self {
        let rows = batch.len();
        Self {
            isolate,
            batch,
            verdicts: vec![Verdict::Written; rows],
            doubtful: vec![false; rows],
            found: 0,
            todo: Vec::new(),
        }
    }

    /// Tries rows together.
    async fn attempt(&mut self, attempt: &Attempt, rows: Vec<usize>, trust: bool) {
        let part = self.batch.pick(&rows);
        let report = self.isolate.inner.execute(part, &attempt.next()).await;
        self.take(report, &rows, trust);
    }

    /// Takes the report of an attempt at `rows`: decides what it decides, and notes what is left.
    fn take(&mut self, report: Report, rows: &[usize], trust: bool) {
        let mut classes = Classifying::new(&self.isolate.classes);
        let mut refused = Vec::new();
        let mut blame = HashSet::new();
        let mut unsent = 0;
        let mut last = None;
        for (&row, verdict) in rows.iter().zip(report.into_verdicts(rows.len())) {
            let Some(error) = verdict.error() else {
                self.verdicts[row] = verdict;
                continue;
            };
            let (class, is_seen) = classes.of(error);
            let is_refusal = matches!(class, ErrorClass::Row | ErrorClass::TooLarge);
            if is_refusal && !is_seen {
                blame.extend(error.blame().iter().filter_map(|&at| rows.get(at)));
            }
            let verdict = match verdict {
                Verdict::NotApplied(_) if is_refusal => {
                    refused.push(row);
                    verdict
                }
                Verdict::NotApplied(error) => {
                    unsent += 1;
                    let verdict = match class {
                        ErrorClass::Systemic => Verdict::Rejected(error),
                        _ => Verdict::NotApplied(error),
                    };
                    last = Some(verdict.clone());
                    verdict
                }
                // Ended, refused, and harmless to repeat; an attempt before it is in doubt.
                Verdict::Unknown(ref error)
                    if is_refusal
                        && !error.is_still_running()
                        && self.batch.is_row_idempotent(row) =>
                {
                    self.doubtful[row] = true;
                    refused.push(row);
                    verdict
                }
                verdict => verdict,
            };
            self.decide(row, verdict);
        }
        if let (Some(last), true) = (last, unsent == rows.len()) {
            self.end(&last);
        } else if let Some(error) = self.running(rows) {
            self.end(&Verdict::NotApplied(error));
        } else if let ([row], 1) = (refused.as_slice(), rows.len()) {
            self.reject(*row);
        } else if !refused.is_empty() {
            self.search_in(refused, rows.len(), blame, trust);
        }
    }

    /// Why no row may follow these: one of them may still be written by an attempt that could not
    /// be seen to end, and another may have its key.
    fn running(&self, rows: &[usize]) -> Option<WriteError> {
        if self.batch.has_distinct_keys() {
            return None;
        }
        let running = rows.iter().find(|&&row| is_still_running(&self.verdicts[row]))?;
        let error = self.verdicts[*running].error()?.clone().nothing_applied();
        Some(error.with_message("an attempt at an earlier row may still be running"))
    }

    /// Some of the `tried` rows were refused, and are looked at more closely.
    fn search_in(&mut self, refused: Vec<usize>, tried: usize, blame: HashSet<usize>, trust: bool) {
        let mut again = refused.clone();
        if refused.len() < tried {
            keep_in_order(self.batch, &self.verdicts, &mut again);
            for row in refused {
                if again.binary_search(&row).is_err() {
                    self.reject(row);
                }
            }
        }
        if let Some(error) = again.first().and_then(|&row| self.verdicts[row].error()) {
            self.isolate.reporter.tell(|backend, metrics| {
                let (table, rows) = (self.batch.schema().table(), again.len());
                metrics.split(&SplitEvent { backend, table, rows, error });
            });
        }
        self.todo.push(Piece::Refused { rows: again, blame, trust });
    }

    /// Divides rows of which one is at fault.
    fn divide(&mut self, rows: &[usize], blame: &HashSet<usize>, trust: bool) {
        if rows.len() < 2 {
            self.todo.push(Piece::Untried { rows: rows.to_vec(), trust });
            return;
        }
        let blamed = |row: &usize| trust && blame.contains(row);
        let (mut suspects, mut rest): (Vec<_>, Vec<_>) = rows.iter().partition(|row| blamed(row));
        if suspects.is_empty() {
            let right = rest.split_off(rest.len() / 2);
            self.todo.push(Piece::Untried { rows: right, trust });
            self.todo.push(Piece::Untried { rows: rest, trust });
            return;
        }
        let found = self.found;
        if self.batch.has_distinct_keys() {
            suspects.reverse();
            self.todo.push(Piece::Suspected { suspects, rest, found });
        } else {
            // In order: the rows before the first suspect, the suspect, the rows after it.
            let suspect = suspects[0];
            let at = rows.partition_point(|&row| row < suspect);
            let (before, after) = (rows[..at].to_vec(), rows[at + 1..].to_vec());
            self.todo.push(Piece::Suspected { suspects: vec![suspect], rest: after, found });
            self.todo.push(Piece::Untried { rows: before, trust });
        }
    }

    /// Tries the next suspect alone, or the rest once each suspect turned out to be at fault.
    async fn confirm(
        &mut self,
        attempt: &Attempt,
        mut suspects: Vec<usize>,
        rest: Vec<usize>,
        found: usize,
    ) {
        let Some(suspect) = suspects.pop() else {
            self.todo.push(Piece::Untried { rows: rest, trust: true });
            return;
        };
        let before = self.found;
        // Kept where the end of the search finds it.
        self.todo.push(Piece::Suspected { suspects, rest, found });
        self.attempt(attempt, vec![suspect], false).await;
        if self.found > before {
            return;
        }
        // A wrong guess: the others are believed no more.
        if let Some(Piece::Suspected { mut suspects, mut rest, found }) = self.todo.pop() {
            rest.append(&mut suspects);
            rest.sort_unstable();
            self.todo.push(if self.found == found {
                Piece::Refused { rows: rest, blame: HashSet::new(), trust: false }
            } else {
                Piece::Untried { rows: rest, trust: false }
            });
        }
    }

    /// The row was refused by itself.
    fn reject(&mut self, row: usize) {
        self.found += 1;
        if let Verdict::NotApplied(error) = self.verdicts[row].clone() {
            self.decide(row, Verdict::Rejected(error));
        }
    }

    fn decide(&mut self, row: usize, verdict: Verdict) {
        self.verdicts[row] = match verdict {
            Verdict::Rejected(error) | Verdict::NotApplied(error) if self.doubtful[row] => {
                Verdict::Unknown(error.outcome_unknown())
            }
            verdict => verdict,
        };
    }

    /// Ends the search: the rows not yet tried share this verdict.
    fn end(&mut self, verdict: &Verdict) {
        for piece in std::mem::take(&mut self.todo) {
            let (rows, others) = match piece {
                Piece::Untried { rows, .. } | Piece::Refused { rows, .. } => (rows, Vec::new()),
                Piece::Suspected { suspects, rest, .. } => (suspects, rest),
            };
            for row in rows.into_iter().chain(others) {
                self.decide(row, verdict.clone());
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
