//! Promise 6: bounded memory, with the database stalled too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use batchflow_core::dead_letter::{DeadLetter, DeadLetterError, DeadLetterSink};
use batchflow_core::testing::{Fault, Gate, MemoryDriver};
use batchflow_core::{
    Attempt, Batch, BatchFlow, Capabilities, ConflictStrategy, Driver, Merge, Outcome, Report,
    Request, RetryPolicy, Schema, TableInfo, WriteError,
};
use tokio::task::JoinSet;

use crate::support::{HOUR, MILLI, SECOND, memory, row, schema, users, watched};

/// Twenty submitters against a database that answers nothing for ten minutes: they wait, nothing
/// is dropped, and no bound is exceeded at any moment.
#[tokio::test(start_paused = true)]
async fn promise_6_a_driver_stalled_for_ten_minutes_exceeds_no_bound() {
    let (rows, bytes) = (100, 20_000);
    let driver = watched();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.inner().each(move |_, _| Fault::Wait(rule.clone()));
    let flow = BatchFlow::builder(driver.clone())
        .flush_size(10)
        .buffer_size(rows)
        .buffer_bytes(bytes)
        .retry(RetryPolicy::default().give_up_after(HOUR))
        .build()
        .unwrap();
    let submitted = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..20_i64 {
        let (flow, submitted) = (flow.clone(), submitted.clone());
        tasks.spawn(async move {
            for number in 0..50 {
                let name = "x".repeat(((task * 7 + number) % 90) as usize);
                flow.submit(row(&users(), task * 50 + number, &name)).await.unwrap();
                submitted.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..600 {
        tokio::time::sleep(SECOND).await;
        let stats = flow.stats();
        assert!(stats.is_conserved());
        assert!(stats.pending <= rows as u64 && stats.pending_bytes <= bytes as u64, "{stats:?}");
        assert!(driver.most_rows() <= rows && driver.most_bytes() <= bytes);
    }
    let held = submitted.load(Ordering::Relaxed);
    assert!((50..=100).contains(&held), "{held} rows fill the buffer, and the rest waits");
    gate.open();
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert!(flow.close().await.unwrap().all_written());
    assert_eq!(memory(&driver).len("users"), 1_000);
}

/// Rows are counted to the row and to the byte, however often and however seldom anyone looks.
#[tokio::test(start_paused = true)]
async fn promise_6_every_row_is_counted_at_every_moment() {
    for (rows, bytes) in [(40, 1 << 20), (1_000, 4_000)] {
        for look in [1, 7, 1_000] {
            let driver = watched();
            let gate = Gate::closed();
            let rule = gate.clone();
            driver.inner().each(move |_, _| Fault::Wait(rule.clone()));
            let flow = BatchFlow::builder(driver).buffer_size(rows).buffer_bytes(bytes);
            let flow = flow.timeout(HOUR).build().unwrap();
            let (mut pending, mut held) = (0_u64, 0_u64);
            let counted = |pending: u64, held: u64| {
                let stats = flow.stats();
                assert_eq!((stats.pending, stats.pending_bytes), (pending, held), "every {look}");
                assert!(stats.pending * 4 <= rows as u64 * 3, "{stats:?}");
                assert!(stats.pending_bytes * 4 <= bytes as u64 * 3, "{stats:?}");
            };
            loop {
                let next = row(&users(), pending as i64, &"x".repeat(pending as usize % 30));
                let size = next.size_bytes() as u64;
                if flow.try_submit(next).is_err() {
                    break;
                }
                (pending, held) = (pending + 1, held + size);
                if pending.is_multiple_of(look) {
                    counted(pending, held);
                    tokio::time::sleep(MILLI).await;
                }
            }
            counted(pending, held);
            gate.open();
            assert!(flow.close().await.unwrap().all_written());
        }
    }
}

/// A merged row counts for each of the rows it was made of until its verdict.
#[tokio::test(start_paused = true)]
async fn promise_6_merged_rows_are_counted_until_their_verdict() {
    let driver = watched();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.inner().each(move |_, _| Fault::Wait(rule.clone()));
    let flow = BatchFlow::builder(driver.clone()).buffer_size(40).timeout(HOUR).build().unwrap();
    let other = schema("other", ConflictStrategy::Ignore);
    flow.submit(row(&other, 1, "other")).await.unwrap();
    let mut queued = 0;
    while flow.try_submit(row(&users(), 1, "same")).is_ok() {
        queued += 1;
        tokio::time::sleep(MILLI).await;
    }
    assert_eq!(queued, 30, "three quarters of the buffer");
    assert_eq!(flow.stats().pending, 31);
    gate.open();
    assert!(flow.close().await.unwrap().all_written());
}

/// Holds its first batch until the gate opens, and then says that the table has changed.
#[derive(Debug)]
struct Changing {
    tables: MemoryDriver,
    gate: Gate,
}

#[async_trait]
impl Driver for Changing {
    fn backend(&self) -> &'static str {
        "changing"
    }

    fn capabilities(&self) -> Capabilities {
        self.tables.capabilities()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        if self.tables.is_empty("t") {
            self.gate.passed().await;
            attempt.note_table(0);
        }
        self.tables.write(batch, attempt).await
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        self.tables.describe(schema).await
    }
}

/// A row that is made of two is counted beside them while it waits, and not made where there is no
/// room for it.
#[tokio::test(start_paused = true)]
async fn promise_6_a_row_made_of_others_is_counted_beside_them() {
    let counts = Schema::builder("t").columns(["id", "text", "hits"]).key(["id"]);
    let counts = counts.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add);
    let counts = counts.build().unwrap();
    let text = "x".repeat(1_000);
    let large = || counts.row((1_i64, text.as_str(), 1_i64)).unwrap();
    let small = || Request::new(&counts).set("id", 1_i64).set("hits", 1_i64);
    let (a, b) = (large().size_bytes(), small().size_bytes());
    for (spare, made_of_others) in [(a, a), (a - 1, 0)] {
        // One schema may hold three quarters of the buffer.
        let held = 2 * b + a + spare;
        let buffer = (held..2 * held).find(|buffer| buffer - buffer / 4 == held).unwrap();
        let gate = Gate::closed();
        let driver = Changing { tables: MemoryDriver::new(), gate: gate.clone() };
        let driver = Arc::new(driver);
        let flow = BatchFlow::builder(driver.clone()).flush_size(2).flush_interval(HOUR);
        let flow = flow.buffer_bytes(buffer).timeout(HOUR).build().unwrap();
        let first = flow.submit_tracked(small().set("id", 0_i64)).await.unwrap();
        tokio::time::sleep(SECOND).await;
        flow.submit(large()).await.unwrap();
        flow.submit(small()).await.unwrap();
        tokio::time::sleep(SECOND).await;
        let pending_bytes = || flow.stats().pending_bytes as usize;
        assert_eq!(pending_bytes(), b + a + b + made_of_others);
        // They are merged anew, by what the table is then; the first row has left its room.
        gate.open();
        assert_eq!(first.await.unwrap(), Outcome::Written);
        tokio::time::sleep(SECOND).await;
        assert_eq!(pending_bytes(), a + b + a);
        assert_eq!(flow.flush().await.unwrap().written, 1);
        let stats = flow.close().await.unwrap().stats;
        assert_eq!((stats.pending_bytes, stats.superseded), (0, 1));
        let hits = driver.tables.value("t", [1_i64], "hits");
        assert_eq!(hits, Some(2_i64.into()));
    }
}

/// One schema stalled: it fills three quarters of the buffer, and the other flows.
#[tokio::test(start_paused = true)]
async fn promise_6_one_stalled_schema_leaves_a_quarter_of_the_buffer_to_the_others() {
    let driver = watched();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.inner().each(move |batch, _| match batch.schema().table().name() {
        "stalled" => Fault::Wait(rule.clone()),
        _ => Fault::Pass,
    });
    let flow = BatchFlow::builder(driver.clone())
        .flush_size(1_000)
        .flush_interval(10 * MILLI)
        .buffer_size(80)
        .concurrency(2)
        .timeout(HOUR)
        .build()
        .unwrap();
    let [stalled, flowing] =
        ["stalled", "flowing"].map(|table| schema(table, ConflictStrategy::Ignore));
    // One batch of the stalled schema is in flight, and the same key keeps the rest behind it.
    let mut stuck = 0;
    while flow.try_submit(row(&stalled, 1, "x")).is_ok() {
        stuck += 1;
        tokio::time::sleep(20 * MILLI).await;
    }
    assert_eq!(stuck, 60);
    for id in 0..500 {
        let waited = tokio::time::timeout(SECOND, flow.submit(row(&flowing, id, "x"))).await;
        waited.expect("the other schema is not held up").unwrap();
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(memory(&driver).len("flowing"), 500);
    assert_eq!(flow.stats().pending, 60);
    gate.open();
    assert!(flow.close().await.unwrap().all_written());
}

#[tokio::test(start_paused = true)]
async fn promise_6_a_row_larger_than_the_buffer_fails_at_submit() {
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone()).buffer_bytes(10_000).build().unwrap();
    let huge = row(&users(), 1, &"x".repeat(10_000));
    let refused = flow.submit(huge.clone()).await.unwrap_err();
    assert!(refused.is_invalid() && refused.into_request() == huge);
    let large = flow.submit_tracked(row(&users(), 1, &"x".repeat(7_000))).await;
    match large {
        Ok(receipt) => assert_eq!(receipt.await.unwrap(), Outcome::Written),
        // Or refused at once, if a single schema's share is the limit: never left waiting.
        Err(error) => assert!(error.is_invalid()),
    }
}

/// A row that fits the buffer but not one schema's share of it must not wait for ever.
#[tokio::test(start_paused = true)]
async fn promise_6_a_row_between_the_share_and_the_buffer_is_taken_or_refused() {
    let flow = BatchFlow::builder(watched()).buffer_bytes(10_000).build().unwrap();
    let waited = tokio::time::timeout(HOUR, flow.submit(row(&users(), 1, &"x".repeat(9_000))));
    assert!(waited.await.is_ok(), "promise 9: the submit waits for room that never comes");
}

#[tokio::test(start_paused = true)]
async fn promise_6_a_row_larger_than_a_batch_goes_alone() {
    let driver = watched();
    let flow =
        BatchFlow::builder(driver.clone()).flush_bytes(2_000).flush_interval(HOUR).build().unwrap();
    for id in 0..30 {
        let length = if id == 11 { 50_000 } else { 10 };
        flow.submit(row(&users(), id, &"x".repeat(length))).await.unwrap();
    }
    assert_eq!(flow.flush().await.unwrap().written, 30);
    for batch in memory(&driver).batches() {
        assert!(batch.size_bytes() <= 2_000 || batch.len() == 1, "{} bytes", batch.size_bytes());
    }
}

/// A dead-letter sink that takes nothing.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl DeadLetterSink for Stuck {
    async fn deliver(&self, _: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        std::future::pending().await
    }
}

/// Tables that are not there: their rows become letters, as many as the buffer holds and no more,
/// until the sink has taken them.
#[tokio::test(start_paused = true)]
async fn promise_6_letters_of_missing_tables_stay_within_the_buffer() {
    for tables in [1, 8] {
        let driver = Arc::new(MemoryDriver::with_tables([]));
        let flow = BatchFlow::builder(driver).buffer_size(100).flush_size(10);
        let flow = flow.dead_letters(Stuck).build().unwrap();
        for table in 0..tables {
            let flow = flow.clone();
            let schema = schema(&format!("t{table}"), ConflictStrategy::Ignore);
            tokio::spawn(async move {
                for id in 0.. {
                    if flow.submit(row(&schema, id, "x")).await.is_err() {
                        break;
                    }
                }
            });
        }
        tokio::time::sleep(60 * SECOND).await;
        let backlog = flow.health().dead_letter_backlog;
        assert!((1..=100).contains(&backlog), "{backlog} letters, {:?}", flow.stats());
        assert!(!flow.health().stalled.is_empty());
        let summary = flow.close_within(10 * SECOND).await.unwrap();
        assert_eq!((summary.stats.pending, summary.undelivered), (0, backlog as u64));
        assert!(summary.stats.is_conserved());
    }
}

/// A large row that waits for its key takes no room in a batch, and gives none.
#[tokio::test(start_paused = true)]
async fn promise_6_no_batch_exceeds_its_bytes_because_a_row_waits_for_its_key() {
    let driver = watched();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.inner().each(move |_, _| Fault::Wait(rule.clone()));
    let builder = BatchFlow::builder(driver.clone()).flush_bytes(1_000).concurrency(2);
    let flow = builder.flush_interval(MILLI).merge(false).build().unwrap();
    let logs = schema("logs", ConflictStrategy::Fail);
    let keyed = Schema::builder("logs").columns(["id", "name"]).key(["id"]);
    let keyed = keyed.on_conflict(logs.strategy()).build().unwrap();
    let submit = async |id, name: &str| flow.submit(row(&keyed, id, name)).await.unwrap();
    submit(1, &"a".repeat(300)).await;
    submit(1, &"A".repeat(5_000)).await;
    for id in 2..30 {
        submit(id, &"b".repeat(300)).await;
    }
    tokio::time::sleep(SECOND).await;
    gate.open();
    flow.flush().await.unwrap();
    for batch in memory(&driver).batches() {
        assert!(batch.size_bytes() <= 1_000 || batch.len() == 1, "{} bytes", batch.size_bytes());
    }
    assert_eq!(driver.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn promise_6_a_throttle_of_one_s_own_bounds_first_attempts_too() {
    use batchflow_core::executor::{Drive, Throttle, Timeout};
    let driver = watched();
    driver.inner().each(|_, _| Fault::Delay(SECOND, Box::new(Fault::Pass)));
    let drive = Timeout::new(Arc::new(Drive::new(driver.clone())), HOUR);
    let throttle = Throttle::new(Arc::new(drive), 2);
    let flow = BatchFlow::builder_with(throttle).flush_size(1).concurrency(4).build().unwrap();
    for id in 0..20 {
        flow.submit(row(&users(), id, "x")).await.unwrap();
    }
    assert!(flow.close().await.unwrap().all_written());
    assert_eq!(driver.most_attempts(), 2);
}
