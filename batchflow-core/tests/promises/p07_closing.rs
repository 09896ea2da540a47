//! Promise 7: cancel first, and what a close does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::dead_letter::{DeadLetter, DeadLetterError, DeadLetterSink};
use batchflow_core::testing::{Blame, Fault, FaultDriver, Gate, MemoryDriver};
use batchflow_core::{BatchFlow, BatchWriter, Driver, ErrorKind, Request, RowError};
use tokio::sync::oneshot;

use crate::support::{HOUR, Owned, SECOND, id, memory, row, users, watched};

#[tokio::test(start_paused = true)]
async fn promise_7_a_flow_or_writer_closes_its_driver_once_and_a_shared_one_with_the_last() {
    let driver = Arc::new(MemoryDriver::new());
    let flow = BatchFlow::builder(Owned(driver.clone())).build().unwrap();
    flow.submit(row(&users(), 1, "Ada")).await.unwrap();
    let (first, second) = tokio::join!(flow.close(), flow.close());
    assert!(first.unwrap().all_written() && second.unwrap().all_written());
    assert_eq!(driver.closed(), 1);

    BatchWriter::builder(Owned(driver.clone())).build().unwrap().close().await;
    assert_eq!(driver.closed(), 2);

    let shared = Arc::new(Owned(driver.clone()));
    let [one, two] =
        [shared.clone(), shared].map(|driver| BatchFlow::builder(driver).build().unwrap());
    assert!(one.close().await.unwrap().all_written());
    drop(one);
    tokio::time::sleep(SECOND).await;
    assert_eq!(driver.closed(), 2, "the other flow still writes through it");
    assert!(two.close().await.unwrap().all_written());
    assert_eq!(driver.closed(), 3);
}

/// A sink that takes a few turns to close.
#[derive(Debug)]
struct Leisurely;

#[async_trait]
impl DeadLetterSink for Leisurely {
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        letters.clear();
        Ok(())
    }

    async fn close(&self) {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn promise_7_flows_that_close_together_close_their_driver_once() {
    let driver = Arc::new(MemoryDriver::new());
    // Shared twice over, and by a bulk writer.
    let shared: Arc<dyn Driver> = Arc::new(Owned(driver.clone()));
    let flow = |driver: Arc<dyn Driver>| {
        let builder = BatchFlow::builder(Arc::new(driver));
        builder.dead_letters(Leisurely).build().unwrap()
    };
    let [one, two] = [shared.clone(), shared.clone()].map(flow);
    let writer = BatchWriter::builder(shared).dead_letters(Leisurely).build().unwrap();
    let (one, two, ()) = tokio::join!(one.close(), two.close(), writer.close());
    assert!(one.unwrap().all_written() && two.unwrap().all_written());
    assert_eq!(driver.closed(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_7_flows_on_several_threads_close_their_driver_once() {
    for round in 0..100 {
        let driver = Arc::new(MemoryDriver::new());
        let shared = Arc::new(Owned(driver.clone()));
        let [one, two] =
            [shared.clone(), shared].map(|driver| BatchFlow::builder(driver).build().unwrap());
        let other = tokio::spawn(async move { two.close().await });
        assert!(one.close().await.unwrap().all_written());
        assert!(other.await.unwrap().unwrap().all_written());
        assert_eq!(driver.closed(), 1, "round {round}");
    }
}

/// The very next submit after the token is cancelled is refused, without a task switch between.
#[tokio::test(start_paused = true)]
async fn promise_7_a_cancelled_token_means_not_queued() {
    for drain in [true, false] {
        let driver = watched();
        let (cancel, cancelled) = oneshot::channel::<()>();
        let flow = BatchFlow::builder(driver.clone())
            .flush_interval(HOUR)
            .drain_on_cancel(drain)
            .cancel_on(async { _ = cancelled.await })
            .build()
            .unwrap();
        let held = flow.submit_tracked(row(&users(), 1, "held")).await;
        let unwatched = flow.submit(row(&users(), 2, "held")).await;
        assert!(held.is_ok() && unwatched.is_ok());
        cancel.send(()).unwrap();
        let late = row(&users(), 3, "late");
        let refused = flow.try_submit(late.clone()).unwrap_err();
        assert!(refused.is_closed() && refused.into_request() == late);
        tokio::time::sleep(60 * SECOND).await;
        let verdict = held.unwrap().await;
        let stats = flow.stats();
        assert_eq!(stats.submitted, 2);
        if drain {
            assert!(verdict.is_ok());
            assert_eq!((stats.written, memory(&driver).len("users")), (2, 2));
        } else {
            // A tracked row may have been sent before the cancellation came; the other was not.
            let settled = u64::from(verdict.is_ok());
            assert_eq!((stats.written, stats.abandoned), (settled, 2 - settled));
            assert_eq!(memory(&driver).len("users") as u64, settled);
        }
        assert!(stats.is_conserved() && stats.pending == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn promise_7_a_token_cancelled_before_the_start_takes_no_row() {
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone()).cancel_on(async {}).build().unwrap();
    assert!(flow.submit(row(&users(), 1, "x")).await.unwrap_err().is_closed());
    assert_eq!(flow.close().await.unwrap().stats.submitted, 0);
}

/// Submits that wait for room and are dropped have queued nothing, and leave their place in line.
#[tokio::test(start_paused = true)]
async fn promise_7_a_dropped_submit_means_not_queued() {
    let driver = watched();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.inner().each(move |_, _| Fault::Wait(rule.clone()));
    let flow = BatchFlow::builder(driver.clone()).buffer_size(1).timeout(HOUR).build().unwrap();
    flow.submit(row(&users(), 0, "holds the buffer")).await.unwrap();
    for id in 1..20 {
        let waiting = tokio::time::timeout(SECOND, flow.submit(row(&users(), id, "dropped")));
        assert!(waiting.await.is_err());
    }
    assert_eq!(flow.stats().submitted, 1);
    // Granted its room and dropped in the same moment: the room goes on to the next.
    let granted = flow.submit(row(&users(), 98, "granted"));
    let mut granted = Box::pin(granted);
    assert!(tokio::time::timeout(SECOND, &mut granted).await.is_err());
    let patient = tokio::spawn({
        let flow = flow.clone();
        async move { flow.submit(row(&users(), 99, "patient")).await }
    });
    tokio::time::sleep(SECOND).await;
    gate.open();
    while flow.stats().pending > 0 && flow.stats().written == 0 {
        tokio::task::yield_now().await;
    }
    drop(granted);
    patient.await.unwrap().unwrap();
    assert!(flow.close().await.unwrap().all_written());
    let ids: Vec<_> = memory(&driver).rows("users").iter().map(|row| row[0].clone()).collect();
    assert_eq!(ids, [0_i64.into(), 99_i64.into()]);
}

/// After a close every way to submit fails, and hands back what it was given.
#[tokio::test(start_paused = true)]
async fn promise_7_after_a_close_every_submit_hands_its_rows_back() {
    let flow = BatchFlow::builder(MemoryDriver::new()).build().unwrap();
    assert!(flow.close().await.unwrap().all_written());
    let late = || row(&users(), 1, "late");
    let refused = [
        flow.submit(late()).await.unwrap_err(),
        flow.try_submit(late()).unwrap_err(),
        flow.submit_tracked(late()).await.unwrap_err(),
        flow.submit_blocking(late()).unwrap_err(),
    ];
    for error in refused {
        assert!(error.is_closed() && error.into_request() == late());
    }
    let rows: Vec<Request> = (0..5).map(|id| row(&users(), id, "late")).collect();
    let stopped = flow.submit_all(rows).await.unwrap_err();
    assert_eq!((stopped.submitted, id(&stopped.request)), (0, 0));
    assert_eq!(stopped.rest.map(|row| id(&row)).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(flow.is_closed());
}

/// A close in a hurry hands back what was surely never applied, in order, and nothing else.
#[tokio::test(start_paused = true)]
async fn promise_7_close_within_hands_back_what_was_surely_never_applied() {
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone())
        .flush_size(10)
        .concurrency(1)
        .flush_interval(HOUR)
        .build()
        .unwrap();
    driver.inner().script([Fault::Pass, Fault::Hang]);
    let mut receipts = Vec::new();
    for id in 0..35 {
        flow.submit(row(&users(), id, "x")).await.unwrap();
    }
    receipts.push(flow.submit_tracked(row(&users(), 35, "x")).await.unwrap());
    let start = tokio::time::Instant::now();
    let summary = flow.close_within(5 * SECOND).await.unwrap();
    assert!(start.elapsed() < 16 * SECOND, "promise 9: {:?}", start.elapsed());
    let returned: Vec<i64> = summary.returned.iter().map(id).collect();
    assert!(returned.is_sorted(), "{returned:?}");
    let stats = summary.stats;
    assert!(stats.is_conserved() && stats.pending == 0, "{stats:?}");
    assert_eq!((stats.written, stats.returned), (10, 26), "{stats:?}");
    let rows = memory(&driver).rows("users");
    for id in &returned {
        assert!(rows.iter().all(|row| row[0] != (*id).into()), "{id} is in the table");
    }
    for receipt in receipts {
        assert!(matches!(receipt.await, Err(RowError::NotSent(_))));
    }
    assert!(flow.close().await.unwrap().returned.is_empty(), "handed back once");
}

/// A submit that got its room, and was not polled since, when the token is cancelled.
#[tokio::test(start_paused = true)]
async fn promise_7_a_submit_that_got_its_room_is_not_queued_once_the_flow_is_cancelled() {
    let driver = watched();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.inner().each(move |_, _| Fault::Wait(rule.clone()));
    let (cancel, cancelled) = oneshot::channel::<()>();
    let flow = BatchFlow::builder(driver.clone())
        .buffer_size(1)
        .timeout(HOUR)
        .cancel_on(async { _ = cancelled.await })
        .build()
        .unwrap();
    flow.submit(row(&users(), 1, "first")).await.unwrap();
    let mut second = Box::pin(flow.submit(row(&users(), 2, "second")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut context).is_pending(), "there is no room");
    gate.open();
    while flow.stats().written == 0 {
        tokio::time::sleep(SECOND).await;
    }
    cancel.send(()).unwrap();
    let Poll::Ready(Err(refused)) = second.as_mut().poll(&mut context) else {
        panic!("promise 7: it is queued, or waits");
    };
    assert!(refused.is_closed());
    assert_eq!(id(&refused.into_request()), 2);
    assert_eq!(flow.close().await.unwrap().stats.submitted, 1);
}

/// A sink that takes its time.
#[derive(Debug)]
struct Slow(Arc<AtomicUsize>);

#[async_trait]
impl DeadLetterSink for Slow {
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        tokio::time::sleep(5 * SECOND).await;
        self.0.fetch_add(letters.len(), Ordering::SeqCst);
        letters.clear();
        Ok(())
    }
}

/// The grace is for flows that are dropped or cancelled.
#[tokio::test(start_paused = true)]
async fn promise_7_a_close_waits_for_the_last_letters_and_the_driver_whatever_the_grace() {
    let driver = Arc::new(FaultDriver::new(MemoryDriver::new()));
    driver.refuse(ErrorKind::Data, Blame::First, |_| true);
    let delivered = Arc::new(AtomicUsize::new(0));
    let flow = BatchFlow::builder(driver)
        .grace(Duration::ZERO)
        .dead_letters(Slow(delivered.clone()))
        .build()
        .unwrap();
    flow.submit(row(&users(), 1, "bad")).await.unwrap();
    let summary = flow.close().await.unwrap();
    assert_eq!((summary.stats.rejected, summary.undelivered), (1, 0));
    assert_eq!(delivered.load(Ordering::SeqCst), 1);
}

#[test]
fn promise_7_a_flow_whose_runtime_was_shut_down_holds_nothing_and_stalls_nowhere() {
    let driver = watched();
    let gate = Gate::closed();
    driver.inner().each(move |_, _| Fault::Wait(gate.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let flow = runtime.block_on(async {
        let flow = BatchFlow::builder(driver).flush_size(1).buffer_size(10).build().unwrap();
        for at in 0..5 {
            flow.submit(row(&users(), at, "x")).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(flow.health().oldest_pending.is_some());
        flow
    });
    drop(runtime);
    assert_eq!((flow.stats().pending, flow.stats().drift()), (0, 0));
    let health = flow.health();
    assert!(health.oldest_pending.is_none() && health.stalled.is_empty(), "{health:?}");
}
