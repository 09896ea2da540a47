//! [`Probe`]: watches what a driver is handed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::batch::Batch;
use crate::driver::{
    Attempt, Capabilities, CommitToken, Comparison, Driver, Report, Settled, TableInfo, WriteError,
};
use crate::schema::{ConflictStrategy, Schema};
use crate::value::Value;

use super::store::identity;

/// Watches what a driver is handed: how much at once, and whether every batch is as the
/// [`Driver`] contract says. Whatever it finds wrong, it keeps for the test to assert on.
///
/// ```
/// use std::sync::Arc;
/// use batchflow_core::testing::{MemoryDriver, Probe};
///
/// let driver = Arc::new(Probe::new(MemoryDriver::new()));
/// // … a flow is built on `driver.clone()` and used …
/// assert_eq!(driver.violations(), Vec::<String>::new());
/// assert!(driver.most_rows() <= 10_000);
/// ```
#[derive(Debug)]
pub struct Probe<D> {
    inner: D,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    rows: usize,
    bytes: usize,
    in_flight: usize,
    attempts: usize,
    most_rows: usize,
    most_bytes: usize,
    most_attempts: usize,
    keys: HashSet<(Schema, Vec<Vec<u8>>)>,
    violations: Vec<String>,
}

impl<D: Driver> Probe<D> {
    /// Watches what `inner` is handed.
    pub fn new(inner: D) -> Self {
        Self { inner, seen: Arc::default() }
    }

    /// The driver within.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// What broke the contract so far: batches too large for the declared limits, unsorted, with
    /// a key twice, or with a key that another attempt in flight has.
    pub fn violations(&self) -> Vec<String> {
        self.seen().violations.clone()
    }

    /// How many attempts there were.
    pub fn attempts(&self) -> usize {
        self.seen().attempts
    }

    /// The most attempts that were in flight at one time.
    pub fn most_attempts(&self) -> usize {
        self.seen().most_attempts
    }

    /// The most rows that were in flight at one time.
    pub fn most_rows(&self) -> usize {
        self.seen().most_rows
    }

    /// The most bytes that were in flight at one time, as
    /// [`Request::size_bytes`](crate::Request::size_bytes) counts.
    pub fn most_bytes(&self) -> usize {
        self.seen().most_bytes
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, batch: &Batch, attempt: &Attempt) -> InFlight {
        let keys = keys(batch);
        let mut seen = self.seen();
        let mut wrong = oversized(batch, self.inner.capabilities());
        let ordered = batch.schema().strategy() != ConflictStrategy::Fail;
        if ordered && batch.has_distinct_keys() && !sorted(batch) {
            wrong.push("its rows are not sorted by key");
        }
        let unique: HashSet<_> = keys.iter().flatten().collect();
        if ordered && batch.has_distinct_keys() && unique.len() < keys.iter().flatten().count() {
            wrong.push("two of its rows have one key");
        }
        let mut held = Vec::with_capacity(unique.len());
        for key in unique {
            let entry = (batch.schema().clone(), key.clone());
            if seen.keys.insert(entry.clone()) {
                held.push(entry);
            } else {
                wrong.push("another attempt in flight has one of its keys");
            }
        }
        let table = batch.schema().table();
        let id = attempt.id();
        seen.violations.extend(wrong.iter().map(|why| format!("attempt {id} on {table}: {why}")));
        let (rows, bytes) = (batch.len(), batch.size_bytes());
        seen.rows += rows;
        seen.bytes += bytes;
        seen.in_flight += 1;
        seen.attempts += 1;
        seen.most_rows = seen.most_rows.max(seen.rows);
        seen.most_bytes = seen.most_bytes.max(seen.bytes);
        seen.most_attempts = seen.most_attempts.max(seen.in_flight);
        InFlight { rows, bytes, held, seen: Arc::clone(&self.seen) }
    }
}

fn oversized(batch: &Batch, limits: Capabilities) -> Vec<&'static str> {
    let parameters = batch.len() * batch.columns().len();
    let mut wrong = Vec::new();
    if batch.is_empty() {
        wrong.push("it is empty");
    }
    if limits.max_rows().is_some_and(|most| batch.len() > most) {
        wrong.push("it has more rows than the driver declares");
    }
    if batch.len() > 1 && limits.max_parameters().is_some_and(|most| parameters > most) {
        wrong.push("it has more parameters than the driver declares");
    }
    if batch.len() > 1 && limits.max_bytes().is_some_and(|most| batch.size_bytes() > most) {
        wrong.push("it has more bytes than the driver declares");
    }
    wrong
}

/// Each row's key as its values' plain identity; `None` for a row without one.
fn keys(batch: &Batch) -> Vec<Option<Vec<Vec<u8>>>> {
    let key = batch.schema().key();
    let of = |row: &crate::request::Request| {
        let value =
            |&at: &usize| identity(Comparison::Natural, row.value(at).unwrap_or(&Value::Null));
        if key.is_empty() { None } else { key.iter().map(value).collect() }
    };
    batch.requests().map(of).collect()
}

/// Whether a batch whose keys are all integers, or all text, is in their order.
fn sorted(batch: &Batch) -> bool {
    let &[column] = batch.schema().key() else { return true };
    let integers = batch.requests().map(|row| match row.value(column) {
        Some(Value::I64(v)) => Some(i128::from(*v)),
        Some(Value::U64(v)) => Some(i128::from(*v)),
        _ => None,
    });
    match integers.collect::<Option<Vec<i128>>>() {
        Some(keys) => keys.is_sorted(),
        None => true,
    }
}

/// Counts an attempt out, also when its future is dropped.
struct InFlight {
    rows: usize,
    bytes: usize,
    held: Vec<(Schema, Vec<Vec<u8>>)>,
    seen: Arc<Mutex<Seen>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.rows -= self.rows;
        seen.bytes -= self.bytes;
        seen.in_flight -= 1;
        for key in &self.held {
            seen.keys.remove(key);
        }
    }
}

#[async_trait]
impl<D: Driver> Driver for Probe<D> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        let _in_flight = self.enter(&batch, attempt);
        self.inner.write(batch, attempt).await
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        self.inner.describe(schema).await
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        self.inner.settle(token).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
