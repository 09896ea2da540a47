//! Promise 9: every await ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::dead_letter::{DeadLetter, DeadLetterError, DeadLetterSink};
use batchflow_core::testing::{Fault, MemoryDriver};
use batchflow_core::{
    Attempt, Batch, BatchFlow, BatchWriter, Capabilities, CommitToken, Driver, ErrorKind, Report,
    RetryPolicy, RowError, Schema, Settled, TableInfo, WriteError,
};
use tokio::time::Instant;

use crate::support::{HOUR, Owned, SECOND, row, schema, users, watched};

/// Whatever it is asked for hangs, cancelled or not, from `from` on.
#[derive(Debug)]
struct Deaf {
    hangs: Hangs,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Hangs {
    Describe,
    Write,
    Settle,
    Close,
}

impl Deaf {
    async fn hang_if(&self, what: Hangs) {
        if self.hangs == what {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Driver for Deaf {
    fn backend(&self) -> &'static str {
        "deaf"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none().with_describe().with_settle()
    }

    async fn write(&self, _: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        attempt.record(CommitToken::new(()));
        self.hang_if(Hangs::Write).await;
        match self.hangs {
            Hangs::Settle => Err(WriteError::new(ErrorKind::Connection).outcome_unknown()),
            _ => Ok(Report::all()),
        }
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        self.hang_if(Hangs::Describe).await;
        Ok(TableInfo::unchecked(schema))
    }

    async fn settle(&self, _: &CommitToken) -> Result<Settled, WriteError> {
        self.hang_if(Hangs::Settle).await;
        Ok(Settled::Running)
    }

    async fn close(&self) {
        self.hang_if(Hangs::Close).await;
    }
}

/// A driver that never answers, whatever it is asked: verdicts, flush and close come all the same.
#[tokio::test(start_paused = true)]
async fn promise_9_a_deaf_driver_delays_verdicts_flush_and_close_but_stops_none() {
    for hangs in [Hangs::Describe, Hangs::Write, Hangs::Settle, Hangs::Close] {
        let start = Instant::now();
        let flow = BatchFlow::builder(Deaf { hangs })
            .timeout(10 * SECOND)
            .retry(RetryPolicy::default().give_up_after(60 * SECOND))
            .build()
            .unwrap();
        let receipt = flow.submit_tracked(row(&users(), 1, "x")).await.unwrap();
        flow.submit(row(&users(), 2, "x")).await.unwrap();
        let flush = tokio::time::timeout(HOUR, flow.flush()).await;
        assert!(flush.is_ok(), "{hangs:?}: a flush never ended");
        let verdict = tokio::time::timeout(HOUR, receipt).await.expect("a receipt never came");
        match hangs {
            Hangs::Close => assert!(verdict.is_ok()),
            Hangs::Describe => assert!(matches!(verdict, Err(RowError::NotSent(_)))),
            _ => assert!(matches!(verdict, Err(RowError::Unknown(_))), "{hangs:?} {verdict:?}"),
        }
        let summary = tokio::time::timeout(HOUR, flow.close()).await.expect("a close never ended");
        assert_eq!(summary.unwrap().stats.pending, 0);
        assert!(start.elapsed() < 400 * SECOND, "{hangs:?}: {:?}", start.elapsed());
    }
}

/// A write that hangs is cancelled at its deadline, and tried again.
#[tokio::test(start_paused = true)]
async fn promise_9_an_attempt_that_hangs_is_cancelled_and_its_rows_are_sent_again() {
    let driver = watched();
    driver.inner().script([Fault::Hang, Fault::Hang]);
    let flow = BatchFlow::builder(driver.clone()).timeout(3 * SECOND).build().unwrap();
    let start = Instant::now();
    let receipt = flow.submit_tracked(row(&users(), 1, "x")).await.unwrap();
    assert!(receipt.await.is_ok());
    let took = start.elapsed();
    assert!((6 * SECOND..8 * SECOND).contains(&took), "{took:?}");
    assert_eq!(driver.attempts(), 3);
}

/// A close during an outage ends by its own deadline, not by that of the retries.
#[tokio::test(start_paused = true)]
async fn promise_9_a_close_during_an_outage_ends_in_time() {
    let driver = watched();
    driver.inner().each(|_, _| Fault::fail(ErrorKind::Connection));
    let flow = BatchFlow::builder(driver.clone())
        .retry(RetryPolicy::default().give_up_after(24 * HOUR))
        .build()
        .unwrap();
    for id in 0..10 {
        flow.submit(row(&users(), id, "x")).await.unwrap();
    }
    let start = Instant::now();
    let summary = flow.close_within(30 * SECOND).await.unwrap();
    assert!(start.elapsed() < 45 * SECOND, "{:?}", start.elapsed());
    assert_eq!((summary.stats.returned, summary.returned.len()), (10, 10));
}

/// A dead-letter sink that takes nothing stops no verdict, and no close for ever.
#[tokio::test(start_paused = true)]
async fn promise_9_a_full_dead_letter_channel_holds_back_batches_but_no_verdict_and_no_close() {
    let (sink, letters) = batchflow_core::dead_letter::channel(1);
    let driver = watched();
    driver.inner().each(|_, _| Fault::fail(ErrorKind::Permission));
    let flow = BatchFlow::builder(driver.clone())
        .dead_letters(sink)
        .flush_size(2)
        .concurrency(1)
        .grace(20 * SECOND)
        .build()
        .unwrap();
    let mut receipts = Vec::new();
    for id in 0..2 {
        receipts.push(flow.submit_tracked(row(&users(), id, "x")).await.unwrap());
    }
    for receipt in receipts {
        assert!(matches!(receipt.await, Err(RowError::Rejected(_))));
    }
    for id in 2..10 {
        flow.submit(row(&users(), id, "x")).await.unwrap();
    }
    tokio::time::sleep(60 * SECOND).await;
    assert!(flow.stats().pending > 0, "new batches wait for the letters");
    assert!(flow.health().dead_letter_backlog > 0);
    let start = Instant::now();
    let summary = flow.close_within(60 * SECOND).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(200), "{:?}", start.elapsed());
    assert!(summary.stats.is_conserved() && summary.stats.pending == 0);
    assert!(summary.undelivered > 0);
    drop(letters);
}

/// Two flows over one hanging driver do not wait for each other.
#[tokio::test(start_paused = true)]
async fn promise_9_flows_that_share_a_driver_end_by_themselves() {
    let driver = Arc::new(Deaf { hangs: Hangs::Write });
    let flows = [driver.clone(), driver]
        .map(|driver| BatchFlow::builder(driver).timeout(SECOND).build().unwrap());
    for flow in &flows {
        flow.submit(row(&users(), 1, "x")).await.unwrap();
    }
    for flow in &flows {
        let closed = tokio::time::timeout(HOUR, flow.close()).await.expect("a close never ended");
        assert_eq!(closed.unwrap().stats.unknown, 1);
    }
}

/// The only slot is held by an attempt, and given up as that waits to be tried again.
#[tokio::test(start_paused = true)]
async fn promise_9_a_slot_freed_by_a_retry_is_used_by_the_rows_that_wait_for_it() {
    for case in ["a batch", "a look-up"] {
        let driver = watched();
        let policy = RetryPolicy::default().first_delay(HOUR).max_delay(HOUR);
        let flow = BatchFlow::builder(driver.clone()).concurrency(1).timeout(HOUR);
        let flow = flow.retry(policy.give_up_after(4 * HOUR)).build().unwrap();
        let (a, b) = (users(), schema("b", users().strategy()));
        if case == "a look-up" {
            driver.inner().script_describe([ErrorKind::Permission.into()]);
            let refused = flow.submit_tracked(row(&b, 0, "x")).await.unwrap();
            assert!(matches!(refused.await, Err(RowError::Rejected(_))));
        }
        let slow = Fault::Delay(5 * SECOND, Box::new(Fault::fail(ErrorKind::Deadlock)));
        driver.inner().script([slow]);
        let of_a = flow.submit_tracked(row(&a, 1, "x")).await.unwrap();
        tokio::time::sleep(SECOND / 2).await;
        let of_b = flow.submit_tracked(row(&b, 2, "x")).await.unwrap();
        tokio::select! {
            biased;
            written = of_b => assert!(written.is_ok(), "{case}: {written:?}"),
            _ = of_a => panic!("{case}: it waited for the batch that was to be tried again"),
        }
        let summary = flow.close_within(2 * HOUR).await.unwrap();
        assert!(summary.all_written() || case == "a look-up", "{case}: {summary:?}");
    }
}

/// A dead-letter sink whose close hangs, or panics.
#[derive(Debug)]
struct Stubborn {
    panics: bool,
}

#[async_trait]
impl DeadLetterSink for Stubborn {
    async fn deliver(&self, _: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        Ok(())
    }

    async fn close(&self) {
        assert!(!self.panics, "a close that panics");
        std::future::pending::<()>().await;
    }
}

/// Its driver is closed, whatever its sink does; and where the driver hangs, it ends all the same.
#[tokio::test(start_paused = true)]
async fn promise_9_the_close_of_a_bulk_writer_ends() {
    for panics in [false, true] {
        let driver = Arc::new(MemoryDriver::new());
        let writer = BatchWriter::builder(Owned(driver.clone())).dead_letters(Stubborn { panics });
        let closed = tokio::time::timeout(HOUR, writer.build().unwrap().close()).await;
        assert_eq!((closed, driver.closed()), (Ok(()), 1), "panics: {panics}");
    }
    let writer = BatchWriter::builder(Deaf { hangs: Hangs::Close }).build().unwrap();
    assert!(tokio::time::timeout(HOUR, writer.close()).await.is_ok());
}
