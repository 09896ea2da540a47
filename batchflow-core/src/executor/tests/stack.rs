//! The standard stack over one driver.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::executor::{Health, Slots, StackConfig, standard};
use crate::metrics::{AttemptEvent, BatchEvent, Metrics, RetryEvent, SplitEvent};

/// A driver that takes a second for a batch, and knows how many it writes at once.
fn counting(most: &Arc<AtomicUsize>) -> Arc<ScriptDriver> {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::clone(most));
    Arc::new(ScriptDriver::new(move |_, _| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(secs(1)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok(Report::all())
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_run_at_once_than_there_are_slots() {
    let most = Arc::new(AtomicUsize::new(0));
    let slots = Slots::new(3);
    let stack = standard(counting(&most), StackConfig::new(Arc::clone(&slots)));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let stack = Arc::clone(&stack);
        tasks.spawn(async move { word(&stack.execute(batch(1), &Attempt::new()).await, 1) });
    }
    assert_eq!(tasks.join_all().await, ["written"; 12]);
    assert_eq!((most.load(Ordering::Relaxed), start.elapsed()), (3, secs(4)));
    assert_eq!(slots.available(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_wait_between_attempts_holds_no_slot() {
    let slots = Slots::new(1);
    let driver = ScriptDriver::new(|batch: Batch, _| async move {
        match batch.len() {
            1 => Ok(Report::all()),
            _ => Err(error(ErrorKind::Connection).with_retry_after(secs(60))),
        }
    });
    let stack = standard(Arc::new(driver), StackConfig::new(Arc::clone(&slots)));
    let sick = tokio::spawn({
        let stack = Arc::clone(&stack);
        async move { stack.execute(batch(2), &Attempt::new()).await }
    });
    tokio::time::sleep(secs(1)).await;
    let start = Instant::now();
    assert_eq!(word(&stack.execute(batch(1), &Attempt::new()).await, 1), "written");
    assert_eq!((start.elapsed(), slots.available()), (secs(0), 1));
    assert_eq!(word(&sick.await.unwrap(), 2), "not_applied connection");
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_stops_takes_its_batches_out_of_the_queue_for_a_slot() {
    let slots = Slots::new(1);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let most = Arc::new(AtomicUsize::new(0));
    let stack = standard(counting(&most), StackConfig::new(Arc::clone(&slots)));
    let held = slots.acquire().await;
    let waiting = tokio::spawn(async move {
        word(&stack.execute(batch(1), &Attempt::with_parent(Some(stopped))).await, 1)
    });
    tokio::time::sleep(secs(1)).await;
    stop.send_replace(true);
    assert_eq!(waiting.await.unwrap(), "not_applied cancelled");
    drop(held);
    assert_eq!((slots.available(), most.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_timed_out_attempt_is_tried_again() {
    let driver = ScriptDriver::new(|_, attempt: Attempt| async move {
        if attempt.number() < 3 {
            attempt.cancelled().await;
            return Err(error(ErrorKind::Cancelled));
        }
        Ok(Report::all())
    });
    let stack = standard(Arc::new(driver), StackConfig::new(Slots::new(1)));
    let start = Instant::now();
    assert_eq!(word(&stack.execute(batch(2), &Attempt::new()).await, 2), "written");
    assert!(start.elapsed() >= secs(60) && start.elapsed() < secs(61));
}

#[tokio::test(start_paused = true)]
async fn promise_4_a_search_goes_on_through_a_transient_failure() {
    let sick = Arc::new(AtomicUsize::new(0));
    let driver = ScriptDriver::new(move |batch: Batch, _| {
        let turn = sick.fetch_add(1, Ordering::Relaxed);
        async move {
            if turn % 2 == 1 {
                return Err(error(ErrorKind::Deadlock));
            }
            let is_bad = ids(&batch).contains(&5);
            if is_bad { Err(error(ErrorKind::Constraint)) } else { Ok(Report::all()) }
        }
    });
    let stack = standard(Arc::new(driver), StackConfig::new(Slots::new(1)));
    let report = stack.execute(batch(9), &Attempt::new()).await;
    let mut expected = vec!["written"; 9];
    expected[5] = "rejected constraint";
    assert_eq!(words(&report, 9), expected);
}

#[tokio::test(start_paused = true)]
async fn a_report_of_the_wrong_length_leaves_no_row_without_a_verdict() {
    for (verdicts, expected) in [
        (vec![Verdict::Written], ["written", "unknown internal", "unknown internal"]),
        (vec![Verdict::Written; 5], ["written"; 3]),
    ] {
        let report = Report::each(verdicts);
        let driver = ScriptDriver::new(move |_, _| std::future::ready(Ok(report.clone())));
        let stack = standard(Arc::new(driver), StackConfig::new(Slots::new(1)));
        let report = stack.execute(batch_under(ConflictStrategy::Fail, 3), &Attempt::new()).await;
        assert_eq!(words(&report, 3), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn health_names_the_failing_schema_until_it_recovers() {
    let health = Arc::new(Health::default());
    let config = StackConfig { health: Some(health.clone()), ..StackConfig::new(Slots::new(1)) };
    let driver = ScriptDriver::new(|batch: Batch, attempt| async move {
        match (batch.len(), attempt.number()) {
            (2, 1..=2) => Err(error(ErrorKind::Connection).with_retry_after(secs(10))),
            _ => Ok(Report::all()),
        }
    });
    let stack = standard(Arc::new(driver), config);
    let start = Instant::now();
    let running = tokio::spawn(async move { stack.execute(batch(2), &Attempt::new()).await });
    tokio::time::sleep(secs(15)).await;
    let failing = health.failing();
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0].0, *batch(1).schema());
    assert_eq!((failing[0].1.kind, failing[0].1.since), (ErrorKind::Connection, start));
    assert!(failing[0].1.last >= start + secs(10));
    running.await.unwrap();
    assert_eq!(health.failing(), []);
}

#[derive(Debug, Default)]
struct Recorder {
    lines: Mutex<Vec<String>>,
    panics: bool,
}

impl Recorder {
    fn note(&self, line: String) {
        self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
        assert!(!self.panics, "metrics");
    }
}

impl Metrics for Recorder {
    fn attempt(&self, event: &AttemptEvent<'_>) {
        let end = event.error.map_or("ok", |error| error.kind().as_str());
        let AttemptEvent { backend, table, rows, number, .. } = event;
        self.note(format!("{backend} {table} attempt {number} rows {rows} {end}"));
    }

    fn batch(&self, event: &BatchEvent<'_>) {
        let BatchEvent { rows, written, rejected, not_applied, unknown, .. } = event;
        assert!(event.bytes > 0);
        self.note(format!("batch {rows}: {written} {rejected} {not_applied} {unknown}"));
    }

    fn retry(&self, event: &RetryEvent<'_>) {
        self.note(format!("retry {} {}", event.rows, event.error.kind()));
    }

    fn split(&self, event: &SplitEvent<'_>) {
        self.note(format!("split {} {}", event.rows, event.error.kind()));
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_hear_of_everything_and_their_panics_harm_nothing() {
    for panics in [false, true] {
        let recorder = Arc::new(Recorder { panics, ..Recorder::default() });
        let config =
            StackConfig { metrics: Some(recorder.clone()), ..StackConfig::new(Slots::new(1)) };
        let first = AtomicUsize::new(0);
        let driver = ScriptDriver::new(move |batch: Batch, _| {
            let is_first = first.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                match ids(&batch).contains(&1) {
                    _ if is_first => Err(error(ErrorKind::Connection)),
                    true => Err(error(ErrorKind::Data)),
                    false => Ok(Report::all()),
                }
            }
        });
        let stack = standard(Arc::new(driver), config);
        let report = stack.execute(batch(2), &Attempt::new()).await;
        assert_eq!(words(&report, 2), ["written", "rejected data"]);
        assert_eq!(
            *recorder.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            [
                "script t attempt 1 rows 2 connection",
                "retry 2 connection",
                "script t attempt 2 rows 2 data",
                "split 2 data",
                "script t attempt 2 rows 1 ok",
                "script t attempt 2 rows 1 data",
                "batch 2: 1 1 0 0",
            ]
        );
    }
}

/// However long others hold the slots; but the rows at fault in a refused batch are looked for.
#[tokio::test(start_paused = true)]
async fn no_retry_begins_once_its_rows_are_given_up() {
    for (kind, expected) in
        [(ErrorKind::Deadlock, "not_applied timeout"), (ErrorKind::Constraint, "written")]
    {
        let slots = Slots::new(1);
        let driver = Arc::new(ScriptDriver::new(move |_, attempt: Attempt| async move {
            if attempt.number() > 1 {
                return Ok(Report::all());
            }
            tokio::time::sleep(secs(1)).await;
            Err(error(kind))
        }));
        let stack = standard(driver, StackConfig::new(Arc::clone(&slots)));
        let running = tokio::spawn(async move { stack.execute(batch(2), &Attempt::new()).await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        let held = slots.acquire().await;
        tokio::time::sleep(secs(600)).await;
        assert_eq!(running.is_finished(), kind == ErrorKind::Deadlock);
        drop(held);
        assert_eq!(word(&running.await.unwrap(), 2), expected);
    }
}
