//! What `BatchWriter` promises, on drivers without a server.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod replay;

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use batchflow_core::dead_letter::{self, DeadLetter, DeadLetterError, DeadLetterSink};
use batchflow_core::testing::{
    Blame, Column, Fault, FaultDriver, MemoryDriver, Probe, RandomFaults, Table,
};
use batchflow_core::{
    BatchWriter, Capabilities, ColumnKind, Comparison, ConflictStrategy, ErrorKind, Request,
    RowError, Schema, Value, WriteError, WriteSummary,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

type Driver = Arc<Probe<FaultDriver<MemoryDriver>>>;

fn driver() -> Driver {
    watched(MemoryDriver::new().without_blame())
}

fn watched(memory: MemoryDriver) -> Driver {
    Arc::new(Probe::new(FaultDriver::new(memory)))
}

fn table(driver: &Driver) -> &MemoryDriver {
    driver.inner().inner()
}

fn schema(strategy: ConflictStrategy) -> Schema {
    Schema::new("t", strategy, ["id", "v"]).unwrap()
}

fn row(schema: &Schema, id: i64) -> Request {
    schema.row((id, format!("value {id}"))).unwrap()
}

fn rows(schema: &Schema, count: i64) -> Vec<Request> {
    (0..count).map(|id| row(schema, id)).collect()
}

fn writer(driver: &Driver, size: usize, least: usize) -> BatchWriter {
    BatchWriter::builder(Arc::clone(driver)).batch_size(size).min_batch_size(least).build().unwrap()
}

/// The sizes of all batches handed over, failed ones among them.
fn sizes(driver: &Driver, mut fault: impl FnMut(usize) -> Fault + Send + 'static) -> Sizes {
    let sizes = Sizes::default();
    let own = Arc::clone(&sizes);
    driver.inner().each(move |batch, _| {
        let mut sizes = own.lock().unwrap();
        sizes.push(batch.len());
        fault(sizes.len())
    });
    sizes
}

type Sizes = Arc<Mutex<Vec<usize>>>;

#[tokio::test(start_paused = true)]
async fn rows_go_out_in_full_batches_sorted_by_key() {
    let driver = driver();
    let mut rows = rows(&schema(ConflictStrategy::Ignore), 10_500);
    rows.reverse();
    let summary = writer(&driver, 1_000, 1).write(rows).await.unwrap();
    assert!(summary.all_written());
    assert_eq!((summary.batches(), summary.attempts()), (11, 11));
    assert_eq!((table(&driver).len("t"), driver.most_rows()), (10_500, 1_000));
    assert_eq!(driver.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn promise_3_rows_of_one_key_are_written_in_order_and_never_in_one_batch() {
    let driver = driver();
    let schema = schema(ConflictStrategy::Update);
    let rows = (0..1_000_i64).map(|n| schema.row((n % 7, n)).unwrap());
    let summary = writer(&driver, 100, 1).write(rows).await.unwrap();
    assert_eq!(summary.written(), 1_000);
    for key in 0..7 {
        let last = (993..1_000).find(|n| n % 7 == key).unwrap();
        assert_eq!(table(&driver).value("t", [key], "v"), Some(Value::I64(last)));
    }
    assert_eq!(driver.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn plain_inserts_keep_their_order_and_share_batches() {
    let driver = driver();
    let schema = Schema::builder("log").columns(["line"]).build().unwrap();
    let rows = (0..100_i64).rev().map(|n| schema.row((n % 3,)).unwrap());
    let _ = writer(&driver, 50, 1).write(rows).await.unwrap();
    let lines: Vec<Value> = table(&driver).rows("log").into_iter().flatten().collect();
    assert_eq!(lines, (0..100).rev().map(|n| Value::I64(n % 3)).collect::<Vec<_>>());
    assert_eq!(driver.most_rows(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_rows_of_one_schema_and_shape_within_the_drivers_limits() {
    let limits = Capabilities::none().with_max_parameters(40).with_max_bytes(4_000);
    let driver = watched(MemoryDriver::new().with_limits(limits));
    let (one, two) = (
        schema(ConflictStrategy::Ignore),
        Schema::new("u", ConflictStrategy::Ignore, ["id", "v"]).unwrap(),
    );
    let mut rows = rows(&one, 100);
    rows.extend((100..150).map(|id| Request::new(&one).set("id", id)));
    rows.extend((0..50).map(|id| row(&two, id)));
    rows.push(two.row((50_i64, "x".repeat(10_000))).unwrap());
    rows.push(row(&two, 51));
    let summary = writer(&driver, 1_000, 1).write(rows).await.unwrap();
    assert_eq!(summary.written(), 202);
    assert_eq!((table(&driver).len("t"), table(&driver).len("u")), (150, 52));
    for batch in table(&driver).batches() {
        assert!(batch.len() * batch.columns().len() <= 40);
        assert!(batch.size_bytes() <= 4_000 || batch.len() == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_halves_the_next_attempt_and_each_success_doubles_it() {
    let driver = driver();
    let sizes = sizes(&driver, |attempt| match attempt {
        1..=3 => Fault::fail(ErrorKind::Deadlock),
        _ => Fault::Pass,
    });
    let rows = rows(&schema(ConflictStrategy::Fail), 3_200);
    let summary = writer(&driver, 800, 150).write(rows).await.unwrap();
    assert!(summary.all_written());
    let sizes = sizes.lock().unwrap();
    // The rest of the first batch, 250 rows, goes out before the next full one.
    assert_eq!(*sizes, [800, 400, 200, 150, 300, 350, 800, 800, 800]);
    assert_eq!((summary.batches(), summary.attempts()), (4, 9));
}

#[tokio::test(start_paused = true)]
async fn promise_4_a_bad_row_costs_itself_and_becomes_a_dead_letter() {
    let driver = driver();
    let bad = |row: &Request| row.get::<i64>("id") == Ok(Some(617));
    driver.inner().refuse(ErrorKind::Constraint, Blame::Nobody, bad);
    let schema = schema(ConflictStrategy::Ignore);
    let mut input = rows(&schema, 1_000);
    input.push(Request::new(&schema).set("v", "no key"));
    let (sink, mut letters) = dead_letter::channel(10);
    let writer =
        BatchWriter::builder(Arc::clone(&driver)).dead_letters(sink).batch_size(1_000).build();
    let summary = writer.unwrap().write(input).await.unwrap();
    assert_eq!((summary.written(), summary.rejected(), summary.unknown()), (999, 2, 0));
    assert_eq!(table(&driver).len("t"), 999);
    let listed: Vec<u64> = summary.failures().iter().map(DeadLetter::submission).collect();
    let mut sent = Vec::new();
    while let Some(letter) = letters.try_recv() {
        assert!(matches!(letter.error(), RowError::Rejected(_)));
        sent.push(letter.submission());
    }
    assert_eq!((&listed, &sent), (&vec![617, 1_000], &vec![617, 1_000]));
}

#[tokio::test(start_paused = true)]
async fn a_systemic_failure_stops_and_says_where_to_resume() {
    let driver = driver();
    let sizes = sizes(&driver, |attempt| match attempt {
        3 => Fault::fail(ErrorKind::Permission),
        _ => Fault::Pass,
    });
    let writer = writer(&driver, 100, 10);
    let mut input = rows(&schema(ConflictStrategy::Fail), 1_000).into_iter();
    let stopped = writer.write(&mut input).await.unwrap_err();
    assert_eq!(stopped.error().kind(), ErrorKind::Permission);
    assert_eq!((stopped.resume_at(), stopped.rest().len(), input.len()), (200, 100, 700));
    assert_eq!((stopped.summary().submitted(), stopped.summary().written()), (300, 200));
    assert!(stopped.to_string().starts_with("stopped before row 200: permission"), "{stopped}");
    let summary = writer.write(stopped.into_rest().into_iter().chain(input)).await.unwrap();
    assert_eq!(summary.written(), 800);
    assert_eq!((table(&driver).len("t"), sizes.lock().unwrap().len()), (1_000, 11));
}

#[tokio::test(start_paused = true)]
async fn too_many_transient_failures_in_a_row_stop() {
    let driver = driver();
    let sizes = sizes(&driver, |_| Fault::fail(ErrorKind::Connection));
    let begun = Instant::now();
    let stopped = writer(&driver, 64, 10)
        .write(rows(&schema(ConflictStrategy::Ignore), 100))
        .await
        .unwrap_err();
    assert_eq!(*sizes.lock().unwrap(), [64, 32, 16, 10]);
    assert_eq!((stopped.resume_at(), stopped.rest().len()), (0, 64));
    assert!(begun.elapsed() < Duration::from_secs(2), "the waits are bounded");
}

#[tokio::test(start_paused = true)]
async fn promise_8_a_lost_answer_is_repeated_only_where_that_is_harmless() {
    let lost = || Fault::LoseAnswer(WriteError::new(ErrorKind::Connection));
    for (strategy, written, unknown, attempts) in
        [(ConflictStrategy::Update, 10, 0, 2), (ConflictStrategy::Fail, 0, 10, 1)]
    {
        let driver = driver();
        driver.inner().script([lost()]);
        let summary = writer(&driver, 10, 10).write(rows(&schema(strategy), 10)).await.unwrap();
        assert_eq!((summary.written(), summary.unknown()), (written, unknown));
        assert_eq!((summary.attempts(), table(&driver).len("t")), (attempts, 10));
    }
}

/// An attempt at rows that may not be repeated takes longer than retries may, and then the server
/// cannot be asked at once. So does the next.
#[tokio::test(start_paused = true)]
async fn promise_8_commits_of_attempts_that_took_long_are_asked_for_until_it_is_told() {
    let faults = FaultDriver::new(MemoryDriver::new().without_blame()).settling();
    let driver: Driver = Arc::new(Probe::new(faults));
    let lost = Fault::LoseAnswer(WriteError::new(ErrorKind::Connection));
    driver.inner().each(move |_, _| Fault::Delay(400 * SECOND, Box::new(lost.clone())));
    driver.inner().script_settle((0..4).map(|_| ErrorKind::Connection.into()));
    let bad = |row: &Request| row.get::<i64>("id") == Ok(Some(2));
    driver.inner().refuse(ErrorKind::Constraint, Blame::Nobody, bad);
    let writer = BatchWriter::builder(Arc::clone(&driver)).timeout(600 * SECOND).build().unwrap();
    let summary = writer.write(rows(&schema(ConflictStrategy::Fail), 4)).await.unwrap();
    assert_eq!((summary.written(), summary.rejected(), summary.unknown()), (3, 1, 0), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn promise_9_a_hanging_attempt_ends_in_time() {
    let driver = driver();
    driver.inner().script([Fault::Hang]);
    let begun = Instant::now();
    let summary = BatchWriter::builder(Arc::clone(&driver))
        .timeout(Duration::from_secs(7))
        .build()
        .unwrap()
        .write(rows(&schema(ConflictStrategy::Ignore), 10))
        .await
        .unwrap();
    assert!(summary.all_written() && begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_writer_pauses_between_batches() {
    let driver = driver();
    let writer = BatchWriter::builder(Arc::clone(&driver))
        .batch_size(10)
        .throttle(Duration::from_secs(1))
        .build()
        .unwrap();
    let begun = Instant::now();
    let _ = writer.write(rows(&schema(ConflictStrategy::Ignore), 50)).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 4);
    writer.close().await;
}

#[tokio::test(start_paused = true)]
async fn promise_1_whatever_fails_every_row_is_settled_once_or_handed_back() {
    for seed in 0..100 {
        let driver = driver();
        let faults = RandomFaults::seeded(seed).rate(0.5).without_panics().without_orphans();
        driver.inner().random(faults);
        let mut dice = fastrand::Rng::with_seed(seed);
        let schema = schema(ConflictStrategy::Update);
        let input: Vec<_> = (0..300_i64)
            .map(|n| (dice.i64(..40), n))
            .map(|(key, n)| if n % 50 < 25 { (key, Some(n)) } else { (key, None) })
            .collect();
        let mut model = HashMap::new();
        for &(key, value) in &input {
            let cell: &mut Option<i64> = model.entry(key).or_default();
            *cell = value.or(*cell);
        }
        let request = |(key, value): (i64, Option<i64>)| {
            let request = Request::new(&schema).set("id", key);
            if let Some(value) = value { request.set("v", value) } else { request }
        };
        let mut rest: Vec<Request> = input.into_iter().map(request).collect();
        let writer = BatchWriter::builder(Arc::clone(&driver))
            .batch_size(32)
            .min_batch_size(4)
            .max_retries(1)
            .build()
            .unwrap();
        // A report one verdict short leaves a row unknown that is in the table.
        let count = |summary: &WriteSummary, rest: usize| {
            let settled = summary.written() + summary.unknown();
            assert_eq!(summary.submitted(), settled + rest as u64, "seed {seed}: {summary}");
            settled
        };
        let mut settled = 0;
        for _ in 0..1_000 {
            let mut input = rest.into_iter();
            match writer.write(&mut input).await {
                Ok(summary) => {
                    settled += count(&summary, 0);
                    rest = Vec::new();
                    break;
                }
                Err(stopped) => {
                    settled += count(stopped.summary(), stopped.rest().len());
                    rest = stopped.into_rest().into_iter().chain(input).collect();
                }
            }
        }
        assert_eq!((settled, rest.len()), (300, 0), "seed {seed}");
        for (key, value) in model {
            let stored = table(&driver).value("t", [key], "v");
            assert_eq!(stored, Some(value.into()), "seed {seed}, key {key}");
        }
        assert_eq!(driver.violations(), Vec::<String>::new(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_whose_keys_only_the_database_can_compare_stay_in_their_order() {
    let id = Column::new("id", ColumnKind::Text).comparison(Comparison::Opaque);
    let columns = Table::new("t").column(id).column(Column::new("v", ColumnKind::Integer));
    let driver = watched(MemoryDriver::with_tables([columns.unique(["id"])]));
    let schema = schema(ConflictStrategy::Update);
    let rows = (0..100_i64).rev().map(|n| schema.row((format!("{}", n % 3), n)).unwrap());
    let _ = writer(&driver, 50, 1).write(rows).await.unwrap();
    for batch in table(&driver).batches() {
        assert!(!batch.has_distinct_keys() && batch.len() == 50);
    }
    for key in 0..3 {
        let stored = table(&driver).value("t", [key.to_string()], "v");
        assert_eq!(stored, Some(Value::I64(key)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_table_stops_before_anything_is_sent() {
    let driver = watched(MemoryDriver::with_tables([]));
    let rows = rows(&schema(ConflictStrategy::Ignore), 10);
    let stopped = writer(&driver, 5, 1).write(rows).await.unwrap_err();
    assert_eq!(stopped.error().kind(), ErrorKind::Schema);
    assert_eq!((stopped.resume_at(), stopped.rest().len()), (0, 5));
    assert_eq!((stopped.summary().attempts(), table(&driver).attempts()), (0, 0));
}

/// A sink that takes no letter, for this reason.
#[derive(Debug)]
struct Stubborn(fn() -> DeadLetterError);

#[async_trait::async_trait]
impl DeadLetterSink for Stubborn {
    async fn deliver(&self, _: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        Err(self.0())
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_stops_the_write_and_one_that_is_gone_does_not() {
    let write = async |why: fn() -> DeadLetterError| {
        let driver = driver();
        driver.inner().refuse(ErrorKind::Data, Blame::Nobody, |_| true);
        let rows = rows(&schema(ConflictStrategy::Ignore), 6);
        let writer = BatchWriter::builder(driver).batch_size(2).dead_letters(Stubborn(why));
        writer.build().unwrap().write(rows).await
    };
    let stopped = write(|| DeadLetterError::failed("not now")).await.unwrap_err();
    assert!(stopped.to_string().contains("not now"), "{stopped}");
    assert_eq!((stopped.undelivered().len(), stopped.summary().rejected()), (2, 2));
    assert_eq!((stopped.resume_at(), stopped.rest().len()), (2, 0), "both rows are settled");
    for gone in [|| DeadLetterError::Closed, || DeadLetterError::Refused { why: "odd".into() }] {
        let summary = write(gone).await.unwrap();
        assert_eq!((summary.rejected(), summary.undelivered()), (6, 6));
        assert_eq!(summary.failures().len(), 6);
    }
}

/// A sink that takes a letter and refuses it then.
#[derive(Debug)]
struct Hasty;

#[async_trait::async_trait]
impl DeadLetterSink for Hasty {
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        drop(letters.pop_front());
        Err(DeadLetterError::Refused { why: "too late".into() })
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_refuses_what_it_has_taken_harms_no_row() {
    let driver = driver();
    driver.inner().refuse(ErrorKind::Data, Blame::Nobody, |request| {
        request.get::<i64>("id").unwrap() == Some(3)
    });
    let rows = rows(&schema(ConflictStrategy::Ignore), 6);
    let writer = BatchWriter::builder(driver).batch_size(2).dead_letters(Hasty).build().unwrap();
    let summary = writer.write(rows).await.unwrap();
    assert_eq!((summary.written(), summary.rejected()), (5, 1));
}

#[test]
fn a_bad_setting_is_an_error_that_names_it() {
    let builder = || BatchWriter::builder(MemoryDriver::new());
    for (builder, field) in [
        (builder().batch_size(0), "batch_size"),
        (builder().min_batch_size(0), "min_batch_size"),
        (builder().batch_size(10).min_batch_size(11), "min_batch_size"),
        (builder().timeout(Duration::ZERO), "timeout"),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
    assert!(builder().batch_size(1).build().is_ok());
}

#[test]
fn outside_a_runtime_a_write_is_an_error_that_takes_no_row_and_a_close_still_ends() {
    let driver = Arc::new(MemoryDriver::new());
    let writer = BatchWriter::builder(Arc::clone(&driver)).build().unwrap();
    let mut input = rows(&schema(ConflictStrategy::Ignore), 10).into_iter();
    let stopped = now(writer.write(&mut input)).unwrap().unwrap_err();
    assert!(stopped.to_string().contains("no tokio runtime"), "{stopped}");
    assert_eq!((stopped.resume_at(), stopped.rest().len(), input.len()), (0, 0, 10));
    let stopped = now(writer.replay("letters.jsonl")).unwrap().unwrap_err();
    assert!(stopped.to_string().contains("no tokio runtime"), "{stopped}");
    drop(driver);
    assert_eq!(now(writer.close()), Some(()));
}

/// What a future is ready with at once.
fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
