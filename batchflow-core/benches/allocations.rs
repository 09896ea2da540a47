//! The memory that a row takes: `cargo xtask bench core` runs this beside the benchmark of time.
//!
//! A program of its own, because counting allocations costs time.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on panics")]

mod harness;
mod rows;

use std::alloc::System;
use std::hint::black_box;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tokio::runtime::{Builder, Runtime};

use harness::{Bar, Bench};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), String> {
    let mut bench = Bench::from_args()?;
    submit(&mut bench);
    build(&mut bench);
    through(&mut bench);
    flat(&mut bench);
    bench.finish()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}

/// What was allocated while `run` ran.
fn counted(run: impl FnOnce()) -> Stats {
    let region = Region::new(ALLOCATOR);
    run();
    region.change()
}

fn calls(stats: Stats) -> f64 {
    (stats.allocations + stats.reallocations) as f64
}

/// `submit` of ready requests: from the first to the last, whatever the flow does meanwhile.
fn submit(bench: &mut Bench) {
    let count = bench.pick(200_000, 2_000);
    let ours = || {
        let schema = rows::schema();
        let requests: Vec<_> = (0..count).map(|id| rows::request(&schema, id)).collect();
        runtime().block_on(async {
            let flow = rows::flow(2 * requests.len());
            let region = Region::new(ALLOCATOR);
            for request in requests {
                flow.submit(request).await.expect("the flow is open");
            }
            let calls = calls(region.change()) / count as f64;
            assert!(flow.close().await.expect("the flow was open").all_written());
            calls
        })
    };
    // Batches have a few allocations each; a row has none.
    bench.measure("submit: allocations a row", Bar::AtMost(0.05), 3, ours);
}

fn build(bench: &mut Bench) {
    let count = bench.pick(200_000, 2_000);
    let schema = rows::schema();
    let ours = || {
        let request =
            counted(|| (0..count).for_each(|id| drop(black_box(rows::request(&schema, id)))));
        let strings = counted(|| (0..count).for_each(|id| drop(black_box(rows::row(id)))));
        (calls(request) - calls(strings)) / count as f64
    };
    bench.measure("build a request: allocations beyond the strings", Bar::AtMost(1.0), 3, ours);
}

/// Rows built as they are submitted, to a driver that does nothing.
fn through(bench: &mut Bench) {
    let count = bench.pick(500_000, 5_000);
    let all = || {
        counted(|| {
            runtime().block_on(async {
                let (flow, schema) = (rows::flow(10_000), rows::schema());
                for n in 0..count {
                    let request = rows::request(&schema, rows::key(n));
                    flow.submit(request).await.expect("the flow is open");
                }
                assert!(flow.close().await.expect("the flow was open").all_written());
            });
        })
    };
    let bytes = |stats: Stats| stats.bytes_allocated as f64;
    let name = "from build to drop: allocations a row";
    bench.measure(name, Bar::AtMost(4.0), 3, || calls(all()) / count as f64);
    let name = "from build to drop: bytes a row";
    bench.measure(name, Bar::AtMost(1_000.0), 3, || bytes(all()) / count as f64);
}

/// Whether memory is flat after the first 100,000 of 10,000,000 rows: the most held while the last
/// million passes, to the most held while the million after those first does.
///
/// What is in transit at the worst moment varies by a fifth, and a lane's table of keys doubles once;
/// a leak of one byte a row would more than double the peak.
fn flat(bench: &mut Bench) {
    let (first, span, count): (i64, i64, i64) =
        bench.pick((100_000, 1_000_000, 10_000_000), (1_000, 10_000, 100_000));
    let held = || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    };
    let ours = || {
        let before = held();
        runtime().block_on(async {
            let (flow, schema) = (rows::flow(10_000), rows::schema());
            let (mut early, mut late) = (0, 0);
            for n in 0..count {
                if n % 16 == 0 {
                    let now = held().saturating_sub(before);
                    early = if (first..first + span).contains(&n) { now.max(early) } else { early };
                    late = if n >= count - span { now.max(late) } else { late };
                }
                let request = rows::request(&schema, rows::key(n));
                flow.submit(request).await.expect("the flow is open");
            }
            assert!(flow.close().await.expect("the flow was open").all_written());
            late as f64 / early as f64
        })
    };
    let name = format!("{count} rows: peak memory at the end to that at the beginning");
    bench.measure(&name, Bar::AtMost(1.1), 1, ours);
}
