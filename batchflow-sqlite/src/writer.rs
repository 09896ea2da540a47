//! The writer: the one thread that holds the connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batchflow_core::{Attempt, Batch, ErrorKind, Report, Stage, WriteError};
use rusqlite::Connection;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::sync::oneshot;

use crate::config::SqliteConfig;
use crate::error::translate;
use crate::fate::Fate;
use crate::guard::Guard;
use crate::open;
use crate::plan::Plans;
use crate::transaction::{roll_back, write};

/// Messages that wait for the writer before a sender waits for room.
const QUEUE: usize = 16;

/// How long the writer stays awake for the next message.
const ALERT: Duration = Duration::from_micros(50);

/// Where the connection came from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file, opened as configured; opened again where the connection is in doubt.
    File(PathBuf, SqliteConfig),
    /// A database in memory: there is only this one connection to it.
    Memory,
    /// A connection of the user's.
    Given(Connection),
}

/// What the writer is asked to do.
pub(crate) enum Message {
    Write(Job),
    /// Something quick: a lookup, a preview.
    Call(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// A batch to write.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) attempt: Attempt,
    pub(crate) fate: Arc<Fate>,
    pub(crate) reply: oneshot::Sender<Result<Report, WriteError>>,
}

impl Job {
    /// Tells the driver what became of the batch. Nobody may be waiting any more; the fate tells.
    pub(crate) fn answer(mut self, written: Result<Report, WriteError>) {
        let (unused, _) = oneshot::channel();
        let _ = std::mem::replace(&mut self.reply, unused).send(written);
    }
}

impl Drop for Job {
    /// A job that nobody wrote never will be; one that a panic cut off, nobody can tell.
    fn drop(&mut self) {
        if !self.fate.cancel() {
            self.fate.unknown();
        }
    }
}

/// The thread's own state.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) plans: Plans,
    pub(crate) guard: Guard,
    pub(crate) busy_timeout: Duration,
    source: Source,
}

/// The thread as the driver sees it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) messages: mpsc::Sender<Message>,
    /// Resolves once the connection is open, or says why it is not.
    pub(crate) opened: oneshot::Receiver<Result<(), WriteError>>,
    /// Resolves once the connection is closed.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Starts the thread. It ends when the last sender of messages is gone.
pub(crate) fn start(source: Source) -> Result<Handle, WriteError> {
    let (messages, mut inbox) = mpsc::channel(QUEUE);
    let (opening, opened) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let run = move || {
        let _ended_when_dropped: oneshot::Sender<()> = end;
        match Writer::new(source) {
            Ok(mut writer) => {
                let _ = opening.send(Ok(()));
                let mut held = None;
                while let Some(message) = held.take().or_else(|| next(&mut inbox)) {
                    match message {
                        Message::Write(job) => {
                            writer.write_group(job, || next_write(&mut inbox, &mut held));
                        }
                        Message::Call(call) => writer.run(call),
                    }
                }
            }
            Err(error) => {
                let _ = opening.send(Err(error));
            }
        }
    };
    let thread = std::thread::Builder::new().name("batchflow-sqlite".to_owned()).spawn(run);
    match thread {
        Ok(_) => Ok(Handle { messages, opened, ended }),
        Err(error) => Err(WriteError::new(ErrorKind::Resource)
            .at(Stage::Connect)
            .with_message("the writer thread cannot be started")
            .with_server_message(error.to_string())),
    }
}

/// The next message; `None` once the last sender is gone.
///
/// Waking a sleeping thread takes longer than writing a row, and the next batch mostly comes soon
/// after the last: the thread looks for it a moment longer, giving way to others, before it sleeps.
fn next(inbox: &mut mpsc::Receiver<Message>) -> Option<Message> {
    let started = Instant::now();
    loop {
        match inbox.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if started.elapsed() < ALERT => std::thread::yield_now(),
            Err(TryRecvError::Empty) => return inbox.blocking_recv(),
        }
    }
}

/// The next batch, if something waits behind it and nothing else was asked for before it. What is
/// behind it is held: there is something to do while the verdicts of those before are settled.
fn next_write(inbox: &mut mpsc::Receiver<Message>, held: &mut Option<Message>) -> Option<Job> {
    if held.is_none() {
        *held = inbox.try_recv().ok();
    }
    if !matches!(held, Some(Message::Write(_))) {
        return None;
    }
    let behind = inbox.try_recv().ok()?;
    match held.replace(behind) {
        Some(Message::Write(job)) => Some(job),
        _ => None,
    }
}

impl Writer {
    fn new(source: Source) -> Result<Self, WriteError> {
        let (connection, config, source) = match source {
            Source::File(path, config) => {
                (open::open(&path, &config)?, config.clone(), Source::File(path, config))
            }
            Source::Memory => (open::in_memory()?, SqliteConfig::default(), Source::Memory),
            Source::Given(connection) => (connection, SqliteConfig::default(), Source::Memory),
        };
        let mut writer = Self {
            connection,
            plans: Plans::default(),
            guard: Guard::default(),
            busy_timeout: config.busy_timeout,
            source,
        };
        writer.set_up(config.statement_cache)?;
        Ok(writer)
    }

    fn set_up(&mut self, statement_cache: usize) -> Result<(), WriteError> {
        self.connection.set_prepared_statement_cache_capacity(statement_cache.max(4));
        self.watch().map_err(|error| translate(&error, Stage::Connect))
    }

    /// Has SQLite ask the guard while it waits and works.
    pub(crate) fn watch(&mut self) -> rusqlite::Result<()> {
        self.guard.install(&mut self.connection)
    }

    fn run(&mut self, call: Box<dyn FnOnce(&mut Self) + Send>) {
        self.guard.enter(self.busy_timeout, None);
        call(self);
        roll_back(&self.connection);
    }

    /// Writes a batch that has started, in a transaction of its own.
    pub(crate) fn write(&mut self, job: &Job) -> Result<Report, WriteError> {
        if let Err(error) = self.reconnect() {
            job.fate.not_applied();
            return Err(error);
        }
        self.guard.enter(self.busy_timeout, Some(&job.fate));
        write(&self.connection, &mut self.plans, &self.guard, job)
    }

    /// Replaces a connection that is stuck in a transaction.
    pub(crate) fn reconnect(&mut self) -> Result<(), WriteError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let Source::File(path, config) = &self.source else {
            let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
            return Err(error.with_message("the connection is stuck in a transaction"));
        };
        self.connection = open::open(path, config)?;
        self.plans = Plans::default();
        let statements = config.statement_cache;
        self.set_up(statements)
    }
}

#[cfg(test)]
mod tests {
    use batchflow_core::{ConflictStrategy, Request, Schema};

    use super::*;

    /// A batch of one row, of this value.
    fn job(id: i64) -> Message {
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
        let batch = Batch::from_requests(vec![Request::new(&schema).set("id", id)]).unwrap();
        let (reply, _) = oneshot::channel();
        let fate = Arc::new(Fate::new(None));
        Message::Write(Job { batch, attempt: Attempt::new(), fate, reply })
    }

    fn id(job: &Job) -> Option<i64> {
        job.batch.request(0)?.get("id").unwrap()
    }

    /// Which batches join, and what then waits: batches by their number, and calls.
    fn joining(messages: Vec<Message>) -> (Vec<i64>, Vec<Option<i64>>) {
        let (sender, mut inbox) = mpsc::channel(QUEUE);
        for message in messages {
            sender.try_send(message).unwrap();
        }
        let mut held = None;
        let joined = std::iter::from_fn(|| next_write(&mut inbox, &mut held));
        let joined = joined.map(|job| id(&job).unwrap()).collect();
        let waiting = held.into_iter().chain(std::iter::from_fn(|| inbox.try_recv().ok()));
        let waiting = waiting.map(|message| match message {
            Message::Write(job) => id(&job),
            Message::Call(_) => None,
        });
        (joined, waiting.collect())
    }

    #[test]
    fn a_batch_joins_a_commit_where_something_waits_behind_it_and_nothing_before() {
        let call = || Message::Call(Box::new(|_| ()));
        assert_eq!(joining(vec![]), (vec![], vec![]));
        assert_eq!(joining(vec![job(1)]), (vec![], vec![Some(1)]));
        assert_eq!(joining(vec![job(1), job(2), job(3)]), (vec![1, 2], vec![Some(3)]));
        assert_eq!(joining(vec![job(1), call(), job(2)]), (vec![1], vec![None, Some(2)]));
        assert_eq!(joining(vec![call(), job(1), job(2)]), (vec![], vec![None, Some(1), Some(2)]));
    }
}
