//! What is tried again, when, and what is said of it in the end.

use super::*;
use crate::driver::ErrorClass;
use crate::executor::{Retry, RetryPolicy};

fn policy() -> RetryPolicy {
    RetryPolicy::default().seed(1)
}

async fn run(retry: &Retry, batch: Batch) -> (String, Duration) {
    let rows = batch.len();
    let start = Instant::now();
    let report = retry.execute(batch, &Attempt::new()).await;
    (word(&report, rows), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn every_transient_kind_is_tried_again_and_no_other() {
    for &kind in ErrorKind::ALL {
        let script = Script::of([not_applied(kind), Report::all()]);
        let (word, _) = run(&Retry::new(script.clone(), policy()), batch(3)).await;
        if kind.class() == ErrorClass::Transient {
            assert_eq!((word.as_str(), script.calls().len()), ("written", 2), "{kind}");
        } else {
            assert_eq!((word, script.calls().len()), (format!("not_applied {kind}"), 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waits_grow_within_their_bounds_until_the_time_is_over() {
    let script = Script::of([not_applied(ErrorKind::Connection)]);
    let (word, took) = run(&Retry::new(script.clone(), policy()), batch(1)).await;
    assert_eq!(word, "not_applied connection");
    assert!(took <= secs(300) && took > secs(280), "{took:?}");

    let calls = script.calls();
    for (n, pair) in calls.windows(2).enumerate() {
        let bound = Duration::from_millis(50 << n.min(20)).min(secs(10));
        // A timer may be a millisecond late.
        assert!(pair[1].at - pair[0].at <= bound + Duration::from_millis(1), "wait {n}");
        assert_eq!(pair[1].number, pair[0].number + 1);
    }
    // 5 s on average, once the bound is reached.
    assert!((45..100).contains(&calls.len()), "{} attempts", calls.len());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_be_left_alone_is() {
    let asks = |secs_| {
        let error = error(ErrorKind::Resource).with_retry_after(secs(secs_));
        Report::same(Verdict::NotApplied(error))
    };
    let script = Script::of([asks(20), Report::all()]);
    let (word, took) = run(&Retry::new(script, policy()), batch(1)).await;
    assert_eq!(word, "written");
    assert!(took >= secs(20) && took < secs(21), "{took:?}");

    // Longer than there is time: given up at once.
    let script = Script::of([asks(301), Report::all()]);
    let (word, took) = run(&Retry::new(script, policy()), batch(1)).await;
    assert_eq!((word.as_str(), took), ("not_applied resource", secs(0)));
}

#[tokio::test(start_paused = true)]
async fn attempts_can_be_counted_out() {
    for (policy, attempts) in [(policy().max_attempts(Some(3)), 3), (RetryPolicy::none(), 1)] {
        let script = Script::of([not_applied(ErrorKind::Deadlock)]);
        let (word, _) = run(&Retry::new(script.clone(), policy), batch(1)).await;
        assert_eq!((word.as_str(), script.calls().len()), ("not_applied deadlock", attempts));
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempts_at_parts_share_the_time_of_the_first() {
    let script = Script::of([not_applied(ErrorKind::Connection)]);
    let retry = Retry::new(script, policy());
    let attempt = Attempt::new();
    let start = Instant::now();
    retry.execute(batch(2), &attempt).await;
    retry.execute(batch(1), &attempt.next()).await;
    assert!(start.elapsed() <= secs(300));
}

#[tokio::test(start_paused = true)]
async fn only_the_rows_that_failed_for_the_moment_go_again_and_verdicts_find_their_rows() {
    let e = |kind| error(kind).with_blame([1]);
    let script = Script::of([
        Report::each(vec![
            Verdict::Written,
            Verdict::NotApplied(e(ErrorKind::Connection)),
            Verdict::NotApplied(e(ErrorKind::Data)),
            Verdict::Rejected(e(ErrorKind::Constraint)),
            Verdict::NotApplied(e(ErrorKind::Deadlock)),
        ]),
        Report::each(vec![Verdict::Written, Verdict::NotApplied(e(ErrorKind::Data))]),
    ]);
    let report = Retry::new(script.clone(), policy()).execute(batch(5), &Attempt::new()).await;
    assert_eq!(
        words(&report, 5),
        ["written", "written", "not_applied data", "rejected constraint", "not_applied data"]
    );
    assert_eq!(script.calls()[1].ids, [1, 4]);
    // The second report's blame is of the part: its row 1 is the batch's row 4.
    assert_eq!(report.verdict(2).unwrap().error().unwrap().blame(), [1]);
    assert_eq!(report.verdict(4).unwrap().error().unwrap().blame(), [4]);
}

#[tokio::test(start_paused = true)]
async fn promise_8_what_may_have_been_applied_is_repeated_only_where_that_is_harmless() {
    let null_key = {
        let schema = Schema::new("t", ConflictStrategy::Replace, ["id", "x"]).unwrap();
        let row = crate::request::Request::new(&schema).set_null("id").set("x", 1_i64);
        Batch::from_requests(vec![row]).unwrap()
    };
    for (batch, harmless) in [
        (batch_under(ConflictStrategy::Ignore, 2), true),
        (batch_under(ConflictStrategy::Replace, 2), true),
        (batch_under(ConflictStrategy::Update, 2), true),
        (batch_under(ConflictStrategy::Fail, 2), false),
        (adding(2), false),
        (null_key, false),
    ] {
        let lost = unknown(ErrorKind::Connection);
        let script = Script::new({
            let answers = Mutex::new(VecDeque::from([lost, Report::all()]));
            move |_, _| std::future::ready(next(&answers))
        });
        let strategy = batch.schema().strategy();
        let rows = batch.len();
        let retry = Retry::new(Arc::new(Uncounted(script)), policy());
        let report = retry.execute(batch, &Attempt::new()).await;
        let expected = if harmless { "written" } else { "unknown connection" };
        assert_eq!(word(&report, rows), expected, "{strategy:?}");
    }
}

/// Calls a script without looking at the rows.
#[derive(Debug)]
struct Uncounted(Arc<Script>);

#[async_trait]
impl Executor for Uncounted {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        (self.0.answer)(batch, attempt.clone()).await
    }
}

#[tokio::test(start_paused = true)]
async fn promise_3_what_may_still_be_running_is_never_sent_again() {
    let running = error(ErrorKind::Timeout).still_running();
    let script = Script::of([Report::same(Verdict::Unknown(running)), Report::all()]);
    let (word, _) = run(&Retry::new(script.clone(), policy()), batch(2)).await;
    assert_eq!((word.as_str(), script.calls().len()), ("unknown timeout", 1));
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_row_in_doubt_stays_unknown_unless_it_is_written() {
    let lost = || unknown(ErrorKind::Connection);
    for (second, end) in [
        (Report::all(), "written"),
        (not_applied(ErrorKind::Deadlock), "unknown deadlock"),
        (not_applied(ErrorKind::Data), "unknown data"),
        (not_applied(ErrorKind::Permission), "unknown permission"),
        (Report::same(Verdict::Rejected(error(ErrorKind::Data))), "unknown data"),
        (lost(), "unknown connection"),
    ] {
        let script = Script::of([lost(), second]);
        let (word, _) = run(&Retry::new(script, policy()), batch(2)).await;
        assert_eq!(word, end);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_stops_ends_the_wait_and_sends_nothing_more() {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let script = Script::of([Report::each(vec![
        Verdict::Written,
        Verdict::NotApplied(error(ErrorKind::Connection).with_retry_after(secs(100))),
        Verdict::Unknown(error(ErrorKind::Connection).outcome_unknown()),
    ])]);
    let retry = Arc::new(Retry::new(script.clone(), policy()));
    let attempt = Attempt::with_parent(Some(stopped));
    let start = Instant::now();
    let waiting = tokio::spawn({
        let (retry, attempt) = (Arc::clone(&retry), attempt.clone());
        async move { retry.execute(batch(3), &attempt).await }
    });
    tokio::time::sleep(secs(10)).await;
    stop.send_replace(true);
    let report = waiting.await.unwrap();
    assert_eq!(start.elapsed(), secs(10));
    assert_eq!(words(&report, 3), ["written", "not_applied cancelled", "unknown connection"]);
    let message = report.verdict(1).unwrap().error().unwrap().message().unwrap().to_owned();
    assert!(message.contains("connection while writing"), "{message}");

    let report = retry.execute(batch(3), &attempt).await;
    assert_eq!((word(&report, 3).as_str(), script.calls().len()), ("not_applied cancelled", 1));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_decides_before_the_dictionary() {
    let script = Script::of([not_applied(ErrorKind::Schema), Report::all()]);
    let retry = Retry::new(script, policy())
        .classified_by(Arc::new(|_: &WriteError| Some(ErrorClass::Transient)));
    assert_eq!(run(&retry, batch(1)).await.0, "written");
}
