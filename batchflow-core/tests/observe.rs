//! Spans, observers, samplers, and what a log may show.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batchflow_core::metrics::BatchEvent;
use batchflow_core::observe::{
    Everything, Failures, LogObserver, Observer, Ratio, Redactor, Sampler, SecretNames, Slow,
};
use batchflow_core::testing::{Blame, Fault, FaultDriver, MemoryDriver};
use batchflow_core::{BatchFlow, BatchWriter, ConflictStrategy, ErrorKind, Request, Schema};
use tracing_subscriber::fmt::format::FmtSpan;

/// What was logged, as text.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Text {
    /// Listens to all that this thread logs until the guard goes.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let text = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || text.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn lines(&self, part: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("canary"), "{text}");
        text.lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }
}

fn users() -> Schema {
    Schema::new("users", ConflictStrategy::Update, ["id", "name"]).unwrap()
}

fn row(id: i64) -> Request {
    users().row((id, "canary")).unwrap()
}

/// A driver whose second batch meets a deadlock first, and that refuses row 9.
fn driver() -> FaultDriver<MemoryDriver> {
    let driver = FaultDriver::new(MemoryDriver::new());
    driver.script([Fault::Pass, Fault::fail(ErrorKind::Deadlock)]);
    driver.refuse(ErrorKind::Constraint, Blame::Nobody, |row| {
        row.get::<i64>("id").unwrap() == Some(9)
    });
    driver
}

#[tokio::test(start_paused = true)]
async fn every_batch_is_a_span_without_values() {
    let text = Text::default();
    let _guard = text.listen();
    let flow = BatchFlow::builder(driver()).build().unwrap();
    for id in [1, 2, 9] {
        flow.submit(row(id)).await.unwrap();
        flow.flush().await.unwrap();
    }
    drop(flow.close().await.unwrap());
    let spans = text.lines("batchflow: close");
    let fields = |attempts, end: &str| {
        format!("batch{{backend=\"memory\" table=users rows=1 attempts={attempts} outcome={end}}}")
    };
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert!(spans[0].contains(&fields(1, "\"written\"")), "{}", spans[0]);
    assert!(spans[1].contains(&fields(2, "\"written\"")), "{}", spans[1]);
    assert!(spans[2].contains(&fields(1, "\"rejected\" error=\"constraint\"")), "{}", spans[2]);
}

#[tokio::test(start_paused = true)]
async fn rows_sent_singly_after_their_batch_are_spans_with_attempts_of_their_own() {
    let text = Text::default();
    let _guard = text.listen();
    let driver = FaultDriver::new(MemoryDriver::new());
    driver.refuse(ErrorKind::Constraint, Blame::Nobody, |row| {
        row.get::<String>("name").unwrap().as_deref() == Some("bad")
    });
    let flow = BatchFlow::builder(driver).build().unwrap();
    for name in ["good", "bad"] {
        flow.submit(users().row((1_i64, name)).unwrap()).await.unwrap();
    }
    drop(flow.close().await.unwrap());
    let spans = text.lines("batchflow: close");
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert!(spans.iter().all(|span| span.contains("attempts=1 ")), "{spans:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_observer_writes_what_its_rule_picks() {
    let text = Text::default();
    let _guard = text.listen();
    let driver = driver();
    driver.script([Fault::Pass, Fault::Delay(Duration::from_secs(3), Box::new(Fault::Pass))]);
    let flow = BatchFlow::builder(driver).observer(LogObserver::default()).build().unwrap();
    for id in [1, 2, 3, 9] {
        flow.submit(row(id)).await.unwrap();
        flow.flush().await.unwrap();
    }
    drop(flow.close().await.unwrap());
    let slow = text.lines("a batch was written");
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert!(slow[0].contains("INFO") && slow[0].contains("seconds=3"), "{slow:?}");
    let failed = text.lines("rows of a batch were not written");
    assert_eq!(failed.len(), 1, "{failed:?}");
    for part in ["WARN", "table=users", "outcome=\"rejected\"", "kind=\"constraint\""] {
        assert!(failed[0].contains(part), "{part}: {failed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_observer_sees_every_batch_and_a_panic_harms_nobody() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let observer = move |event: &BatchEvent<'_>| {
        let line = format!("{} {} {}", event.table, event.rows, event.outcome());
        log.lock().unwrap().push(line);
    };
    let flow = BatchFlow::builder(driver())
        .observer(|_: &BatchEvent<'_>| panic!("of the user's own"))
        .observer(observer.clone())
        .build()
        .unwrap();
    flow.submit(row(1)).await.unwrap();
    assert!(flow.close().await.unwrap().all_written());
    let writer = BatchWriter::builder(MemoryDriver::new()).observer(observer).build().unwrap();
    let _ = writer.write([row(1), row(2)]).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["users 1 written", "users 2 written"]);
}

#[tokio::test(start_paused = true)]
async fn samplers_pick_by_failure_by_time_and_by_chance() {
    #[derive(Clone, Default)]
    struct Picked(Arc<Mutex<[usize; 5]>>);

    impl Observer for Picked {
        fn batch(&self, event: &BatchEvent<'_>) {
            let slow = Slow(Duration::from_secs(2));
            let rules: [&dyn Sampler; 5] =
                [&Failures, &slow, &Ratio(0.0), &Ratio(1.0), &Failures.or(slow)];
            for (count, rule) in self.0.lock().unwrap().iter_mut().zip(rules) {
                *count += usize::from(rule.picks(event));
            }
        }
    }

    let picked = Picked::default();
    let driver = driver();
    driver.script([Fault::Delay(Duration::from_secs(2), Box::new(Fault::Pass))]);
    let flow = BatchFlow::builder(driver).observer(picked.clone()).build().unwrap();
    for id in [1, 2, 3, 9] {
        flow.submit(row(id)).await.unwrap();
        flow.flush().await.unwrap();
    }
    assert_eq!(*picked.0.lock().unwrap(), [1, 1, 0, 4, 2]);
}

#[test]
fn redactors_hide_by_name() {
    let names = SecretNames::new().and(["Salary"]);
    for hidden in ["password", "PASSWORD_HASH", "api_token", "E_Mail", "phone2", "base_salary"] {
        assert!(names.hides(hidden), "{hidden}");
    }
    for shown in ["id", "amount", "created_at", "name"] {
        assert!(!names.hides(shown), "{shown}");
    }
    assert!(Everything.hides("id"));
    assert!((|column: &str| column == "id").hides("id"));
}
