//! Promise 9: every attempt ends.

use super::*;
use crate::executor::{Drive, Limit, Timeout};

const LIMIT: Duration = Duration::from_secs(30);

/// The verdict on a driver's attempt, and how long it took.
async fn run<F>(
    write: impl Fn(Batch, Attempt) -> F + Send + Sync + 'static,
    attempt: &Attempt,
) -> (String, bool, Duration)
where
    F: Future<Output = Result<Report, WriteError>> + Send + 'static,
{
    let drive = Arc::new(Drive::new(Arc::new(ScriptDriver::new(write))));
    let start = Instant::now();
    let report = Timeout::new(drive, LIMIT).execute(batch(2), attempt).await;
    let error = report.verdict(0).and_then(Verdict::error);
    if let Some(error) = error {
        assert_eq!((error.table(), error.batch_rows()), (Some("t"), Some(2)));
    }
    (word(&report, 2), error.is_some_and(WriteError::is_still_running), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_attempt_in_time_keeps_its_report_and_knows_its_deadline() {
    let in_time = |_, attempt: Attempt| async move {
        assert_eq!(attempt.deadline(), Some(Instant::now() + LIMIT));
        tokio::time::sleep(secs(29)).await;
        Ok(Report::all())
    };
    assert_eq!(run(in_time, &Attempt::new()).await, ("written".to_owned(), false, secs(29)));
}

#[tokio::test(start_paused = true)]
async fn promise_3_a_driver_that_ends_the_attempt_in_the_grace_says_what_became_of_it() {
    for (end, word) in [
        (Ok(Report::all()), "written"),
        // It was told to stop by the deadline, not by the flow.
        (Err(error(ErrorKind::Cancelled)), "not_applied timeout"),
        (Err(error(ErrorKind::Cancelled).outcome_unknown()), "unknown timeout"),
        (Err(error(ErrorKind::LockTimeout)), "not_applied lock_timeout"),
        (
            Ok(Report::each(vec![
                Verdict::Written,
                Verdict::NotApplied(error(ErrorKind::Cancelled).with_table("t").with_batch_rows(2)),
            ])),
            "written, not_applied timeout",
        ),
    ] {
        let fenced = move |_, attempt: Attempt| {
            let end = end.clone();
            async move {
                attempt.cancelled().await;
                tokio::time::sleep(secs(4)).await;
                end
            }
        };
        assert_eq!(run(fenced, &Attempt::new()).await, (word.to_owned(), false, secs(34)));
    }
}

#[tokio::test(start_paused = true)]
async fn promise_9_a_driver_that_never_returns_is_left_and_its_rows_are_unknown() {
    let never = |_, _| std::future::pending();
    let ended = run(never, &Attempt::new()).await;
    assert_eq!(ended, ("unknown timeout".to_owned(), true, secs(35)));
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_stops_ends_the_attempt_too() {
    for (returns, word) in [(true, "not_applied cancelled"), (false, "unknown cancelled")] {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            tokio::time::sleep(secs(10)).await;
            stop.send_replace(true);
            std::future::pending::<()>().await;
        });
        let write = move |_, attempt: Attempt| async move {
            attempt.cancelled().await;
            if !returns {
                std::future::pending::<()>().await;
            }
            Err(error(ErrorKind::Cancelled))
        };
        let took = if returns { secs(10) } else { secs(15) };
        let ended = run(write, &Attempt::with_parent(Some(stopped))).await;
        assert_eq!(ended, (word.to_owned(), !returns, took));
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_leaves_its_rows_unknown() {
    let at_once = |_, _| async { panic!("at once") };
    let ended = run(at_once, &Attempt::new()).await;
    assert_eq!(ended, ("unknown internal".to_owned(), true, secs(0)));

    // In the grace, and while its future is dropped.
    let late = |_, attempt: Attempt| async move {
        attempt.cancelled().await;
        panic!("late")
    };
    let ended = run(late, &Attempt::new()).await;
    assert_eq!(ended, ("unknown internal".to_owned(), true, secs(30)));
    let dropped = |_, _| async {
        let _bomb = Bomb;
        std::future::pending().await
    };
    let ended = run(dropped, &Attempt::new()).await;
    assert_eq!(ended, ("unknown timeout".to_owned(), true, secs(35)));
}

#[tokio::test(start_paused = true)]
async fn the_limit_changes_for_attempts_that_begin_later() {
    let limit = Limit::new(secs(30));
    let never = Arc::new(ScriptDriver::new(|_, _| std::future::pending()));
    let timeout = Timeout::with_limit(Arc::new(Drive::new(never)), limit.clone());
    let start = Instant::now();
    timeout.execute(batch(1), &Attempt::new()).await;
    limit.set(secs(2));
    timeout.execute(batch(1), &Attempt::new()).await;
    // Each with its grace: 5 s, then as long as the limit.
    assert_eq!(start.elapsed(), secs(30 + 5 + 2 + 2));
}
