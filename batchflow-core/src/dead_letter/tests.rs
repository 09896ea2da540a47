use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::hub::LetterCounts;
use super::*;
use crate::driver::{ErrorKind, WriteError};
use crate::schema::{ConflictStrategy, Schema};

/// Letters numbered from `first`, each with a value that no output may show.
pub(super) fn letters(first: u64, count: u64) -> Vec<DeadLetter> {
    let schema = Schema::new("users", ConflictStrategy::Ignore, ["id", "name"]).unwrap();
    let letter = |submission| {
        let request = schema.row((submission, "canary-7f3a")).unwrap();
        let error =
            WriteError::new(ErrorKind::Data).with_table("users").with_server_message("canary-7f3a");
        DeadLetter::new(submission, request, RowError::Rejected(error))
    };
    (first..first + count).map(letter).collect()
}

fn hub(sink: impl DeadLetterSink) -> Hub {
    Hub::start(Some(Arc::new(sink)), &Handle::current())
}

async fn drain(hub: &Hub, seconds: u64) -> LetterCounts {
    hub.drain(Instant::now() + Duration::from_secs(seconds)).await
}

fn counts(delivered: u64, undeliverable: u64) -> LetterCounts {
    LetterCounts { delivered, undeliverable, logged: 0 }
}

/// A sink that does as told with each offer, and keeps what it took.
#[derive(Debug, Default)]
struct Scripted {
    script: Mutex<VecDeque<Step>>,
    taken: Arc<Mutex<Vec<u64>>>,
    closes: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Step {
    Take(usize),
    Fail(usize),
    Panic(usize),
    Refuse,
    Close,
    /// Takes so many and then waits forever.
    Hang(usize),
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Step>) -> Self {
        Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() }
    }

    fn take(&self, letters: &mut VecDeque<DeadLetter>, count: usize) {
        let mut taken = self.taken.lock().unwrap();
        let count = count.min(letters.len());
        taken.extend(letters.drain(..count).map(|letter| letter.submission()));
    }
}

#[async_trait]
impl DeadLetterSink for Scripted {
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        let step = self.script.lock().unwrap().pop_front();
        match step.unwrap_or(Step::Take(usize::MAX)) {
            Step::Take(count) => self.take(letters, count),
            Step::Fail(count) => {
                self.take(letters, count);
                return Err(DeadLetterError::failed("not now"));
            }
            Step::Panic(count) => {
                self.take(letters, count);
                panic!("as scripted");
            }
            Step::Refuse => return Err(DeadLetterError::Refused { why: "odd".into() }),
            Step::Close => return Err(DeadLetterError::Closed),
            Step::Hang(count) => {
                self.take(letters, count);
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    async fn close(&self) {
        self.closes.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn every_letter_is_delivered_once_in_order_or_counted_as_undeliverable() {
    use Step::{Close, Fail, Hang, Panic, Refuse, Take};
    let all: Vec<u64> = (0..600).collect();
    let without_first = all[1..].to_vec();
    let cases: [(&str, Vec<Step>, &[u64], u64); 9] = [
        ("at once", vec![], &all, 0),
        ("in parts", vec![Take(1), Take(0), Take(7)], &all, 0),
        ("after failures", vec![Fail(0), Fail(3), Fail(0), Fail(0)], &all, 0),
        ("after a panic on the way", vec![Panic(5)], &all, 0),
        ("but the one that panics", vec![Panic(0)], &without_first, 1),
        ("but the one refused", vec![Refuse], &without_first, 1),
        ("until the sink is gone", vec![Take(10), Close], &all[..10], 590),
        ("until the time is over", vec![Take(3), Hang(7)], &all[..10], 590),
        ("never", (0..100).map(|_| Fail(0)).collect(), &[], 600),
    ];
    for (case, script, expected, lost) in cases {
        let sink = Scripted::new(script);
        let (taken, closes) = (Arc::clone(&sink.taken), Arc::clone(&sink.closes));
        let hub = hub(sink);
        for start in [0, 300] {
            hub.push(letters(start, 300));
        }
        let result = drain(&hub, 60).await;
        assert_eq!(*taken.lock().unwrap(), expected, "{case}");
        assert_eq!(result, counts(600 - lost, lost), "{case}");
        assert_eq!((hub.backlog(), closes.load(Ordering::Relaxed)), (0, 1), "{case}");
        hub.push(letters(600, 1));
        assert_eq!(hub.counts().undeliverable, lost + 1, "{case}: too late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_holds_the_letters_back_and_loses_none() {
    let (sink, mut stream) = channel(10);
    let hub = hub(sink);
    hub.push(letters(0, 100));
    assert!(timeout(Duration::from_secs(600), hub.emptied()).await.is_err());
    assert!(hub.backlog() > 0);
    for expected in 0..100 {
        assert_eq!(stream.recv().await.unwrap().submission(), expected);
    }
    hub.emptied().await;
    assert_eq!(drain(&hub, 1).await, counts(100, 0));
    assert!(stream.recv().await.is_none(), "the stream ends with the flow");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_frees_the_flow() {
    let (sink, stream) = channel(0);
    let hub = hub(sink);
    hub.push(letters(0, 3));
    drop(stream);
    hub.emptied().await;
    assert_eq!(hub.counts().undeliverable + hub.counts().delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_callback_harms_only_its_own_letter() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&seen);
    let hub = hub(callback(move |letter| {
        assert_ne!(letter.submission(), 1, "as scripted");
        inner.lock().unwrap().push(letter.submission());
    }));
    hub.push(letters(0, 3));
    assert_eq!(drain(&hub, 1).await, counts(3, 0));
    assert_eq!(*seen.lock().unwrap(), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn without_a_sink_letters_are_logged_and_counted() {
    let hub = Hub::start(None, &Handle::current());
    hub.push(letters(0, 3));
    hub.emptied().await;
    assert_eq!(drain(&hub, 1).await.logged, 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_hub_ends_its_task() {
    let sink = Arc::new(Scripted::new([Step::Hang(1)]));
    let hub = hub(Arc::clone(&sink));
    hub.push(letters(0, 3));
    tokio::task::yield_now().await;
    drop(hub);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&sink), 1);
    assert_eq!(sink.closes.load(Ordering::Relaxed), 1);
}

#[test]
fn a_runtime_that_is_shut_down_leaves_no_letter_uncounted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let hub = Hub::start(Some(Arc::new(Scripted::new([Step::Hang(1)]))), runtime.handle());
    hub.push(letters(0, 3));
    runtime.block_on(tokio::task::yield_now());
    drop(runtime);
    assert_eq!((hub.backlog(), hub.counts()), (0, counts(1, 2)));
}

#[test]
fn promise_10_a_letters_debug_shows_no_value() {
    let shown = format!("{:?}", letters(7, 1));
    assert!(shown.contains("users") && !shown.contains("canary"), "{shown}");
}
