//! The time that a row takes, against rivals in the same run: `cargo xtask bench core`.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on panics")]

mod harness;
mod rows;

use std::future::Future;
use std::hint::black_box;
use std::time::Instant;

use batchflow_core::{BatchFlow, Request};
use cpu_time::ProcessTime;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use harness::{Bar, Bench};

/// How often all rows go through before they are timed.
const WARM: usize = 2;

fn main() -> Result<(), String> {
    let mut bench = Bench::from_args()?;
    for (producers, bar) in [(1, 0.5), (2, 0.5), (4, 0.5), (8, 1.0)] {
        submit(&mut bench, producers, Bar::AtMost(bar));
    }
    for producers in [1, 4] {
        metered(&mut bench, producers);
    }
    build(&mut bench);
    through(&mut bench, "one thread", || Builder::new_current_thread().enable_all().build());
    through(&mut bench, "two threads", two_threads);
    bench.finish()
}

fn two_threads() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// `submit` of ready requests, against `send` of the same requests on a bounded channel that a
/// receiver drains. There is room for all of them: what is timed is the handing over. Flow and
/// channel are warm, as those of a program that runs are: they had as many rows before.
fn submit(bench: &mut Bench, producers: usize, bar: Bar) {
    let each = bench.pick(200_000, 2_000) / producers;
    let room = 2 * each * producers;
    let ours = || {
        run(two_threads(), async {
            let flow = rows::flow(room);
            let mut time = 0.0;
            for _ in 0..=WARM {
                time = hand_over(ready(producers, each), &flow).await;
                assert!(flow.flush().await.expect("the flow is open").all_written());
            }
            time
        })
    };
    let rival = || {
        run(two_threads(), async {
            let (sender, mut receiver) = mpsc::channel(room);
            let drain = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
            let mut time = 0.0;
            for _ in 0..=WARM {
                time = hand_over(ready(producers, each), &sender).await;
                while sender.capacity() < room {
                    tokio::task::yield_now().await;
                }
            }
            drop(sender);
            drain.await.expect("the receiver ends");
            time
        })
    };
    let s = if producers == 1 { "" } else { "s" };
    bench.compare(&format!("submit, {producers} producer{s}: ns a row"), bar, 15, ours, rival);
}

/// `submit` of ready requests with metrics that listen, against `submit` without.
fn metered(bench: &mut Bench, producers: usize) {
    let each = bench.pick(200_000, 2_000) / producers;
    let room = 2 * each * producers;
    let turn = |metered| {
        run(two_threads(), async {
            let flow = rows::flow_with(room, metered);
            let mut time = 0.0;
            for _ in 0..=WARM {
                time = hand_over(ready(producers, each), &flow).await;
                assert!(flow.flush().await.expect("the flow is open").all_written());
            }
            time
        })
    };
    let s = if producers == 1 { "" } else { "s" };
    let name = format!("submit with metrics, {producers} producer{s}: ns more a row");
    bench.difference(&name, Bar::AtMost(15.0), 25, || turn(true), || turn(false));
}

/// Requests for each of so many producers.
fn ready(producers: usize, each: usize) -> Vec<Vec<Request>> {
    let schema = rows::schema();
    let id = |producer, n| (producer * each + n) as i64;
    let own = |producer| (0..each).map(|n| rows::request(&schema, id(producer, n))).collect();
    (0..producers).map(own).collect()
}

/// Where a producer hands requests to.
trait Taker: Clone + Send + 'static {
    fn take(&self, request: Request) -> impl Future<Output = ()> + Send;
}

impl Taker for BatchFlow {
    async fn take(&self, request: Request) {
        self.submit(request).await.expect("the flow is open");
    }
}

impl Taker for mpsc::Sender<Request> {
    async fn take(&self, request: Request) {
        self.send(request).await.expect("the channel is open");
    }
}

/// Nanoseconds a row, from the first of any producer to the last of all.
async fn hand_over(requests: Vec<Vec<Request>>, taker: &impl Taker) -> f64 {
    let count: usize = requests.iter().map(Vec::len).sum();
    let mut producers = JoinSet::new();
    for own in requests {
        let taker = taker.clone();
        producers.spawn(async move {
            let began = Instant::now();
            for request in own {
                taker.take(request).await;
            }
            (began, Instant::now())
        });
    }
    let times = producers.join_all().await;
    let began = times.iter().map(|time| time.0).min().expect("there is a producer");
    let ended = times.iter().map(|time| time.1).max().expect("there is a producer");
    (ended - began).as_nanos() as f64 / count as f64
}

/// Building a request from a program's own values, against building and dropping those alone.
fn build(bench: &mut Bench) {
    let count = bench.pick(200_000, 2_000);
    let schema = rows::schema();
    let each = |make: &dyn Fn(i64)| {
        let began = Instant::now();
        for id in 0..count {
            make(id);
        }
        began.elapsed().as_nanos() as f64 / count as f64
    };
    bench.compare(
        "build and drop a request: ns a row",
        Bar::AtMost(1.2),
        25,
        || each(&|id| drop(black_box(rows::request(&schema, id)))),
        || each(&|id| drop(black_box(rows::row(id)))),
    );
}

/// Processor time of all that happens to a row: built, submitted, merged by key, handed to a driver
/// that does nothing in a batch of 1,000, dropped.
fn through(bench: &mut Bench, name: &str, runtime: fn() -> std::io::Result<Runtime>) {
    let count = bench.pick(500_000, 5_000);
    let ours = || {
        let began = ProcessTime::now();
        run(runtime(), async {
            let (flow, schema) = (rows::flow(10_000), rows::schema());
            for n in 0..count {
                let request = rows::request(&schema, rows::key(n));
                flow.submit(request).await.expect("the flow is open");
            }
            assert!(flow.close().await.expect("the flow was open").all_written());
        });
        began.elapsed().as_nanos() as f64 / count as f64
    };
    let name = format!("from build to drop, {name}: ns of processor time a row");
    bench.measure(&name, Bar::AtMost(500.0), 9, ours);
}

fn run<T>(runtime: std::io::Result<Runtime>, future: impl Future<Output = T>) -> T {
    runtime.expect("a runtime starts").block_on(future)
}
