//! The flow from its user's side, with an async function as its driver.
#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::time::Duration;

use batchflow_core::{
    Batch, BatchFlow, ConflictStrategy, Outcome, Request, RowError, Schema, WriteError, driver_fn,
};

type Log = Arc<Mutex<Vec<Vec<i64>>>>;

fn ids(batch: &Batch) -> Vec<i64> {
    batch.requests().map(|row| row.get("id").unwrap().unwrap()).collect()
}

fn logging(log: &Log) -> impl batchflow_core::Driver {
    let log = Arc::clone(log);
    driver_fn("log", move |batch: Batch| {
        let log = Arc::clone(&log);
        async move {
            log.lock().unwrap().push(ids(&batch));
            Ok::<_, WriteError>(())
        }
    })
}

fn logs() -> Schema {
    Schema::new("logs", ConflictStrategy::Ignore, ["id", "line"]).unwrap()
}

fn row(id: i64) -> Request {
    logs().row((id, "x")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_goes_at_once_and_the_rest_at_its_age() {
    let log = Log::default();
    let flow = BatchFlow::builder(logging(&log)).flush_size(3).build().unwrap();
    for id in 0..4 {
        flow.submit(row(id)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(*log.lock().unwrap(), [vec![0, 1, 2]]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*log.lock().unwrap(), [vec![0, 1, 2], vec![3]]);
}

/// However long the first row has been waiting: by rows, and by bytes.
#[tokio::test(start_paused = true)]
async fn the_row_that_fills_a_batch_sends_it() {
    let bytes = row(0).size_bytes();
    for (rows, bytes) in [(5, 1 << 20), (1_000, 5 * bytes)] {
        let log = Log::default();
        let hour = Duration::from_secs(3_600);
        let flow = BatchFlow::builder(logging(&log)).flush_interval(hour);
        let flow = flow.flush_size(rows).flush_bytes(bytes).build().unwrap();
        for round in 0..2 {
            let first = round * 5;
            flow.submit(row(first)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            flow.submit_all((first + 1..first + 5).map(row)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            let sent: usize = log.lock().unwrap().iter().map(Vec::len).sum();
            assert_eq!(sent as i64, first + 5, "{rows} rows or {bytes} bytes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_awaited_row_does_not_wait_for_others() {
    let log = Log::default();
    let hour = Duration::from_secs(3_600);
    let flow = BatchFlow::builder(logging(&log)).flush_interval(hour).build().unwrap();
    let start = tokio::time::Instant::now();
    let receipt = flow.submit_tracked(row(1)).await.unwrap();
    assert_eq!(receipt.await.unwrap(), Outcome::Written);
    assert!(start.elapsed() < Duration::from_millis(2));
}

#[tokio::test(start_paused = true)]
async fn a_flush_settles_all_that_was_submitted_before() {
    let log = Log::default();
    let hour = Duration::from_secs(3_600);
    let flow = BatchFlow::builder(logging(&log)).flush_interval(hour).build().unwrap();
    flow.submit_all((0..7).map(row)).await.unwrap();
    flow.submit(row(3)).await.unwrap();
    let counts = flow.flush().await.unwrap();
    assert_eq!((counts.written, counts.superseded), (7, 1));
    let summary = flow.close().await.unwrap();
    assert!(summary.all_written() && summary.stats.is_conserved());
    assert!(flow.submit(row(9)).await.unwrap_err().is_closed());
}

/// Values of two kinds in one key column: only the database could compare them.
#[tokio::test(start_paused = true)]
async fn promise_3_a_schema_that_core_cannot_compare_goes_one_batch_at_a_time() {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let driver = driver_fn("slow", move |batch: Batch| {
        let seen = Arc::clone(&seen);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            seen.lock().unwrap().push(vec![batch.len() as i64]);
            Ok::<_, WriteError>(())
        }
    });
    let flow = BatchFlow::builder(driver).flush_size(2).build().unwrap();
    flow.submit(logs().row((1_i64, "x")).unwrap()).await.unwrap();
    flow.submit_all(["1", "2", "1"].map(|id| logs().row((id, "x")).unwrap())).await.unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(flow.flush().await.unwrap().written, 4);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

/// A span that no clock reaches means never.
#[tokio::test(start_paused = true)]
async fn the_longest_spans_there_are_mean_never_and_panic_nowhere() {
    let log = Log::default();
    let retry = batchflow_core::RetryPolicy::default().give_up_after(Duration::MAX);
    let flow = BatchFlow::builder(logging(&log))
        .flush_interval(Duration::MAX)
        .timeout(Duration::MAX)
        .grace(Duration::MAX)
        .close_timeout(Duration::MAX)
        .retry(retry)
        .build()
        .unwrap();
    flow.submit(row(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(flow.stats().pending, 1);
    assert!(flow.health().is_healthy());
    flow.tune(|pace| pace.flush_interval(Duration::MAX));
    assert!(flow.close().await.unwrap().all_written());
}

/// Rows that the pump holds already, too.
#[tokio::test(start_paused = true)]
async fn rows_that_are_never_due_by_their_age_wait_for_others() {
    let log = Log::default();
    let flow = BatchFlow::builder(logging(&log)).flush_size(2).flush_interval(Duration::MAX);
    let flow = flow.build().unwrap();
    flow.submit(row(1)).await.unwrap();
    // Two rows wake the pump, but they make no batch.
    flow.submit(Request::new(&logs()).set("id", 2_i64)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(*log.lock().unwrap(), Vec::<Vec<i64>>::new());
    assert!(flow.close().await.unwrap().all_written());
}

#[test]
fn a_runtime_without_timers_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let built = runtime.block_on(async { BatchFlow::builder(logging(&Log::default())).build() });
    let error = built.expect_err("a flow cannot wait without timers");
    assert_eq!(error.field(), "runtime");
    assert!(error.to_string().contains("enable_time"), "{error}");
}

/// As soon as all of them have returned, rows and slots are those of one of them.
#[tokio::test]
async fn tunes_at_once_leave_what_the_last_of_them_said() {
    let flow = BatchFlow::builder(logging(&Log::default())).build().unwrap();
    let (probe, rounds, barrier) = (flow.probe(), 20_000, Barrier::new(5));
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        for slots in [2, 8, 16, 32] {
            let (flow, barrier) = (&flow, &barrier);
            scope.spawn(move || {
                for _ in 0..rounds {
                    barrier.wait();
                    flow.tune(|t| t.concurrency(slots));
                    barrier.wait();
                }
            });
        }
        for _ in 0..rounds {
            barrier.wait();
            barrier.wait();
            let slots = probe.read().concurrency;
            let mut said = String::new();
            flow.tune(|t| {
                said = format!("{t:?}");
                t
            });
            if !said.contains(&format!("concurrency: {slots} ")) {
                wrong.push((said, slots));
            }
        }
    });
    assert_eq!(wrong, [], "what was said last, and how many slots there were");
}

/// While a thread settles many rows, the batch after them waits for nothing else.
#[tokio::test]
async fn a_large_batch_is_settled_in_steps_between_which_other_tasks_run() {
    const ROWS: usize = 20_000;
    let flow = BatchFlow::builder(logging(&Log::default())).flush_size(ROWS);
    let flow = flow.buffer_size(2 * ROWS).flush_interval(Duration::from_secs(3_600));
    let flow = flow.build().unwrap();
    let mut pending = Vec::new();
    for id in 0..ROWS as i64 {
        pending.push(flow.submit_tracked(row(id)).await.unwrap());
    }
    // Each look at what is pending is a turn of another task between two steps.
    let mut looks = Vec::new();
    while !pending.is_empty() {
        let before = pending.len();
        let mut left = Vec::new();
        for mut receipt in pending {
            match poll_once(&mut receipt).await {
                Some(outcome) => assert_eq!(outcome.unwrap(), Outcome::Written),
                None => left.push(receipt),
            }
        }
        pending = left;
        looks.push(before - pending.len());
        tokio::task::yield_now().await;
    }
    assert!(looks.iter().filter(|settled| **settled > 0).count() >= 10, "{looks:?}");
    assert!(flow.close().await.unwrap().all_written());
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *future).poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// The verdicts of a part of the batch are out by then.
#[test]
fn a_runtime_that_ends_while_a_large_batch_is_settled_leaves_each_row_one_verdict() {
    const ROWS: u64 = 20_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (flow, receipts) = runtime.block_on(async {
        let flow = BatchFlow::builder(logging(&Log::default())).flush_size(ROWS as usize);
        let flow = flow.buffer_size(2 * ROWS as usize).build().unwrap();
        let mut receipts = Vec::new();
        for id in 0..ROWS as i64 {
            receipts.push(flow.submit_tracked(row(id)).await.unwrap());
        }
        while flow.stats().written == 0 {
            tokio::task::yield_now().await;
        }
        (flow, receipts)
    });
    drop(runtime);
    let stats = flow.stats();
    assert!(stats.is_conserved() && stats.pending == 0, "{stats:?}");
    assert!(stats.unknown > 0 && stats.written + stats.unknown == ROWS, "{stats:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut written = 0;
    for receipt in receipts {
        match runtime.block_on(receipt) {
            Ok(outcome) => written += u64::from(outcome == Outcome::Written),
            Err(error) => assert!(matches!(error, RowError::Unknown(_)), "{error:?}"),
        }
    }
    assert_eq!(written, stats.written);
}
