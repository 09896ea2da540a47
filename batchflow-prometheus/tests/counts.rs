//! After many rows with failures on the way, every counter says what happened.
#![allow(clippy::unwrap_used, clippy::float_cmp, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batchflow_core::dead_letter::{DeadLetter, callback};
use batchflow_core::testing::{Blame, Fault, FaultDriver, MemoryDriver};
use batchflow_core::{
    Applied, Attempt, Batch, BatchFlow, Capabilities, ConflictStrategy, Driver, ErrorKind, Outcome,
    Report, RetryPolicy, RowError, Schema, TableInfo, WriteError,
};
use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{Options, PrometheusMetrics, encode};
use support::Scrape;

/// A build that is not optimised takes a tenth of the rows.
const ROWS: i64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

/// Counts by a few words.
#[derive(Clone, Debug, Default)]
struct Book(Arc<Mutex<BTreeMap<String, u64>>>);

impl Book {
    fn add(&self, what: impl Into<String>, count: u64) {
        *self.0.lock().unwrap().entry(what.into()).or_default() += count;
    }

    fn get(&self, what: &str) -> f64 {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default() as f64
    }

    fn count(&self, prefix: &str) -> f64 {
        self.0.lock().unwrap().keys().filter(|what| what.starts_with(prefix)).count() as f64
    }

    fn sum(&self, prefix: &str) -> f64 {
        let counts = self.0.lock().unwrap();
        let own = counts.iter().filter(|(what, _)| what.starts_with(prefix));
        own.map(|(_, count)| *count).sum::<u64>() as f64
    }
}

/// A driver that keeps its own book.
#[derive(Debug)]
struct Counted {
    inner: FaultDriver<MemoryDriver>,
    book: Book,
}

#[async_trait::async_trait]
impl Driver for Counted {
    fn backend(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        let rows = batch.len() as u64;
        let way = if rows > 100 { "large" } else { "small" };
        attempt.writes_by(way, rows.min(3));
        self.book.add(format!("attempts {way}"), 1);
        self.book.add(format!("statement {}", rows.min(3)), 1);
        let written = self.inner.write(batch, attempt).await;
        match &written {
            Ok(report) => {
                self.book.add("affected", report.affected().unwrap());
                self.book.add("ignored", rows - report.affected().unwrap());
                self.book.add("rows written", rows);
            }
            Err(error) => {
                self.book.add(format!("failures {}", error.kind()), 1);
                self.book.add(format!("failed {way}"), 1);
                if error.kind() == ErrorKind::Constraint && rows > 1 {
                    self.book.add("splits", 1);
                }
                if error.applied() == Applied::Unknown {
                    self.book.add("unknown", rows);
                } else if error.kind().is_transient() {
                    self.book.add("retries", 1);
                    self.book.add("retried rows", rows);
                }
            }
        }
        written
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        self.book.add("describes", 1);
        self.inner.describe(schema).await
    }
}

#[tokio::test(start_paused = true)]
#[allow(clippy::too_many_lines, reason = "one list of what must be equal")]
async fn after_many_rows_and_failures_every_counter_says_what_happened() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry, Options::default());
    let book = Book::default();
    let driver = FaultDriver::new(MemoryDriver::new());
    let mut attempts = 0_u64;
    driver.each(move |batch, _| {
        attempts += 1;
        match attempts {
            // Appended twice, its rows would be there twice.
            n if n % 5 == 0 && batch.schema().table().name() == "log" => {
                Fault::LoseAnswer(ErrorKind::Connection.into())
            }
            n if n % 13 == 0 => Fault::fail(ErrorKind::Deadlock),
            n if n % 31 == 0 => Fault::fail(ErrorKind::Connection),
            n if n % 57 == 0 => Fault::Delay(Duration::from_millis(20), Box::new(Fault::Pass)),
            _ => Fault::Pass,
        }
    });
    driver.refuse(ErrorKind::Constraint, Blame::First, |row| {
        row.get::<i64>("id").is_ok_and(|id| id.is_some_and(|id| id % 20_011 == 5))
    });
    let letters = book.clone();
    let sink = callback(move |letter: DeadLetter| {
        let kind = letter.error().error().kind();
        letters.add(format!("letters {} {kind}", letter.error().as_str()), 1);
    });
    let flow = BatchFlow::builder(Counted { inner: driver, book: book.clone() })
        .flush_size(400)
        .buffer_size(4_000)
        .buffer_bytes(8 << 20)
        .retry(RetryPolicy::default().seed(7))
        .dead_letters(sink)
        .metrics(metrics)
        .build()
        .unwrap();
    let t = Schema::new("t", ConflictStrategy::Ignore, ["id", "n"]).unwrap();
    let log = Schema::new("log", ConflictStrategy::Fail, ["n"]).unwrap();
    let mut receipts = Vec::new();
    for n in 0..ROWS {
        // Every tenth row has the key of an earlier one; the flow refuses some, too.
        let id = if n % 10 == 9 { n / 2 } else { n };
        let row = if n % 7 == 0 { log.row((n,)).unwrap() } else { t.row((id, n)).unwrap() };
        if n % 10_000 == 0 {
            let tall = t.row((id, "x".repeat(9 << 20))).unwrap();
            assert!(flow.try_submit(tall).unwrap_err().is_invalid());
            book.add("refused too_large", 1);
        }
        if n % 3 == 0 {
            match flow.try_submit(row) {
                Ok(()) => book.add("submitted", 1),
                Err(error) => {
                    assert!(error.is_full());
                    book.add("refused full", 1);
                }
            }
        } else if n % 997 == 0 {
            receipts.push(flow.submit_tracked(row).await.unwrap());
            book.add("submitted", 1);
        } else {
            flow.submit(row).await.unwrap();
            book.add("submitted", 1);
        }
        if n % 50_000 == 777 {
            flow.flush().await.unwrap();
        }
    }
    let summary = flow.close().await.unwrap();
    for receipt in receipts {
        match receipt.await {
            Ok(Outcome::Written | Outcome::Superseded) => {}
            Err(RowError::Rejected(error)) => assert_eq!(error.kind(), ErrorKind::Constraint),
            Err(RowError::Unknown(error)) => assert_eq!(error.kind(), ErrorKind::Connection),
            other => panic!("{other:?}"),
        }
    }
    let scrape = Scrape::parse(&encode(&registry));
    let got =
        |name: &str, labels: &[(&str, &str)]| scrape.sum(&format!("batchflow_{name}"), labels);
    let stats = summary.stats;
    assert!(stats.rejected > 0 && stats.superseded > 0 && stats.unknown > 0);
    let all = [
        ("submitted", got("rows_submitted_total", &[]), book.get("submitted")),
        ("settled", got("rows_settled_total", &[]), book.get("submitted")),
        ("written", got("rows_settled_total", &[("outcome", "written")]), stats.written as f64),
        (
            "superseded",
            got("rows_settled_total", &[("outcome", "superseded")]),
            stats.superseded as f64,
        ),
        (
            "rejected",
            got("rows_settled_total", &[("outcome", "rejected")]),
            book.get("letters rejected constraint"),
        ),
        ("unknown", got("rows_settled_total", &[("outcome", "unknown")]), book.get("unknown")),
        (
            "unknown letters",
            got("rows_settled_total", &[("outcome", "unknown")]),
            book.get("letters unknown connection"),
        ),
        ("pending", got("pending_rows", &[]), 0.0),
        ("in flight", got("batches_in_flight", &[]), 0.0),
        ("drift", got("integrity_drift_rows", &[]), 0.0),
        (
            "too large",
            got("submits_refused_total", &[("reason", "too_large")]),
            book.get("refused too_large"),
        ),
        ("full", got("submits_refused_total", &[("reason", "full")]), book.get("refused full")),
        ("waits", got("submits_waited_total", &[]), got("submit_wait_seconds_count", &[])),
        ("attempts", got("attempts_total", &[]), book.sum("attempts ")),
        ("large", got("attempts_total", &[("way", "large")]), book.get("attempts large")),
        ("failed", got("attempts_total", &[("result", "error")]), book.sum("failed ")),
        ("timed", got("attempt_duration_seconds_count", &[]), book.sum("attempts ")),
        (
            "deadlocks",
            got("failures_total", &[("kind", "deadlock"), ("stage", "write")]),
            book.get("failures deadlock"),
        ),
        (
            "connections",
            got("failures_total", &[("kind", "connection")]),
            book.get("failures connection"),
        ),
        ("failures", got("failures_total", &[]), book.sum("failures ")),
        ("retries", got("retries_total", &[]), book.get("retries")),
        ("retried rows", got("retried_rows_total", &[]), book.get("retried rows")),
        ("splits", got("splits_total", &[("kind", "constraint")]), book.get("splits")),
        ("letters", got("dead_letters_total", &[]), book.sum("letters ")),
        (
            "delivered",
            got("dead_letters_handled_total", &[("result", "delivered")]),
            book.sum("letters "),
        ),
        ("affected", got("rows_affected_total", &[]), book.get("affected")),
        ("ignored", got("rows_ignored_total", &[]), book.get("ignored")),
        (
            "rows written",
            got("batch_rows_settled_total", &[("verdict", "written")]),
            book.get("rows written"),
        ),
        ("lookups", got("lookup_duration_seconds_count", &[]), book.get("describes")),
        ("statements", got("distinct_statements", &[]), book.count("statement ")),
        // What was queued was taken, merged and sent, each row once.
        ("taken", got("flush_rows_sum", &[]), book.get("submitted")),
        ("flushes", got("flushes_total", &[]), got("flush_rows_count", &[])),
        ("batches", got("batches_total", &[]), got("batch_wait_seconds_count", &[])),
    ];
    for (what, counted, happened) in all {
        assert_eq!(counted, happened, "{what}");
        println!("{what}: {counted}");
    }
}
