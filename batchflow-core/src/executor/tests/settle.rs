//! Promise 8: a commit whose answer never came is asked for, where the server can tell.

use super::*;
use crate::executor::{Drive, Retry, RetryPolicy};

/// Runs a batch that no repetition is harmless for. The first attempt records `tokens`, then
/// loses its answer by `lost`; a second one writes. Returns the verdict and how often it was
/// sent.
async fn settled(
    tokens: usize,
    lost: WriteError,
    answers: impl IntoIterator<Item = Result<Settled, WriteError>>,
) -> (String, usize, Vec<Instant>) {
    let sent = Arc::new(Mutex::new(0));
    let driver = ScriptDriver::new({
        let sent = Arc::clone(&sent);
        move |_, attempt| {
            *sent.lock().unwrap() += 1;
            let first = attempt.number() == 1;
            (0..tokens).for_each(|token| attempt.record(CommitToken::new(token)));
            let lost = lost.clone();
            async move { if first { Err(lost) } else { Ok(Report::all()) } }
        }
    });
    let driver = Arc::new(driver.settling(answers));
    let retry = Retry::new(Arc::new(Drive::new(driver.clone())), RetryPolicy::default().seed(3))
        .settling(driver.clone());
    let report = retry.execute(batch_under(ConflictStrategy::Fail, 2), &Attempt::new()).await;
    let sent = *sent.lock().unwrap();
    (word(&report, 2), sent, driver.asked())
}

#[tokio::test(start_paused = true)]
async fn promise_8_the_server_tells_what_became_of_a_lost_commit() {
    use Settled::{Committed, NotApplied, Running, Unknown};
    let busy = || Err(error(ErrorKind::Connection));
    for (answers, end, sent, asked) in [
        (vec![Ok(Committed)], "written", 1, 1),
        (vec![Ok(NotApplied)], "written", 2, 1),
        (vec![Ok(Unknown)], "unknown connection", 1, 1),
        (vec![Ok(Running), Ok(Running), Ok(Committed)], "written", 1, 3),
        (vec![Ok(Running), Ok(NotApplied)], "written", 2, 2),
        (vec![busy(), busy(), Ok(Committed)], "written", 1, 3),
        (vec![Err(error(ErrorKind::Permission))], "unknown connection", 1, 1),
        // It panics, and it never answers the first question.
        (vec![Err(error(ErrorKind::Internal))], "unknown connection", 1, 1),
        (vec![Err(error(ErrorKind::Timeout)), Ok(Committed)], "written", 1, 2),
    ] {
        for lost in [
            error(ErrorKind::Connection).outcome_unknown(),
            error(ErrorKind::Connection).still_running(),
        ] {
            let (word, times, questions) = settled(1, lost, answers.clone()).await;
            assert_eq!((word.as_str(), times, questions.len()), (end, sent, asked), "{answers:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn promise_8_without_a_token_nothing_was_applied() {
    let lost = error(ErrorKind::Connection).still_running();
    let (word, sent, asked) = settled(0, lost, [Ok(Settled::Unknown)]).await;
    assert_eq!((word.as_str(), sent, asked.len()), ("written", 2, 0));
}

#[tokio::test(start_paused = true)]
async fn promise_8_tokens_that_disagree_settle_nothing() {
    let lost = error(ErrorKind::Connection).outcome_unknown();
    let answers = [Ok(Settled::Committed), Ok(Settled::NotApplied)];
    let (word, sent, _) = settled(2, lost, answers).await;
    assert_eq!((word.as_str(), sent), ("unknown connection", 1));
}

#[tokio::test(start_paused = true)]
async fn promise_9_a_commit_that_never_ends_is_asked_for_until_the_time_is_over() {
    let start = Instant::now();
    let lost = error(ErrorKind::Connection).outcome_unknown();
    let (word, sent, asked) = settled(1, lost, [Ok(Settled::Running)]).await;
    assert_eq!((word.as_str(), sent), ("unknown connection", 1));
    assert!(start.elapsed() <= secs(300) && start.elapsed() > secs(280));
    assert!(asked.len() < 100, "{} questions", asked.len());
}

#[tokio::test(start_paused = true)]
async fn promise_3_a_commit_seen_running_to_the_end_is_not_repeated_though_harmless() {
    let driver = Arc::new(
        ScriptDriver::new(|_, attempt| {
            attempt.record(CommitToken::new(()));
            std::future::ready(Err(error(ErrorKind::Connection).outcome_unknown()))
        })
        .settling([Ok(Settled::Running)]),
    );
    let script = Script::new({
        let drive = Arc::new(Drive::new(driver.clone()));
        move |batch, attempt| {
            let drive = Arc::clone(&drive);
            async move { drive.execute(batch, &attempt).await }
        }
    });
    let retry = Retry::new(script.clone(), RetryPolicy::default()).settling(driver);
    let report = retry.execute(batch(1), &Attempt::new()).await;
    assert!(report.verdict(0).unwrap().error().unwrap().is_still_running());
    assert_eq!(script.calls().len(), 1);
}
