//! Promise 2: each request gets exactly one verdict, and a receipt neither hangs nor lies.

use std::sync::Arc;

use async_trait::async_trait;
use batchflow_core::testing::{Fault, Gate, MemoryDriver};
use batchflow_core::{
    Attempt, Batch, BatchFlow, Capabilities, Driver, ErrorKind, Outcome, Report, RetryPolicy,
    RowError, Schema, TableInfo, WriteError, driver_fn,
};

use crate::support::{HOUR, SECOND, memory, row, users, watched};

#[tokio::test(start_paused = true)]
async fn promise_2_a_superseded_row_is_settled_once_the_winner_is_committed() {
    let driver = watched();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.inner().each(move |_, _| Fault::Wait(rule.clone()));
    let flow = BatchFlow::builder(driver.clone()).concurrency(1).timeout(HOUR).build().unwrap();
    // Takes the only slot, so that the next three wait and merge.
    let first = flow.submit_tracked(row(&users(), 0, "first")).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let mut receipts = Vec::new();
    for name in ["a", "b", "c"] {
        receipts.push(flow.submit_tracked(row(&users(), 1, name)).await.unwrap());
    }
    for receipt in &mut receipts {
        let early = tokio::time::timeout(60 * SECOND, receipt).await;
        assert!(early.is_err(), "nothing is committed yet");
    }
    gate.open();
    assert_eq!(first.await.unwrap(), Outcome::Written);
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(receipt.await.unwrap());
        assert_eq!(memory(&driver).value("users", [1_i64], "name"), Some("c".into()));
    }
    assert_eq!(outcomes, [Outcome::Superseded, Outcome::Superseded, Outcome::Written]);
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_flush_returns_when_all_before_it_is_settled() {
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    driver.inner().script([
        Fault::fail(ErrorKind::Deadlock),
        Fault::Delay(10 * SECOND, Box::new(Fault::Pass)),
    ]);
    for id in 0..1_200 {
        flow.submit(row(&users(), id % 1_000, "x")).await.unwrap();
    }
    let counts = flow.flush().await.unwrap();
    assert_eq!(counts.written + counts.superseded, 1_200);
    assert!(counts.all_written());
    assert_eq!((flow.stats().pending, memory(&driver).len("users")), (0, 1_000));
    assert_eq!(flow.flush().await.unwrap(), batchflow_core::Counts::default());
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_flush_does_not_wait_for_rows_after_it() {
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    flow.submit(row(&users(), 1, "before")).await.unwrap();
    let flush = tokio::spawn({
        let flow = flow.clone();
        async move { flow.flush().await.unwrap() }
    });
    tokio::time::sleep(SECOND).await;
    flow.submit(row(&users(), 2, "after")).await.unwrap();
    assert_eq!(flush.await.unwrap().written, 1);
    assert_eq!(flow.stats().pending, 1);
}

/// Looks up no table that is called slow, and panics as it is told to leave off.
#[derive(Debug)]
struct Fussy;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a clean-up that panics");
    }
}

#[async_trait]
impl Driver for Fussy {
    fn backend(&self) -> &'static str {
        "fussy"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none().with_describe()
    }

    async fn write(&self, _: Batch, _: &Attempt) -> Result<Report, WriteError> {
        tokio::time::sleep(9 * SECOND).await;
        Ok(Report::all())
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        if schema.table().name() == "slow" {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        }
        Ok(TableInfo::unchecked(schema))
    }
}

/// A look-up that is given up panics in its clean-up, while a batch of another table flies and a
/// row of the same key waits behind it.
#[tokio::test(start_paused = true)]
async fn promise_2_a_look_up_whose_clean_up_panics_strands_no_row() {
    let policy = RetryPolicy::default().give_up_after(60 * SECOND);
    for close_at in [HOUR, 30 * SECOND] {
        let flow = BatchFlow::builder(Fussy).timeout(10 * SECOND).retry(policy.clone());
        let flow = flow.build().unwrap();
        let slow = crate::support::schema("slow", users().strategy());
        let own = flow.submit_tracked(row(&slow, 1, "x")).await.unwrap();
        let mut others = Vec::new();
        for _ in 0..2 {
            tokio::time::sleep(SECOND).await;
            others.push(flow.submit_tracked(row(&users(), 7, "x")).await.unwrap());
        }
        let summary = tokio::time::timeout(2 * HOUR, flow.close_within(close_at)).await;
        let stats = summary.expect("promise 9: a close that never ends").unwrap().stats;
        assert_eq!((stats.written, stats.pending), (2, 0), "{stats:?}");
        let verdict = own.await;
        assert!(matches!(verdict, Err(RowError::NotSent(_))), "{verdict:?}");
        for receipt in others {
            assert_eq!(receipt.await.unwrap(), Outcome::Written);
        }
    }
}

/// A runtime that is shut down leaves no receipt hanging: what was in flight is unknown, what was
/// not is not sent.
#[test]
fn promise_2_a_runtime_shutdown_settles_every_receipt() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let first = runtime();
    let (flow, receipts) = first.block_on(async {
        let driver = watched();
        driver.inner().each(|_, _| Fault::Hang);
        let flow = BatchFlow::builder(driver).concurrency(1).build().unwrap();
        let mut receipts = Vec::new();
        for id in 0..3 {
            receipts.push(flow.submit_tracked(row(&users(), id, "x")).await.unwrap());
            tokio::time::sleep(SECOND).await;
        }
        (flow, receipts)
    });
    drop(first);
    runtime().block_on(async {
        let mut verdicts = Vec::new();
        for receipt in receipts {
            verdicts.push(receipt.await.unwrap_err());
        }
        assert!(matches!(verdicts[0], RowError::Unknown(_)), "{verdicts:?}");
        assert!(matches!(verdicts[1], RowError::NotSent(_)), "{verdicts:?}");
        assert!(matches!(verdicts[2], RowError::NotSent(_)), "{verdicts:?}");
        let stats = flow.stats();
        assert_eq!((stats.unknown, stats.abandoned, stats.pending), (1, 2, 0));
        assert!(stats.is_conserved());
        let refused = flow.submit(row(&users(), 9, "late")).await.unwrap_err();
        assert!(refused.is_closed());
        assert!(flow.close().await.is_err());
    });
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_dropped_receipt_changes_nothing_for_its_row() {
    let driver = Arc::new(MemoryDriver::new());
    let flow = BatchFlow::builder(driver.clone()).build().unwrap();
    drop(flow.submit_tracked(row(&users(), 1, "x")).await.unwrap());
    assert!(flow.close().await.unwrap().all_written());
    assert_eq!(driver.len("users"), 1);
}

/// A driver that reports fewer verdicts than rows has not spoken of the last: nobody knows.
#[tokio::test(start_paused = true)]
async fn promise_2_a_missing_verdict_is_unknown_and_never_written() {
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone()).concurrency(1).build().unwrap();
    driver.inner().script([Fault::ShortReport]);
    let fail = crate::support::schema("log", batchflow_core::ConflictStrategy::Fail);
    let receipt = flow.submit_tracked(row(&fail, 1, "x")).await.unwrap();
    assert!(matches!(receipt.await, Err(RowError::Unknown(_))));
}

/// The rows that a stopped runtime still holds have no verdict yet: whoever closes or flushes the
/// flow is not told that they have.
#[test]
fn promise_2_a_flow_whose_runtime_shuts_down_says_that_it_was_stopped() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let first = builder.worker_threads(2).enable_time().build().unwrap();
    let (began, has_begun) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let driver = driver_fn("blocks its thread", move |_| {
        began.send(()).unwrap();
        // Ends when the test lets go of the other end.
        let _ = held.lock().unwrap().recv();
        async { Ok::<_, WriteError>(()) }
    });
    let flow = first.block_on(async {
        let flow = BatchFlow::builder(driver).build().unwrap();
        drop(flow.submit_tracked(row(&users(), 1, "x")).await.unwrap());
        flow
    });
    has_begun.recv().unwrap();
    first.shutdown_background();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(async {
        let closed = flow.close().await;
        assert!(closed.is_err(), "{closed:?}");
        assert_eq!(flow.stats().pending, 1);
        let flushed = tokio::time::timeout(SECOND, flow.flush()).await;
        assert!(flushed.expect("promise 9: a flush that never ends").is_err());
    });
    drop(release);
}
