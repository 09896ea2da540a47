#![allow(dead_code, reason = "each benchmark uses a part of this")]
//! The row that core's benchmarks send: 5 columns, 2 of them text.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use batchflow_core::metrics::{BatchEvent, Metrics, SubmitEvent};
use batchflow_core::{Batch, BatchFlow, ConflictStrategy, Request, Schema, WriteError, driver_fn};

/// The row as a program has it before it makes a request of it.
pub(crate) type Row = (i64, String, String, i64, f64);

pub(crate) fn schema() -> Schema {
    let users = Schema::builder("users")
        .columns(["id", "name", "email", "hits", "score"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update);
    users.build().expect("the schema is sound")
}

pub(crate) fn row(id: i64) -> Row {
    (id, format!("user number {id}"), format!("user{id}@example.com"), id % 97, id as f64 / 2.0)
}

pub(crate) fn request(schema: &Schema, id: i64) -> Request {
    schema.row(row(id)).expect("the row fits the schema")
}

/// The key of the `n`th row: every tenth row has the key of the one before it, and is merged.
pub(crate) fn key(n: i64) -> i64 {
    if n % 10 == 9 { n - 1 } else { n }
}

/// Metrics that add up the time of submits and batches, as an adapter does.
#[derive(Debug, Default)]
struct Times {
    submits: AtomicU64,
    batches: AtomicU64,
}

impl Metrics for Times {
    fn submit(&self, event: &SubmitEvent) {
        self.submits.fetch_add(event.duration.as_nanos() as u64, Ordering::Relaxed);
    }

    fn batch(&self, event: &BatchEvent<'_>) {
        self.batches.fetch_add(event.duration.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// A flow whose driver does nothing, with room for `rows` before `submit` waits.
pub(crate) fn flow(rows: usize) -> BatchFlow {
    flow_with(rows, false)
}

/// The same, with metrics that listen or without.
pub(crate) fn flow_with(rows: usize, metered: bool) -> BatchFlow {
    let driver = driver_fn("nothing", async |_: Batch| Ok::<_, WriteError>(()));
    let flow = BatchFlow::builder(driver)
        .flush_size(1_000)
        .flush_interval(Duration::from_millis(100))
        .buffer_size(rows)
        .buffer_bytes(rows * 1_024);
    let flow = if metered { flow.metrics(Times::default()) } else { flow };
    flow.build().expect("the flow is sound")
}
