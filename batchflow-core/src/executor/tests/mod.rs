//! The executors, one by one and together, over scripted ones and under a paused clock.

mod honesty;
mod isolate;
mod order;
mod retry;
mod settle;
mod stack;
mod timeout;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Executor;
use crate::batch::Batch;
use crate::driver::{
    Attempt, Capabilities, CommitToken, Driver, ErrorKind, Report, Settled, Verdict, WriteError,
};
use crate::schema::{ConflictStrategy, Merge, Schema};

/// An idempotent batch: rows `0..rows` of a table keyed by `id`.
fn batch(rows: i64) -> Batch {
    batch_under(ConflictStrategy::Ignore, rows)
}

fn batch_under(strategy: ConflictStrategy, rows: i64) -> Batch {
    batch_of(&Schema::new("t", strategy, ["id"]).unwrap(), rows)
}

/// Rows whose writing twice adds twice.
fn adding(rows: i64) -> Batch {
    let schema = Schema::builder("t")
        .columns(["id", "hits"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .merge("hits", Merge::Add)
        .build()
        .unwrap();
    let rows = (0..rows).map(|id| schema.row((id, 1_i64)).unwrap());
    Batch::from_requests(rows.collect()).unwrap()
}

fn batch_of(schema: &Schema, rows: i64) -> Batch {
    Batch::from_requests((0..rows).map(|id| schema.row((id,)).unwrap()).collect()).unwrap()
}

fn ids(batch: &Batch) -> Vec<i64> {
    batch.requests().map(|request| request.get("id").unwrap().unwrap()).collect()
}

fn error(kind: ErrorKind) -> WriteError {
    WriteError::new(kind)
}

fn not_applied(kind: ErrorKind) -> Report {
    Report::same(Verdict::NotApplied(error(kind)))
}

fn unknown(kind: ErrorKind) -> Report {
    Report::same(Verdict::Unknown(error(kind).outcome_unknown()))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A report in words: `"written"`, `"rejected data"`, `"not_applied connection"`, …
fn words(report: &Report, rows: usize) -> Vec<String> {
    let word = |row| match report.verdict(row) {
        None => "no verdict".to_owned(),
        Some(Verdict::Written) => "written".to_owned(),
        Some(Verdict::Rejected(error)) => format!("rejected {}", error.kind()),
        Some(Verdict::NotApplied(error)) => format!("not_applied {}", error.kind()),
        Some(Verdict::Unknown(error)) => format!("unknown {}", error.kind()),
    };
    (0..rows).map(word).collect()
}

/// One word for a report that says one of all rows.
fn word(report: &Report, rows: usize) -> String {
    let mut words = words(report, rows);
    words.dedup();
    words.join(", ")
}

/// What an executor or a driver was called with.
#[derive(Clone, Debug)]
struct Call {
    ids: Vec<i64>,
    number: u32,
    at: Instant,
}

impl Call {
    fn new(batch: &Batch, attempt: &Attempt) -> Self {
        Self { ids: ids(batch), number: attempt.number(), at: Instant::now() }
    }
}

type Written = Result<Report, WriteError>;
type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An executor that answers as a closure does, and remembers its calls.
struct Script {
    answer: Box<dyn Fn(Batch, Attempt) -> Answer<Report> + Send + Sync>,
    calls: Mutex<Vec<Call>>,
}

impl Script {
    fn new<F>(answer: impl Fn(Batch, Attempt) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Report> + Send + 'static,
    {
        let answer = Box::new(move |batch, attempt| Box::pin(answer(batch, attempt)) as Answer<_>);
        Arc::new(Self { answer, calls: Mutex::default() })
    }

    /// These answers, one a call; the last one again and again.
    fn of(answers: impl IntoIterator<Item = Report>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
        Self::new(move |_, _| std::future::ready(next(&answers)))
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn next<T: Clone>(answers: &Mutex<VecDeque<T>>) -> T {
    let mut answers = answers.lock().unwrap();
    if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

#[async_trait]
impl Executor for Script {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        self.calls.lock().unwrap().push(Call::new(&batch, attempt));
        (self.answer)(batch, attempt.clone()).await
    }
}

/// A driver that writes as a closure does, and settles by a list of answers.
struct ScriptDriver {
    write: Box<dyn Fn(Batch, Attempt) -> Answer<Written> + Send + Sync>,
    settle: Option<Mutex<VecDeque<Result<Settled, WriteError>>>>,
    asked: Mutex<Vec<Instant>>,
}

impl ScriptDriver {
    fn new<F>(write: impl Fn(Batch, Attempt) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Report, WriteError>> + Send + 'static,
    {
        let write = Box::new(move |batch, attempt| Box::pin(write(batch, attempt)) as Answer<_>);
        Self { write, settle: None, asked: Mutex::default() }
    }

    /// Settles with these answers, one a question; the last one again and again.
    fn settling(mut self, answers: impl IntoIterator<Item = Result<Settled, WriteError>>) -> Self {
        self.settle = Some(Mutex::new(answers.into_iter().collect()));
        self
    }

    fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }
}

impl fmt::Debug for ScriptDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptDriver")
    }
}

#[async_trait]
impl Driver for ScriptDriver {
    fn backend(&self) -> &'static str {
        "script"
    }

    fn capabilities(&self) -> Capabilities {
        match self.settle {
            Some(_) => Capabilities::none().with_settle(),
            None => Capabilities::none(),
        }
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        (self.write)(batch, attempt.clone()).await
    }

    async fn settle(&self, _: &CommitToken) -> Result<Settled, WriteError> {
        self.asked.lock().unwrap().push(Instant::now());
        match next(self.settle.as_ref().unwrap()) {
            Err(error) if error.kind() == ErrorKind::Internal => panic!("settling"),
            Err(error) if error.kind() == ErrorKind::Timeout => std::future::pending().await,
            answer => answer,
        }
    }
}
