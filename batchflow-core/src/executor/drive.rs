//! [`Drive`]: a driver as the innermost executor.

use std::sync::Arc;

use async_trait::async_trait;

use super::Executor;
use crate::batch::Batch;
use crate::driver::{Applied, Attempt, Driver, ErrorKind, Report, Verdict, WriteError};
use crate::unwind::{Panicked, catch_async};

/// Runs one attempt of a driver, and makes a report of whatever comes of it.
#[derive(Debug)]
pub struct Drive {
    driver: Arc<dyn Driver>,
}

impl Drive {
    /// Writes with `driver`.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        Self { driver }
    }
}

#[async_trait]
impl Executor for Drive {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        if batch.is_empty() {
            return Report::all();
        }
        attempt.count();
        // In a block of its own, so that a panic before the first await is caught, too.
        let write = async { self.driver.write(batch.clone(), attempt).await };
        match catch_async(write).await {
            Ok(Ok(report)) => complete(report, &batch),
            Ok(Err(error)) => {
                let error = describe(error, &batch);
                Report::same(match error.applied() {
                    Applied::Nothing => Verdict::NotApplied(error),
                    Applied::Unknown => Verdict::Unknown(error),
                })
            }
            Err(Panicked) => {
                // What it began may go on without it, like a future dropped half-way.
                attempt.cancel();
                let error = WriteError::new(ErrorKind::Internal)
                    .with_message("the driver panicked")
                    .still_running();
                Report::same(Verdict::Unknown(describe(error, &batch)))
            }
        }
    }
}

/// A report with one verdict for each row, whose errors say what they are about.
fn complete(report: Report, batch: &Batch) -> Report {
    if let Some(Verdict::Written) = report.uniform() {
        return report;
    }
    let affected = report.affected();
    let report = if let Some(verdict) = report.uniform() {
        Report::same(described(verdict.clone(), batch))
    } else {
        let verdicts = report.into_verdicts(batch.len()).into_iter();
        Report::each(verdicts.map(|verdict| described(verdict, batch)).collect())
    };
    match affected {
        Some(rows) => report.with_affected(rows),
        None => report,
    }
}

fn described(verdict: Verdict, batch: &Batch) -> Verdict {
    match verdict {
        Verdict::Written => Verdict::Written,
        Verdict::Rejected(error) => Verdict::Rejected(describe(error, batch)),
        Verdict::NotApplied(error) => Verdict::NotApplied(describe(error, batch)),
        Verdict::Unknown(error) => Verdict::Unknown(describe(error, batch)),
    }
}

/// The error with the table and the number of rows that it is about.
pub(super) fn describe(error: WriteError, batch: &Batch) -> WriteError {
    let error = match error.batch_rows() {
        Some(_) => error,
        None => error.with_batch_rows(batch.len()),
    };
    match error.table() {
        Some(_) => error,
        None => error.with_table(batch.schema().table()),
    }
}
