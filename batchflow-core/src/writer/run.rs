//! One bulk write under way.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::front::{Front, Row};
use super::summary::{BulkError, Stopped, WriteSummary};
use super::{BatchWriter, Settings};
use crate::dead_letter::{self, DeadLetter, DeadLetterError};
use crate::driver::{Attempt, ErrorClass, ErrorKind, Stage, TableInfo, WriteError};
use crate::key::KeyRules;
use crate::outcome::RowError;
use crate::request::Request;
use crate::schema::Schema;
use crate::unwind::{Panicked, catch_async};

/// So many schemas are remembered; beyond it, all are looked up anew.
const SCHEMAS: usize = 1_024;

/// What is known of a schema's table.
struct Described {
    rules: KeyRules,
    /// The fingerprint of what was found.
    table: u64,
}

/// What a run leaves behind.
#[derive(Default)]
pub(super) struct Left {
    pub(super) summary: WriteSummary,
    /// The rows not settled, in order.
    pub(super) rest: Vec<Row>,
    /// What the sink has not taken.
    pub(super) letters: Vec<DeadLetter>,
}

/// One bulk write under way.
pub(super) struct Run<'a> {
    writer: &'a BatchWriter,
    tables: HashMap<Schema, Described>,
    /// Rows taken and not sent, fewer than a batch between calls.
    pending: VecDeque<Row>,
    front: Option<Front>,
    /// How many rows the next attempt may carry.
    size: usize,
    /// Transient failures since a row was last settled.
    failures: u32,
    letters: VecDeque<DeadLetter>,
    summary: WriteSummary,
}

impl<'a> Run<'a> {
    pub(super) fn new(writer: &'a BatchWriter) -> Self {
        Self {
            writer,
            tables: HashMap::new(),
            pending: VecDeque::new(),
            front: None,
            size: writer.settings.batch_size,
            failures: 0,
            letters: VecDeque::new(),
            summary: WriteSummary::default(),
        }
    }

    /// Goes on where another stopped.
    pub(super) fn resume(writer: &'a BatchWriter, left: Left) -> Self {
        let Left { summary, rest, letters } = left;
        Self { pending: rest.into(), letters: letters.into(), summary, ..Self::new(writer) }
    }

    /// Takes a row, and writes a batch if there is one.
    pub(super) async fn add(
        &mut self,
        submission: u64,
        request: Request,
    ) -> Result<(), WriteError> {
        let index = self.summary.submitted as usize;
        self.summary.submitted += 1;
        if let Err(fault) = request.validate() {
            let error = WriteError::new(ErrorKind::Data)
                .at(Stage::Encode)
                .with_table(request.schema().table())
                .with_message(fault.to_string());
            self.fail(DeadLetter::new(submission, request, RowError::Rejected(error)));
            return self.deliver().await;
        }
        self.pending.push_back(Row { index, submission, request, doubtful: false });
        while self.pending.len() >= self.size {
            self.write_front().await?;
        }
        Ok(())
    }

    /// Writes and delivers what there is.
    pub(super) async fn write_all(&mut self) -> Result<(), WriteError> {
        self.deliver().await?;
        while !self.pending.is_empty() {
            self.write_front().await?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) async fn end(mut self) -> Result<WriteSummary, BulkError> {
        match self.write_all().await {
            Ok(()) => Ok(self.summary),
            Err(error) => Err(self.stop(error)),
        }
    }

    /// Gives up, and hands back what is not settled.
    pub(super) fn stop(self, error: WriteError) -> BulkError {
        let Left { summary, rest, letters } = self.into_left();
        BulkError::new(Stopped {
            error,
            resume_at: rest.first().map_or(summary.submitted as usize, |row| row.index),
            summary,
            rest: rest.into_iter().map(|row| row.request).collect(),
            letters,
        })
    }

    /// What was done, and what is not settled.
    pub(super) fn into_left(self) -> Left {
        let mut rest = self.front.map(Front::into_rest).unwrap_or_default();
        rest.extend(self.pending);
        rest.sort_by_key(|row| row.index);
        Left { summary: self.summary, rest, letters: self.letters.into() }
    }

    async fn write_front(&mut self) -> Result<(), WriteError> {
        let Some(first) = self.pending.front() else { return Ok(()) };
        let schema = first.request.schema().clone();
        self.look_up(&schema).await?;
        if self.summary.batches > 0 && !self.writer.settings.throttle.is_zero() {
            sleep(self.writer.settings.throttle).await;
        }
        let Some(Described { rules, table }) = self.tables.get_mut(&schema) else {
            return Ok(());
        };
        let described = *table;
        let limits = self.writer.driver.capabilities();
        self.front = Front::form(&mut self.pending, rules, limits, self.size);
        self.summary.batches += 1;
        let mut attempt = Attempt::new();
        while let Some(front) = self.front.as_mut().filter(|front| !front.is_settled()) {
            let part = front.part(self.size);
            self.summary.attempts += 1;
            let report = self.writer.executor.execute(part.clone(), &attempt).await;
            let came = front.settle(&part, report, &self.writer.classes);
            let letter = |(row, error): (usize, RowError)| {
                let (submission, request) = front.row(row)?;
                Some(DeadLetter::new(submission, request, error))
            };
            let letters: Vec<_> = came.failed.into_iter().filter_map(letter).collect();
            if came.written > 0 || !letters.is_empty() {
                self.failures = 0;
            }
            self.summary.written += came.written;
            for letter in letters {
                self.fail(letter);
            }
            self.deliver().await?;
            if let Some(error) = came.stop {
                return Err(error);
            }
            let Settings { batch_size, min_batch_size, .. } = self.writer.settings;
            if let Some((error, asked_for)) = came.transient {
                self.size = (self.size.min(part.len()) / 2).max(min_batch_size);
                self.pause(error, asked_for).await?;
            } else {
                self.size = self.size.saturating_mul(2).min(batch_size);
            }
            attempt = attempt.next();
        }
        if attempt.table().is_some_and(|seen| seen != described) {
            self.tables.remove(&schema);
        }
        self.front = None;
        Ok(())
    }

    /// Waits after a transient failure; the error itself where there were too many.
    async fn pause(
        &mut self,
        error: WriteError,
        asked_for: Option<Duration>,
    ) -> Result<(), WriteError> {
        self.failures += 1;
        if self.failures > self.writer.settings.max_retries {
            return Err(error);
        }
        let delay = self.writer.backoff.delay(self.failures);
        sleep(asked_for.map_or(delay, |asked_for| delay.max(asked_for))).await;
        Ok(())
    }

    /// Looks a schema's table up, once.
    async fn look_up(&mut self, schema: &Schema) -> Result<(), WriteError> {
        if self.tables.contains_key(schema) {
            return Ok(());
        }
        let driver = &self.writer.driver;
        let table = loop {
            if !driver.capabilities().describes() {
                break TableInfo::unchecked(schema);
            }
            let question = catch_async(async { driver.describe(schema).await });
            let error = match timeout(self.writer.settings.timeout, question).await {
                Ok(Ok(Ok(table))) => break table,
                Ok(Ok(Err(error))) => error,
                Ok(Err(Panicked)) => {
                    WriteError::new(ErrorKind::Internal).with_message("the driver panicked")
                }
                Err(_too_long) => ErrorKind::Timeout.into(),
            };
            let error = match error.table() {
                Some(_) => error.at(Stage::Describe),
                None => error.at(Stage::Describe).with_table(schema.table()),
            };
            if self.writer.classes.of(&error) != ErrorClass::Transient {
                return Err(error);
            }
            let asked_for = error.retry_after();
            self.pause(error, asked_for).await?;
        };
        self.failures = 0;
        if self.tables.len() >= SCHEMAS {
            self.tables.clear();
        }
        let rules = KeyRules::new(schema, &table);
        self.tables.insert(schema.clone(), Described { rules, table: table.fingerprint() });
        Ok(())
    }

    /// Counts and lists a row that was not written.
    fn fail(&mut self, letter: DeadLetter) {
        match letter.error() {
            RowError::Unknown(_) => self.summary.unknown += 1,
            RowError::Rejected(_) | RowError::NotSent(_) => self.summary.rejected += 1,
        }
        let listed = self.summary.failures.len() < self.writer.settings.listed;
        match (listed, self.writer.sink.is_some()) {
            (true, true) => {
                self.summary.failures.push(letter.clone());
                self.letters.push_back(letter);
            }
            (true, false) => self.summary.failures.push(letter),
            (false, true) => self.letters.push_back(letter),
            (false, false) => dead_letter::log_without_sink(&letter),
        }
    }

    /// Hands the letters to the sink, and waits until it has them.
    async fn deliver(&mut self) -> Result<(), WriteError> {
        let Some(sink) = &self.writer.sink else { return Ok(()) };
        let mut failures = 0;
        while !self.letters.is_empty() {
            let before = self.letters.len();
            let offer = catch_async(async { sink.deliver(&mut self.letters).await }).await;
            let progress = self.letters.len() < before;
            if progress {
                failures = 0;
            }
            let lost = match offer {
                Ok(Ok(())) | Err(Panicked) if progress => 0,
                Err(Panicked) | Ok(Err(DeadLetterError::Refused { .. })) => 1,
                Ok(Err(DeadLetterError::Closed)) => self.letters.len(),
                Ok(result) => {
                    failures += 1;
                    if failures > self.writer.settings.max_retries {
                        let why = match result {
                            Ok(()) => "the dead-letter sink takes no letter".to_owned(),
                            Err(error) => error.to_string(),
                        };
                        return Err(WriteError::new(ErrorKind::Io).with_message(why));
                    }
                    sleep(self.writer.backoff.delay(failures)).await;
                    0
                }
            };
            // A sink may refuse a letter that it has taken already.
            let lost = lost.min(self.letters.len());
            self.summary.undelivered += lost as u64;
            for letter in self.letters.drain(..lost) {
                dead_letter::log_undeliverable(&letter);
            }
        }
        Ok(())
    }
}
