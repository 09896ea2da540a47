//! A commit for several batches: those that wait while one is written join its transaction, all but
//! the last.
//!
//! A commit waits for the disk, and that may take longer than writing the rows. Batches that share
//! one wait once. Each is still written whole or not at all: where anything goes wrong with one of
//! them, the transaction is rolled back and every batch is written alone.

use std::time::{Duration, Instant};

use batchflow_core::{ErrorKind, Report, Stage, WriteError};

use crate::error::{is_io, translate};
use crate::transaction::{apply, roll_back, run_plain};
use crate::writer::{Job, Writer};

/// The most batches that share a commit.
const MOST: usize = 16;

/// No further batch joins after this long, so that the first does not wait for many others.
const LONGEST: Duration = Duration::from_millis(10);

/// Why batches were not committed together.
enum Failed {
    /// Something is wrong with one of them; nothing was applied.
    Apart,
    /// Another holds the database's lock; nothing was applied.
    Locked(WriteError),
    /// The commit may have reached the disk before the disk failed.
    Unknown(WriteError),
}

impl Writer {
    /// Writes a batch, and those that `next` has waiting, and answers each.
    pub(crate) fn write_group(&mut self, first: Job, mut next: impl FnMut() -> Option<Job>) {
        let mut jobs = Vec::new();
        jobs.extend(first.fate.start().then_some(first));
        jobs.extend(next().filter(|job| job.fate.start()));
        if jobs.len() < 2 {
            return jobs.into_iter().for_each(|job| self.write_alone(job));
        }
        match self.write_together(&mut jobs, next) {
            Ok(changed) => {
                for (job, rows) in jobs.into_iter().zip(changed) {
                    job.fate.committed();
                    job.answer(Ok(Report::all().with_affected(rows)));
                }
            }
            Err(Failed::Apart) => jobs.into_iter().for_each(|job| self.write_alone(job)),
            Err(Failed::Locked(error)) => {
                for job in jobs {
                    job.fate.not_applied();
                    let stopped = job.fate.is_stopped().then(|| job.fate.stopped());
                    let error = stopped.unwrap_or_else(|| error.clone());
                    let error = error.with_table(job.batch.schema().table());
                    job.answer(Err(error));
                }
            }
            Err(Failed::Unknown(error)) => {
                for job in jobs {
                    job.fate.unknown();
                    let error = error.clone().with_table(job.batch.schema().table());
                    job.answer(Err(error));
                }
            }
        }
    }

    fn write_alone(&mut self, job: Job) {
        let written = self.write(&job);
        job.answer(written);
    }

    /// Writes batches that have started in one transaction; returns how many rows each changed.
    fn write_together(
        &mut self,
        jobs: &mut Vec<Job>,
        mut next: impl FnMut() -> Option<Job>,
    ) -> Result<Vec<u64>, Failed> {
        let began = Instant::now();
        let written = self.write_each(jobs, || {
            let join = began.elapsed() < LONGEST;
            join.then(&mut next).flatten().filter(|job| job.fate.start())
        });
        self.guard.finish();
        let stopped = jobs.iter().any(|job| job.fate.is_stopped());
        let changed = match written {
            Ok(changed) if !stopped => changed,
            written => {
                roll_back(&self.connection);
                return Err(written.err().unwrap_or(Failed::Apart));
            }
        };
        run_plain(&self.connection, "COMMIT").map(|()| changed).map_err(|error| {
            roll_back(&self.connection);
            if is_io(&error) {
                Failed::Unknown(translate(&error, Stage::Commit).outcome_unknown())
            } else {
                Failed::Apart
            }
        })
    }

    fn write_each(
        &mut self,
        jobs: &mut Vec<Job>,
        mut next: impl FnMut() -> Option<Job>,
    ) -> Result<Vec<u64>, Failed> {
        let apart = |_| Failed::Apart;
        self.reconnect().map_err(apart)?;
        self.guard.enter(self.busy_timeout, jobs.first().map(|job| &job.fate));
        run_plain(&self.connection, "BEGIN IMMEDIATE").map_err(|error| {
            let error = translate(&error, Stage::Write);
            // It was waited for as long as may be: once for all of them.
            let first = jobs.first().is_some_and(|job| job.fate.is_stopped());
            let locked = error.kind() == ErrorKind::LockTimeout && !first;
            if locked { Failed::Locked(error) } else { Failed::Apart }
        })?;
        let mut changed = Vec::new();
        while let Some(job) = jobs.get(changed.len()) {
            self.guard.enter(self.busy_timeout, Some(&job.fate));
            let plan = self.plans.get(&self.connection, &job.batch).map_err(apart)?;
            plan.tell(&job.attempt);
            let applied = apply(&self.connection, plan, &job.batch, &job.fate);
            changed.push(applied.map_err(apart)?);
            if jobs.len() < MOST {
                jobs.extend(next());
            }
        }
        Ok(changed)
    }
}
