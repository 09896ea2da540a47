//! What metrics cost: flows that tell `PrometheusMetrics`, with every label, against the same flows
//! that tell nobody: `cargo xtask bench metrics`. It stands here because no driver and no adapter
//! may depend on another.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on panics")]

#[path = "../../batchflow-core/benches/harness/mod.rs"]
mod harness;
#[path = "../../batchflow-core/benches/rows/mod.rs"]
mod rows;

use std::hint::black_box;
use std::time::{Duration, Instant};

use batchflow_core::{Batch, BatchFlow, FlowBuilder, Request, WriteError, driver_fn};
use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{Options, PrometheusMetrics, encode};
use batchflow_sqlite::SqliteDriver;
use harness::{Bar, Bench};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// How often all rows go through before they are timed.
const WARM: usize = 2;

const BATCH: usize = 1_000;

const TABLE: &str = "CREATE TABLE users \
    (id INTEGER PRIMARY KEY, name TEXT, email TEXT, hits INTEGER, score REAL)";

fn main() -> Result<(), String> {
    let mut bench = Bench::from_args()?;
    for producers in [1, 4] {
        submit(&mut bench, producers);
    }
    sqlite(&mut bench);
    scrape(&mut bench);
    bench.finish()
}

/// Tells metrics, or nobody.
fn told(flow: FlowBuilder, metered: bool) -> (BatchFlow, Registry) {
    let mut registry = Registry::default();
    let options = Options::default().label_flow(true).label_table(true);
    let metrics = PrometheusMetrics::register(&mut registry, options).flow("bench");
    let flow = if metered { flow.metrics(metrics) } else { flow };
    (flow.build().expect("the flow is sound"), registry)
}

/// `submit` of ready requests, to a driver that does nothing.
fn submit(bench: &mut Bench, producers: usize) {
    let each = bench.pick(200_000, 2_000) / producers;
    let room = 2 * each * producers;
    let turn = |metered| {
        runtime().block_on(async {
            let driver = driver_fn("nothing", async |_: Batch| Ok::<_, WriteError>(()));
            let flow = BatchFlow::builder(driver)
                .flush_size(BATCH)
                .buffer_size(room)
                .buffer_bytes(room * 1_024);
            let (flow, _registry) = told(flow, metered);
            let mut time = 0.0;
            for _ in 0..=WARM {
                time = hand_over(ready(producers, each), &flow).await;
                assert!(flow.flush().await.expect("the flow is open").all_written());
            }
            time
        })
    };
    let s = if producers == 1 { "" } else { "s" };
    let name = format!("submit, {producers} producer{s}: ns more a row");
    bench.difference(&name, Bar::AtMost(15.0), 25, || turn(true), || turn(false));
}

/// Requests for each of so many producers.
fn ready(producers: usize, each: usize) -> Vec<Vec<Request>> {
    let schema = rows::schema();
    let id = |producer, n| (producer * each + n) as i64;
    let own = |producer| (0..each).map(|n| rows::request(&schema, id(producer, n))).collect();
    (0..producers).map(own).collect()
}

/// Nanoseconds a row, from the first of any producer to the last of all.
async fn hand_over(requests: Vec<Vec<Request>>, flow: &BatchFlow) -> f64 {
    let count: usize = requests.iter().map(Vec::len).sum();
    let mut producers = JoinSet::new();
    for own in requests {
        let flow = flow.clone();
        producers.spawn(async move {
            let began = Instant::now();
            for request in own {
                flow.submit(request).await.expect("the flow is open");
            }
            (began, Instant::now())
        });
    }
    let times = producers.join_all().await;
    let began = times.iter().map(|time| time.0).min().expect("there is a producer");
    let ended = times.iter().map(|time| time.1).max().expect("there is a producer");
    (ended - began).as_nanos() as f64 / count as f64
}

/// Rows from a program's values to the last commit in a file, in batches of 1,000.
fn sqlite(bench: &mut Bench) {
    let count = bench.pick(200_000, 2_000);
    let turn = |metered| {
        let folder = tempfile::tempdir().expect("a folder is made");
        let path = folder.path().join("bench.db");
        let through = async move {
            let driver = SqliteDriver::open(&path).await.expect("the file opens");
            driver.execute(TABLE).await.expect("the table is made");
            let flow =
                BatchFlow::builder(driver).flush_size(BATCH).concurrency(2).buffer_size(20 * BATCH);
            let (flow, _registry) = told(flow, metered);
            let schema = rows::schema();
            let began = Instant::now();
            for id in 0..count {
                flow.submit(rows::request(&schema, id)).await.expect("the flow is open");
            }
            assert!(flow.flush().await.expect("the flow is open").all_written());
            let rate = count as f64 / began.elapsed().as_secs_f64();
            assert!(flow.close().await.expect("the flow is open").all_written());
            rate
        };
        // In a task, as the handlers of a server are.
        let runtime = runtime();
        runtime.block_on(runtime.spawn(through)).expect("the task ends")
    };
    let name = "SQLite, end to end: rows/s";
    bench.compare(name, Bar::AtLeast(0.95), 25, || turn(true), || turn(false));
}

/// One scrape of a flow that ran.
fn scrape(bench: &mut Bench) {
    let registry = runtime().block_on(async {
        let driver = driver_fn("nothing", async |_: Batch| Ok::<_, WriteError>(()));
        let flow = BatchFlow::builder(driver).flush_interval(Duration::from_millis(1));
        let (flow, registry) = told(flow, true);
        let schema = rows::schema();
        for id in 0..10_000 {
            flow.submit(rows::request(&schema, id)).await.expect("the flow is open");
        }
        assert!(flow.close().await.expect("the flow is open").all_written());
        registry
    });
    let times = bench.pick(1_000, 10);
    bench.measure("a scrape as text: µs", Bar::None, 9, || {
        let began = Instant::now();
        for _ in 0..times {
            black_box(encode(&registry));
        }
        began.elapsed().as_micros() as f64 / f64::from(times)
    });
}

fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts")
}
