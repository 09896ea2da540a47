//! Promise 1: submitted = written + superseded + rejected + unknown + returned + abandoned +
//! pending, in one snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use batchflow_core::testing::{Fault, MemoryDriver};
use batchflow_core::{BatchFlow, ConflictStrategy, ErrorKind, Outcome, RetryPolicy, RowError};
use tokio::task::JoinSet;

use crate::support::{HOUR, MILLI, SECOND, memory, row, schema, users, watched};

/// A close races 64 submitters on several threads: each submit is queued and written, or refused
/// with its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn promise_1_a_close_racing_64_submitters_loses_no_row_and_doubles_none() {
    for round in 0..20 {
        let driver = Arc::new(MemoryDriver::new());
        let flow =
            BatchFlow::builder(driver.clone()).flush_size(7).buffer_size(100).build().unwrap();
        let users = users();
        let queued = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for task in 0..64_i64 {
            let (flow, users, queued) = (flow.clone(), users.clone(), queued.clone());
            tasks.spawn(async move {
                for number in 0.. {
                    let request = row(&users, task * 1_000_000 + number, "x");
                    match flow.submit(request.clone()).await {
                        Ok(()) => queued.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert!(error.is_closed());
                            assert!(error.into_request() == request);
                            return;
                        }
                    };
                }
            });
        }
        while queued.load(Ordering::Relaxed) < round * 40 {
            tokio::task::yield_now().await;
        }
        let summary = flow.close().await.unwrap();
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        let stats = summary.stats;
        assert_eq!((stats.submitted, stats.pending), (queued.load(Ordering::Relaxed), 0));
        assert!(stats.is_conserved() && summary.all_written(), "{stats:?}");
        assert_eq!(driver.len("users") as u64, stats.submitted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn promise_1_every_snapshot_adds_up_while_rows_come_and_go() {
    let driver = watched();
    driver.inner().refuse(ErrorKind::Data, batchflow_core::testing::Blame::First, |row| {
        row.get::<i64>("id").unwrap().unwrap() % 50 == 0
    });
    let flow = BatchFlow::builder(driver).flush_size(16).buffer_size(64).build().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (watching, over) = (flow.clone(), done.clone());
    let watcher = std::thread::spawn(move || {
        let mut looks = 0_u64;
        while !over.load(Ordering::Relaxed) || looks == 0 {
            let stats = watching.stats();
            assert!(stats.is_conserved() && stats.pending <= 64, "{stats:?}");
            looks += 1;
        }
    });
    let mut tasks = JoinSet::new();
    for task in 0..4_i64 {
        let flow = flow.clone();
        tasks.spawn(async move {
            for number in 0..500 {
                flow.submit(row(&users(), task * 500 + number, "x")).await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let stats = flow.close().await.unwrap().stats;
    done.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    assert_eq!((stats.submitted, stats.written, stats.rejected), (2_000, 1_960, 40));
}

#[tokio::test(start_paused = true)]
async fn promise_1_a_thousand_schemas_at_once() {
    let driver = Arc::new(MemoryDriver::new());
    let flow = BatchFlow::builder(driver.clone()).build().unwrap();
    for id in 0..3 {
        for table in 0..1_000 {
            let schema = schema(&format!("table_{table}"), ConflictStrategy::Ignore);
            flow.submit(row(&schema, id, "x")).await.unwrap();
        }
    }
    let summary = flow.close().await.unwrap();
    assert!(summary.all_written(), "{:?}", summary.stats);
    assert!((0..1_000).all(|table| driver.len(&format!("table_{table}")) == 3));
}

#[tokio::test(start_paused = true)]
async fn promise_1_of_two_schemas_one_fails_and_the_other_loses_nothing() {
    let driver = watched();
    driver.inner().each(|batch, _| match batch.schema().table().name() {
        "sick" => Fault::fail(ErrorKind::Connection),
        _ => Fault::Pass,
    });
    let flow = BatchFlow::builder(driver.clone())
        .flush_size(10)
        .retry(RetryPolicy::default().give_up_after(60 * SECOND))
        .build()
        .unwrap();
    let [sick, well] = ["sick", "well"].map(|table| schema(table, ConflictStrategy::Ignore));
    for id in 0..200 {
        flow.submit(row(&sick, id, "x")).await.unwrap();
        flow.submit(row(&well, id, "x")).await.unwrap();
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(memory(&driver).len("well"), 200, "a backoff holds no slot");
    assert_eq!(flow.health().stalled, ["sick"]);
    let summary = flow.close().await.unwrap();
    let stats = summary.stats;
    assert_eq!((stats.written, stats.rejected, stats.submitted), (200, 200, 400));
    assert!(stats.is_conserved());
}

#[tokio::test(start_paused = true)]
async fn promise_1_a_drop_without_close_drains() {
    let driver = Arc::new(MemoryDriver::new());
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    for id in 0..100 {
        flow.submit(row(&users(), id, "x")).await.unwrap();
    }
    drop(flow.clone());
    tokio::time::sleep(SECOND).await;
    assert_eq!(driver.len("users"), 0, "one of two clones is not the last");
    drop(flow);
    tokio::time::sleep(SECOND).await;
    assert_eq!(driver.len("users"), 100);
}

#[tokio::test(start_paused = true)]
async fn promise_1_a_drop_beyond_its_grace_abandons_what_is_left() {
    let driver = watched();
    driver.inner().each(|_, _| Fault::Hang);
    let flow = BatchFlow::builder(driver.clone()).grace(5 * SECOND).build().unwrap();
    let receipt = flow.submit_tracked(row(&users(), 1, "x")).await.unwrap();
    drop(flow);
    let start = tokio::time::Instant::now();
    assert!(matches!(receipt.await, Err(RowError::NotSent(_))));
    assert!(start.elapsed() < 20 * SECOND, "{:?}", start.elapsed());
}

/// A row given up after its retries was not applied, and counts as rejected.
#[tokio::test(start_paused = true)]
async fn promise_1_a_row_given_up_is_counted_and_its_outage_survived() {
    let driver = watched();
    let flow = BatchFlow::builder(driver.clone())
        .retry(RetryPolicy::default().give_up_after(30 * SECOND))
        .build()
        .unwrap();
    driver.inner().each(|_, _| Fault::fail(ErrorKind::Connection));
    let lost = flow.submit_tracked(row(&users(), 1, "lost")).await.unwrap();
    let error = lost.await.unwrap_err();
    assert!(matches!(&error, RowError::NotSent(e) if e.kind() == ErrorKind::Connection));
    driver.inner().heal();
    let saved = flow.submit_tracked(row(&users(), 2, "saved")).await.unwrap();
    assert_eq!(saved.await.unwrap(), Outcome::Written);
    tokio::time::sleep(MILLI).await;
    let stats = flow.stats();
    assert_eq!((stats.written, stats.rejected, stats.pending), (1, 1, 0));
}

/// A close that is given up goes on, for whoever closes again. Where the last handle is gone
/// instead, there is nobody to take rows back.
#[tokio::test(start_paused = true)]
async fn promise_1_rows_that_nobody_is_left_to_take_back_are_abandoned() {
    for closed_again in [false, true] {
        let driver = watched();
        driver.inner().each(|_, _| Fault::Hang);
        let flow = BatchFlow::builder(driver).timeout(2 * HOUR).build().unwrap();
        let probe = flow.probe();
        flow.submit(row(&users(), 1, "x")).await.unwrap();
        let close = tokio::time::timeout(SECOND, flow.close_within(5 * SECOND));
        assert!(close.await.is_err());
        if closed_again {
            assert_eq!(flow.close().await.unwrap().returned.len(), 1);
        }
        drop(flow);
        tokio::time::sleep(300 * SECOND).await;
        let stats = probe.read().stats;
        let expected = if closed_again { (1, 0) } else { (0, 1) };
        assert_eq!((stats.returned, stats.abandoned), expected, "{stats:?}");
    }
}
