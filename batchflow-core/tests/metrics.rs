//! What a flow tells its metrics, and what its probe reads.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use batchflow_core::metrics::{
    AttemptEvent, BatchEvent, DeadLetterEvent, FlushEvent, LaunchEvent, LookupEvent, Metrics,
    RetryEvent, SplitEvent, SubmitEvent, Trigger,
};
use batchflow_core::testing::{Blame, Fault, FaultDriver, MemoryDriver, miscount};
use batchflow_core::{
    BatchFlow, ConflictStrategy, Driver, ErrorKind, FlowBuilder, FlowProbe, Request, Schema,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Every event in a line of words, in the order they came.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self, word: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
    }
}

impl Metrics for Log {
    fn watch(&self, probe: FlowProbe) {
        self.note(format!("watch {}", probe.backend()));
    }

    fn submit(&self, event: &SubmitEvent) {
        self.note(format!("submit waited={} sampled={}", event.waited, event.sampled));
    }

    fn flush(&self, event: &FlushEvent) {
        let FlushEvent { trigger, rows, schemas, .. } = event;
        self.note(format!("flush {} rows={rows} schemas={schemas}", trigger.as_str()));
    }

    fn launch(&self, event: &LaunchEvent<'_>) {
        let LaunchEvent { table, trigger, rows, merged, waited, .. } = event;
        let (trigger, waited) = (trigger.as_str(), waited.as_millis());
        self.note(format!("launch {table} {trigger} rows={rows} merged={merged} {waited}ms"));
    }

    fn attempt(&self, event: &AttemptEvent<'_>) {
        let error = event.error.map(|error| (error.kind().as_str(), error.stage().as_str()));
        let AttemptEvent { rows, number, way, affected, ignored, .. } = event;
        self.note(format!("attempt {rows} #{number} {way:?} {affected:?} {ignored:?} {error:?}"));
    }

    fn lookup(&self, event: &LookupEvent<'_>) {
        let error = event.error.map(|error| error.kind().as_str());
        self.note(format!("lookup {} {error:?}", event.stage.as_str()));
    }

    fn batch(&self, event: &BatchEvent<'_>) {
        let cause = event.cause.map(|cause| cause.kind().as_str());
        self.note(format!("batch {} {} {cause:?}", event.rows, event.outcome()));
    }

    fn retry(&self, event: &RetryEvent<'_>) {
        self.note(format!("retry {} {}", event.rows, event.error.kind()));
    }

    fn split(&self, event: &SplitEvent<'_>) {
        self.note(format!("split {} {}", event.rows, event.error.kind()));
    }

    fn dead_letters(&self, event: &DeadLetterEvent<'_>) {
        let DeadLetterEvent { table, rows, outcome, kind, .. } = event;
        self.note(format!("dead_letters {table} {rows} {outcome} {kind}"));
    }
}

fn logs() -> Schema {
    Schema::new("logs", ConflictStrategy::Update, ["id", "line"]).unwrap()
}

fn row(id: i64) -> Request {
    logs().row((id, "x")).unwrap()
}

/// A flow that sends nothing by itself but full batches of 4.
fn builder(driver: impl Driver, log: &Log) -> FlowBuilder {
    BatchFlow::builder(driver).flush_interval(HOUR).flush_size(4).metrics(log.clone())
}

#[tokio::test(start_paused = true)]
async fn every_batch_says_what_sent_it() {
    let log = Log::default();
    let flow = builder(MemoryDriver::new(), &log).flush_interval(HOUR).build().unwrap();
    for id in 0..4 {
        flow.submit(row(id)).await.unwrap();
    }
    tokio::task::yield_now().await;
    flow.submit(row(8)).await.unwrap();
    flow.submit(row(8)).await.unwrap();
    flow.flush().await.unwrap();
    flow.submit_tracked(row(9)).await.unwrap().await.unwrap();
    flow.tune(|tune| tune.flush_interval(Duration::from_millis(50)));
    flow.submit(row(10)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    flow.submit(row(11)).await.unwrap();
    let _ = flow.close().await.unwrap();
    assert_eq!(
        log.lines("launch "),
        [
            "logs full rows=4 merged=0 0ms",
            "logs flush rows=1 merged=1 0ms",
            "logs tracked rows=1 merged=0 0ms",
            "logs age rows=1 merged=0 50ms",
            "logs close rows=1 merged=0 0ms",
        ]
    );
    assert_eq!(
        log.lines("flush "),
        [
            "full rows=4 schemas=1",
            "flush rows=2 schemas=1",
            "tracked rows=1 schemas=1",
            "age rows=1 schemas=1",
            "close rows=1 schemas=1",
        ]
    );
    let activity = flow.probe().read().activity;
    let by = |trigger| activity.batches_by(trigger);
    assert_eq!((by(Trigger::Full), by(Trigger::Age), by(Trigger::Room)), (1, 1, 0));
    assert_eq!((activity.batches(), activity.merged), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_many_bytes_and_one_for_which_submitters_wait_say_so() {
    let log = Log::default();
    let driver = MemoryDriver::new();
    let flow = builder(driver, &log).flush_bytes(2 * row(0).size_bytes()).build().unwrap();
    flow.submit(row(0)).await.unwrap();
    flow.submit(row(1)).await.unwrap();
    let _ = flow.close().await.unwrap();
    assert_eq!(log.lines("launch "), ["logs bytes rows=2 merged=0 0ms"]);

    let log = Log::default();
    let flow = builder(MemoryDriver::new(), &log).flush_size(9).buffer_size(3).build().unwrap();
    for id in 0..4 {
        flow.submit(row(id)).await.unwrap();
    }
    let _ = flow.close().await.unwrap();
    let launches = log.lines("launch ");
    assert_eq!(launches[0], "logs room rows=3 merged=0 0ms");
    let waits = log.lines("submit ");
    assert_eq!(waits.iter().filter(|line| line.starts_with("waited=true")).count(), 1, "{waits:?}");
    assert_eq!(flow.probe().read().activity.waits, 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_waited_in_vain_is_not_told_as_queued() {
    let driver = FaultDriver::new(MemoryDriver::new());
    driver.script([Fault::Hang]);
    let log = Log::default();
    let flow = builder(driver, &log).buffer_size(1).timeout(HOUR).build().unwrap();
    flow.submit(row(0)).await.unwrap();
    let (waits, close) =
        tokio::join!(flow.submit(row(1)), flow.close_within(Duration::from_secs(1)));
    assert!(waits.unwrap_err().is_closed());
    let _ = close.unwrap();
    let told = log.lines("submit ");
    assert!(told.iter().all(|line| !line.starts_with("waited=true")), "{told:?}");
    let activity = flow.probe().read().activity;
    assert_eq!((activity.waits, activity.refused_closed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn refused_rows_are_counted_by_reason() {
    let flow = builder(MemoryDriver::new(), &Log::default())
        .buffer_size(2)
        .buffer_bytes(500)
        .build()
        .unwrap();
    let bad = Request::new(&logs()).set("nowhere", 1_i64);
    assert!(flow.submit(bad).await.unwrap_err().is_invalid());
    let large = logs().row((1_i64, "x".repeat(1_000))).unwrap();
    assert!(flow.try_submit(large).unwrap_err().is_invalid());
    flow.try_submit(row(1)).unwrap();
    flow.try_submit(row(2)).unwrap();
    assert!(flow.try_submit(row(3)).unwrap_err().is_full());
    let _ = flow.close().await.unwrap();
    assert!(flow.submit(row(4)).await.unwrap_err().is_closed());
    assert!(flow.try_submit(row(4)).unwrap_err().is_closed());
    let refused = flow.probe().read().activity;
    assert_eq!(
        [
            refused.refused_invalid,
            refused.refused_too_large,
            refused.refused_full,
            refused.refused_closed
        ],
        [1, 1, 1, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_with_their_kind_and_stage() {
    let log = Log::default();
    let driver = FaultDriver::new(MemoryDriver::new()).settling();
    driver.script_describe([ErrorKind::Connection.into()]);
    driver.script([
        Fault::fail(ErrorKind::Deadlock),
        Fault::LoseAnswer(ErrorKind::Connection.into()),
    ]);
    driver.refuse(ErrorKind::Constraint, Blame::Nobody, |row| {
        row.get::<i64>("id").unwrap() == Some(5)
    });
    let flow = builder(driver, &log).build().unwrap();
    for id in 0..2 {
        flow.submit(row(id)).await.unwrap();
    }
    flow.flush().await.unwrap();
    for id in 4..6 {
        flow.submit(row(id)).await.unwrap();
    }
    flow.flush().await.unwrap();
    let _ = flow.close().await.unwrap();
    assert_eq!(
        log.lines("lookup "),
        ["describe Some(\"connection\")", "describe None", "settle None"]
    );
    let attempts = log.lines("attempt ");
    assert!(attempts[0].ends_with("Some((\"deadlock\", \"write\"))"), "{attempts:?}");
    assert!(attempts[1].starts_with("2 #2"), "{attempts:?}");
    assert_eq!(log.lines("retry "), ["2 deadlock"]);
    assert_eq!(log.lines("split "), ["2 constraint"]);
    assert_eq!(log.lines("batch "), ["2 written None", "2 rejected Some(\"constraint\")"]);
    assert_eq!(log.lines("dead_letters "), ["logs 1 rejected constraint"]);
    assert_eq!(flow.probe().read().letters.logged, 1);
}

#[tokio::test(start_paused = true)]
async fn under_ignore_it_is_told_how_many_rows_kept_what_was_there() {
    let log = Log::default();
    let flow = builder(MemoryDriver::new(), &log).build().unwrap();
    let logs = Schema::new("logs", ConflictStrategy::Ignore, ["id", "line"]).unwrap();
    for ids in [0..2, 0..3] {
        for id in ids {
            flow.submit(logs.row((id, "x")).unwrap()).await.unwrap();
        }
        flow.flush().await.unwrap();
    }
    let attempts = log.lines("attempt ");
    assert!(attempts[0].starts_with("2 #1 None Some(2) Some(0)"), "{attempts:?}");
    assert!(attempts[1].starts_with("3 #1 None Some(1) Some(2)"), "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_reads_what_is_held_and_goes_on_after_the_flow() {
    let driver = FaultDriver::new(MemoryDriver::new());
    driver.script([Fault::Hang]);
    let log = Log::default();
    let flow = builder(driver, &log).concurrency(3).timeout(HOUR).build().unwrap();
    assert_eq!(log.lines("watch "), ["memory"]);
    let probe = flow.probe();
    for id in 0..6 {
        flow.submit(row(id)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(7)).await;
    let reading = probe.read();
    assert_eq!(reading.in_flight, 1);
    assert_eq!((reading.stats.in_flight, reading.stats.queued, reading.stats.pending), (4, 0, 6));
    assert_eq!((reading.concurrency, reading.buffer_rows), (3, 10_000));
    assert_eq!(reading.oldest_pending, Some(Duration::from_secs(7)));
    assert!(reading.running && !reading.ended);
    let summary = flow.close_within(Duration::from_secs(1)).await.unwrap();
    let closed = probe.read();
    assert!(!closed.running && !closed.ended, "a handle is left");
    drop(flow);
    tokio::task::yield_now().await;
    let last = probe.read();
    assert!(last.ended && !last.running);
    assert_eq!(last.stats, summary.stats);
    assert_eq!((last.in_flight, last.oldest_pending), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_counted_twice_is_seen() {
    let flow = builder(MemoryDriver::new(), &Log::default()).build().unwrap();
    flow.submit(row(1)).await.unwrap();
    assert_eq!((flow.stats().drift(), flow.stats().is_conserved()), (0, true));
    miscount(&flow);
    assert_eq!((flow.stats().drift(), flow.stats().is_conserved()), (-1, false));
    flow.flush().await.unwrap();
    assert_eq!(flow.stats().drift(), -1);
}
