//! The batch that is being written.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashSet;

use crate::batch::Batch;
use crate::driver::{Capabilities, ErrorClass, Report, Verdict, WriteError};
use crate::executor::{Classes, keep_in_order};
use crate::key::{KeyRules, RowKey};
use crate::outcome::RowError;
use crate::request::Request;
use crate::schema::ConflictStrategy;

/// A row of the input.
#[derive(Debug)]
pub(super) struct Row {
    /// Its position in the input.
    pub(super) index: usize,
    /// Its number in dead letters.
    pub(super) submission: u64,
    pub(super) request: Request,
    /// Whether an earlier attempt may have applied it.
    pub(super) doubtful: bool,
}

/// The batch that is being written, and its rows that are not settled.
#[derive(Debug)]
pub(super) struct Front {
    batch: Batch,
    /// Index and submission of each row, in the batch's order.
    numbers: Vec<(usize, u64)>,
    /// The rows not settled, ascending.
    todo: Vec<usize>,
    /// Whether an earlier attempt may have applied the row.
    doubtful: Vec<bool>,
}

/// What came of an attempt, as far as the run must know.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) written: u64,
    /// Rows that ended otherwise: their numbers in the batch.
    pub(super) failed: Vec<(usize, RowError)>,
    /// A transient failure after which rows are tried again, and the wait the server asks for.
    pub(super) transient: Option<(WriteError, Option<Duration>)>,
    /// A failure after which nothing is tried again.
    pub(super) stop: Option<WriteError>,
}

impl Front {
    /// Takes the rows from the front of `rows` that make one batch; `None` where there are none.
    pub(super) fn form(
        rows: &mut VecDeque<Row>,
        rules: &mut KeyRules,
        limits: Capabilities,
        size: usize,
    ) -> Option<Self> {
        let first = &rows.front()?.request;
        let schema = first.schema().clone();
        let columns: Box<[usize]> = first.set_columns().collect();
        let parameters = limits.max_parameters().map_or(size, |most| most / columns.len().max(1));
        let most = size.min(limits.max_rows().unwrap_or(size)).min(parameters).max(1);
        let mut bytes_left = limits.max_bytes().unwrap_or(usize::MAX);
        let keyed = schema.strategy() != ConflictStrategy::Fail;
        let (mut distinct, mut seen) =
            (keyed, HashSet::with_capacity(if keyed { rows.len().min(most) } else { 0 }));
        let mut fits = |Row { request, .. }: &Row| {
            let same_shape =
                *request.schema() == schema && request.set_columns().eq(columns.iter().copied());
            let left = bytes_left.checked_sub(request.size_bytes());
            // The first row goes, however large it is.
            let alone = std::ptr::eq(request, first);
            bytes_left = left.unwrap_or(0);
            if !same_shape || (left.is_none() && !alone) {
                return false;
            }
            match if keyed { rules.key_of(request) } else { RowKey::None } {
                RowKey::None => {}
                RowKey::Hash(hash) => return seen.insert(hash) || !distinct,
                RowKey::Opaque => distinct = false,
            }
            true
        };
        let count = rows.iter().take(most).take_while(|row| fits(row)).count();
        let mut taken: Vec<Row> = rows.drain(..count).collect();
        if distinct {
            taken.sort_by(|a, b| rules.compare(&a.request, &b.request));
        }
        let numbers = taken.iter().map(|row| (row.index, row.submission)).collect();
        let doubtful = taken.iter().map(|row| row.doubtful).collect();
        let requests = taken.into_iter().map(|row| row.request).collect();
        Some(Self {
            batch: Batch::assemble(schema, columns, requests, distinct),
            numbers,
            todo: (0..count).collect(),
            doubtful,
        })
    }

    pub(super) fn is_settled(&self) -> bool {
        self.todo.is_empty()
    }

    /// The next `size` rows that are not settled.
    pub(super) fn part(&self, size: usize) -> Batch {
        if self.todo.len() == self.batch.len() {
            return self.batch.split_at(size).0;
        }
        self.batch.pick(&self.todo[..size.min(self.todo.len())])
    }

    /// Takes the report of an attempt at `part`, the first rows of those not settled.
    pub(super) fn settle(&mut self, part: &Batch, report: Report, classes: &Classes) -> Came {
        let mut came = Came::default();
        let tried: Vec<usize> = self.todo.drain(..part.len()).collect();
        if let Some(Verdict::Written) = report.uniform() {
            came.written = tried.len() as u64;
            return came;
        }
        let verdicts = report.into_verdicts(tried.len());
        let (mut again, mut kept) = (Vec::new(), Vec::new());
        for (at, (&row, verdict)) in tried.iter().zip(&verdicts).enumerate() {
            let class = |error: &WriteError| classes.of(error);
            match verdict {
                Verdict::Written => came.written += 1,
                Verdict::Rejected(error) if class(error) == ErrorClass::Systemic => {
                    came.stop.get_or_insert_with(|| error.clone());
                    kept.push(at);
                }
                Verdict::NotApplied(error)
                    if matches!(class(error), ErrorClass::Systemic | ErrorClass::Stop) =>
                {
                    came.stop.get_or_insert_with(|| error.clone());
                    kept.push(at);
                }
                Verdict::NotApplied(error) if class(error) == ErrorClass::Transient => {
                    again.push(at);
                }
                Verdict::Rejected(error) | Verdict::NotApplied(error) => {
                    came.failed.push((row, self.refused(row, error)));
                }
                Verdict::Unknown(error) => {
                    self.doubtful[row] = true;
                    let harmless = !error.is_still_running() && self.batch.is_row_idempotent(row);
                    if harmless && class(error) == ErrorClass::Transient {
                        again.push(at);
                    } else {
                        came.failed.push((row, RowError::Unknown(error.clone())));
                    }
                }
            }
        }
        let mut in_order = again.clone();
        keep_in_order(part, &verdicts, &mut in_order);
        for at in again {
            let Some(error) = verdicts[at].error() else { continue };
            if in_order.binary_search(&at).is_err() {
                came.failed.push((tried[at], self.overtaken(tried[at], error)));
                continue;
            }
            let (_, wait) = came.transient.get_or_insert_with(|| (error.clone(), None));
            *wait = (*wait).max(error.retry_after());
        }
        in_order.extend(kept);
        in_order.sort_unstable();
        self.todo.splice(..0, in_order.into_iter().map(|at| tried[at]));
        came
    }

    fn refused(&self, row: usize, error: &WriteError) -> RowError {
        if self.doubtful[row] {
            RowError::Unknown(error.clone().outcome_unknown())
        } else {
            RowError::Rejected(error.clone())
        }
    }

    /// A later row of its key is written: this one can no longer be.
    fn overtaken(&self, row: usize, error: &WriteError) -> RowError {
        match self.refused(row, error) {
            RowError::Rejected(error) => RowError::NotSent(error),
            other => other,
        }
    }

    /// The submission number and the values of a row.
    pub(super) fn row(&self, row: usize) -> Option<(u64, Request)> {
        Some((self.numbers.get(row)?.1, self.batch.request(row)?.clone()))
    }

    /// The rows that are not settled.
    pub(super) fn into_rest(self) -> Vec<Row> {
        let row = |&at: &usize| {
            let (index, submission) = *self.numbers.get(at)?;
            let (request, doubtful) = (self.batch.request(at)?.clone(), self.doubtful[at]);
            Some(Row { index, submission, request, doubtful })
        };
        self.todo.iter().filter_map(row).collect()
    }
}
