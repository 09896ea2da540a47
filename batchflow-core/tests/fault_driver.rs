//! The faults that a `FaultDriver` makes are the faults that it says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::{Blame, Fault, FaultDriver, Gate, MemoryDriver, RandomFaults};
use batchflow_core::{
    Applied, Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Schema, Settled, Verdict,
    WriteError,
};
use tokio::time::{Instant, sleep, timeout};

fn batch(rows: i64) -> Batch {
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    Batch::from_requests((0..rows).map(|id| schema.row((id,)).unwrap()).collect()).unwrap()
}

fn driver() -> Arc<FaultDriver<MemoryDriver>> {
    Arc::new(FaultDriver::new(MemoryDriver::new()).settling())
}

/// Runs one fault and tells: the error and what it says was applied, the rows in the table, and
/// what settling answers.
async fn run(fault: Fault) -> (Option<(ErrorKind, Applied)>, usize, Settled) {
    let driver = driver();
    driver.script([fault]);
    let attempt = Attempt::new();
    let (own, task) = (attempt.clone(), Arc::clone(&driver));
    let written = tokio::spawn(async move { task.write(batch(2), &own).await.map(drop) });
    sleep(Duration::from_secs(5)).await;
    attempt.cancel();
    let error = match timeout(Duration::from_secs(1), written).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some((error.kind(), error.applied())),
        Ok(Err(_panic)) => Some((ErrorKind::Internal, Applied::Unknown)),
        Err(_elapsed) => Some((ErrorKind::Timeout, Applied::Unknown)),
    };
    let settled = driver.settle(&attempt.tokens()[0]).await.unwrap();
    (error, driver.inner().len("t"), settled)
}

#[tokio::test(start_paused = true)]
async fn each_fault_leaves_what_it_says() {
    use Applied::{Nothing, Unknown};
    use ErrorKind::{Cancelled, Connection, Deadlock, Internal, Timeout};
    let second = Duration::from_secs(1);
    let lost = || WriteError::new(Connection);
    let orphan = |commit_after| Fault::Orphan { commit_after };
    let late = |seconds| Fault::Delay(second * seconds, Box::new(Fault::Pass));
    let cases = [
        (Fault::Pass, None, 2, Settled::Committed),
        (Fault::fail(Deadlock), Some((Deadlock, Nothing)), 0, Settled::NotApplied),
        (Fault::LoseAnswer(lost()), Some((Connection, Unknown)), 2, Settled::Committed),
        (Fault::LoseRequest(lost()), Some((Connection, Unknown)), 0, Settled::NotApplied),
        (Fault::Hang, Some((Cancelled, Nothing)), 0, Settled::NotApplied),
        (orphan(None), Some((Timeout, Unknown)), 0, Settled::Running),
        (orphan(Some(second)), Some((Timeout, Unknown)), 2, Settled::Committed),
        (orphan(Some(second * 60)), Some((Timeout, Unknown)), 0, Settled::Running),
        (late(1), None, 2, Settled::Committed),
        (late(60), Some((Cancelled, Nothing)), 0, Settled::NotApplied),
        (Fault::Wait(Gate::closed()), Some((Cancelled, Nothing)), 0, Settled::NotApplied),
        (Fault::Panic, Some((Internal, Unknown)), 0, Settled::NotApplied),
        (Fault::PanicAfter, Some((Internal, Unknown)), 2, Settled::Committed),
        (Fault::Partial(lost()), None, 1, Settled::Unknown),
        (Fault::ShortReport, None, 2, Settled::Committed),
    ];
    for (fault, error, rows, settled) in cases {
        assert_eq!(run(fault.clone()).await, (error, rows, settled), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_commits_after_its_future_was_dropped() {
    let driver = driver();
    driver.script([Fault::Orphan { commit_after: Some(Duration::from_secs(90)) }]);
    let attempt = Attempt::new();
    let written = timeout(Duration::from_secs(30), driver.write(batch(3), &attempt)).await;
    assert!(written.is_err(), "an orphan never returns");
    assert_eq!(driver.settle(&attempt.tokens()[0]).await.unwrap(), Settled::Running);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(driver.inner().len("t"), 3);
    assert_eq!(driver.settle(&attempt.tokens()[0]).await.unwrap(), Settled::Committed);
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_attempts_until_it_opens() {
    let driver = driver();
    let gate = Gate::closed();
    let rule = gate.clone();
    driver.each(move |_, _| Fault::Wait(rule.clone()));
    let task = Arc::clone(&driver);
    let written = tokio::spawn(async move { task.write(batch(1), &Attempt::new()).await });
    let start = Instant::now();
    sleep(Duration::from_secs(600)).await;
    assert!(!written.is_finished());
    gate.open();
    assert!(written.await.unwrap().is_ok());
    assert_eq!(start.elapsed(), Duration::from_secs(600));
}

#[tokio::test]
async fn refused_rows_are_blamed_as_told_and_the_error_is_theirs() {
    let blames = [
        (Blame::Nobody, vec![]),
        (Blame::First, vec![1]),
        (Blame::Every, vec![1, 3]),
        (Blame::Wrong, vec![0]),
    ];
    for (blame, expected) in blames {
        let driver = driver();
        driver.refuse(ErrorKind::Constraint, blame, |row| {
            row.get::<i64>("id").unwrap().unwrap() % 2 == 1
        });
        let error = driver.write(batch(4), &Attempt::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.blame()), (ErrorKind::Constraint, &expected[..]));
        assert!(driver.write(batch(1), &Attempt::new()).await.is_ok());
    }
    let driver = driver();
    driver.too_large_above(2);
    let error = driver.write(batch(3), &Attempt::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(driver.write(batch(2), &Attempt::new()).await.is_ok());
}

#[tokio::test]
async fn a_partial_report_has_a_verdict_a_row() {
    let driver = driver();
    driver.script([Fault::Partial(ErrorKind::LockTimeout.into())]);
    let report = driver.write(batch(3), &Attempt::new()).await.unwrap();
    let written: Vec<bool> =
        report.into_verdicts(3).iter().map(|verdict| matches!(verdict, Verdict::Written)).collect();
    assert_eq!(written, [true, false, true]);
}

#[test]
fn one_seed_draws_the_same_faults_again() {
    let draw = |seed| {
        let mut faults = RandomFaults::seeded(seed);
        (0..200).map(|_| format!("{:?}", faults.draw())).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
