//! Promise 4: a bad row harms no other, at a bounded cost.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::driver::ErrorClass;
use crate::executor::{Isolate, Retry, RetryPolicy};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Blame {
    Nobody,
    First,
    Every,
    /// The first good row.
    Wrong,
    /// The first good row and every bad one.
    Mixed,
}

/// An executor that refuses a batch which holds one of the `bad` rows.
fn refusing(bad: BTreeSet<i64>, blame: Blame) -> Arc<Script> {
    Script::new(move |batch, _| {
        let ids = ids(&batch);
        let (bad, good): (Vec<_>, Vec<_>) = (0..ids.len()).partition(|&at| bad.contains(&ids[at]));
        let blamed = match blame {
            Blame::Nobody => vec![],
            Blame::First => bad.iter().take(1).copied().collect(),
            Blame::Every => bad.clone(),
            Blame::Wrong => good.iter().take(1).copied().collect(),
            Blame::Mixed => good.iter().take(1).chain(&bad).copied().collect(),
        };
        std::future::ready(if bad.is_empty() {
            Report::all()
        } else {
            Report::same(Verdict::NotApplied(error(ErrorKind::Data).with_blame(blamed)))
        })
    })
}

async fn run(inner: Arc<Script>, batch: Batch) -> Vec<String> {
    let rows = batch.len();
    words(&Isolate::new(inner).execute(batch, &Attempt::new()).await, rows)
}

/// Isolates, and returns how many attempts followed the first.
async fn check(rows: i64, bad: BTreeSet<i64>, blame: Blame, strategy: ConflictStrategy) -> usize {
    let script = refusing(bad.clone(), blame);
    let words = run(script.clone(), batch_under(strategy, rows)).await;
    for (row, word) in (0..rows).zip(&words) {
        assert_eq!(word, if bad.contains(&row) { "rejected data" } else { "written" }, "row {row}");
    }
    let calls = script.calls();
    for &row in &bad {
        assert!(calls.iter().any(|call| call.ids == [row]), "row {row} was never tried alone");
    }
    if strategy == ConflictStrategy::Fail {
        let is_clean = |call: &&Call| call.ids.iter().all(|id| !bad.contains(id));
        let written: Vec<_> = calls.iter().filter(is_clean).flat_map(|c| c.ids.clone()).collect();
        assert!(written.is_sorted(), "{written:?}");
    }
    calls.len() - 1
}

fn bound(rows: i64, bad: usize) -> f64 {
    bad as f64 * (2.0 * (rows as f64).log2() + 2.0)
}

/// A wrong guess can cost one attempt where the rows are no power of two.
fn bound_with_wrong_guesses(rows: i64, bad: usize) -> f64 {
    bad as f64 * (2.0 * (rows as f64).log2().ceil() + 2.0)
}

#[tokio::test(start_paused = true)]
async fn promise_4_one_bad_row_among_a_thousand_costs_at_most_22_attempts() {
    for bad in [0, 1, 499, 500, 501, 998, 999] {
        for strategy in [ConflictStrategy::Ignore, ConflictStrategy::Fail] {
            for (blame, most) in [
                (Blame::Nobody, 20),
                (Blame::First, 3),
                (Blame::Every, 3),
                (Blame::Wrong, 22),
                (Blame::Mixed, 22),
            ] {
                let cost = check(1_000, BTreeSet::from([bad]), blame, strategy).await;
                assert!(cost <= most, "row {bad}, {blame:?}, {strategy:?}: {cost}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn promise_4_rows_named_by_the_server_are_confirmed_alone_and_the_rest_goes_together() {
    let script = refusing(BTreeSet::from([3, 7]), Blame::Every);
    run(script.clone(), batch(10)).await;
    let calls: Vec<_> = script.calls().into_iter().map(|call| call.ids).collect();
    assert_eq!(calls[1..], [vec![3], vec![7], vec![0, 1, 2, 4, 5, 6, 8, 9]]);

    // A plain insert's rows keep their order.
    let script = refusing(BTreeSet::from([3]), Blame::Every);
    run(script.clone(), batch_under(ConflictStrategy::Fail, 6)).await;
    let calls: Vec<_> = script.calls().into_iter().map(|call| call.ids).collect();
    assert_eq!(calls[1..], [vec![0, 1, 2], vec![3], vec![4, 5]]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_one_of_its_own() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let script = Script::new({
        let seen = Arc::clone(&seen);
        move |_, attempt| {
            assert!(seen.lock().unwrap().insert(attempt.id()));
            assert!(attempt.tokens().is_empty() && !attempt.is_cancelled());
            attempt.record(CommitToken::new(()));
            attempt.cancel();
            std::future::ready(not_applied(ErrorKind::Data))
        }
    });
    assert_eq!(run(script, batch(4)).await, ["rejected data"; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_too_large_is_halved_until_it_fits() {
    for (most, word, attempts) in [(3, "written", 1 + 2 + 4), (0, "rejected too_large", 15)] {
        let script = Script::new(move |batch: Batch, _| {
            let fits = batch.len() <= most;
            let report = if fits { Report::all() } else { not_applied(ErrorKind::TooLarge) };
            std::future::ready(report)
        });
        assert_eq!(run(script.clone(), batch(8)).await, [word; 8]);
        assert_eq!(script.calls().len(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_systemic_error_rejects_all_at_once() {
    let script = Script::of([not_applied(ErrorKind::Permission)]);
    assert_eq!(run(script.clone(), batch(8)).await, ["rejected permission"; 8]);
    assert_eq!(script.calls().len(), 1);

    // Also half-way through a search.
    let data = || not_applied(ErrorKind::Data);
    let script = Script::of([data(), Report::all(), data(), not_applied(ErrorKind::Schema)]);
    let words = run(script.clone(), batch(8)).await;
    assert_eq!(words[..4], ["written"; 4]);
    assert_eq!(words[4..], ["rejected schema"; 4]);
    assert_eq!(script.calls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_or_stopped_ends_the_search() {
    for kind in [ErrorKind::Connection, ErrorKind::Cancelled, ErrorKind::Deadline] {
        let data = || not_applied(ErrorKind::Data);
        let script = Script::of([data(), Report::all(), not_applied(kind)]);
        let words = run(script.clone(), batch(8)).await;
        assert_eq!(words[..4], ["written"; 4]);
        assert_eq!(words[4..], [format!("not_applied {kind}").as_str(); 4]);
        assert_eq!(script.calls().len(), 3);
    }
    // The rows beside a suspect, too.
    let blamed = Report::same(Verdict::NotApplied(error(ErrorKind::Data).with_blame([2, 3])));
    let script = Script::of([blamed, not_applied(ErrorKind::Connection)]);
    assert_eq!(run(script.clone(), batch(4)).await, ["not_applied connection"; 4]);
    assert_eq!(script.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn single_verdicts_are_kept_and_only_refused_rows_are_tried_again() {
    let script = Script::of([
        Report::each(vec![
            Verdict::Written,
            Verdict::NotApplied(error(ErrorKind::Data)),
            Verdict::Rejected(error(ErrorKind::Constraint)),
            Verdict::NotApplied(error(ErrorKind::Connection)),
            Verdict::Unknown(error(ErrorKind::Timeout).still_running()),
            Verdict::NotApplied(error(ErrorKind::Schema)),
        ]),
        not_applied(ErrorKind::Data),
    ]);
    let words = run(script.clone(), batch(6)).await;
    assert_eq!(
        words,
        [
            "written",
            "rejected data",
            "rejected constraint",
            "not_applied connection",
            "unknown timeout",
            "rejected schema",
        ]
    );
    assert_eq!(script.calls()[1].ids, [1]);
}

#[tokio::test(start_paused = true)]
async fn promise_2_rows_in_doubt_are_searched_too_and_never_called_rejected() {
    // The answer to the first attempt is lost; from then on, row 2 is refused.
    let refuse = refusing(BTreeSet::from([2]), Blame::Nobody);
    let script = Script::new(move |batch, attempt| {
        let lost = batch.len() == 8 && attempt.number() == 1;
        let refuse = Arc::clone(&refuse);
        async move {
            if lost {
                unknown(ErrorKind::Connection)
            } else {
                refuse.execute(batch, &attempt).await
            }
        }
    });
    let retry = Arc::new(Retry::new(script, RetryPolicy::default()));
    let report = Isolate::new(retry).execute(batch(8), &Attempt::new()).await;
    let mut expected = vec!["written"; 8];
    expected[2] = "unknown data";
    assert_eq!(words(&report, 8), expected);
}

#[tokio::test(start_paused = true)]
async fn promise_3_nothing_overtakes_an_attempt_that_may_still_run_where_keys_may_be_one() {
    let running = || Report::same(Verdict::Unknown(error(ErrorKind::Timeout).still_running()));
    for (strategy, right) in
        [(ConflictStrategy::Ignore, "written"), (ConflictStrategy::Fail, "not_applied timeout")]
    {
        let script = Script::of([not_applied(ErrorKind::Data), running(), Report::all()]);
        let words = run(script, batch_under(strategy, 2)).await;
        assert_eq!(words, ["unknown timeout", right], "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_decides_before_the_dictionary() {
    let script = Script::of([not_applied(ErrorKind::Other)]);
    let isolate = Isolate::new(script.clone())
        .classified_by(Arc::new(|_: &WriteError| Some(ErrorClass::Systemic)));
    let report = isolate.execute(batch(8), &Attempt::new()).await;
    assert_eq!((word(&report, 8).as_str(), script.calls().len()), ("rejected other", 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promise_4_k_bad_rows_among_n_cost_at_most_k_times_2_log_n_plus_2(
        rows in 1_i64..300,
        picks in prop::collection::vec(0_i64..300, 1..12),
        many in prop::bool::weighted(0.2),
        blame in prop::sample::select(vec![
            Blame::Nobody, Blame::First, Blame::Every, Blame::Wrong, Blame::Mixed,
        ]),
        fail in any::<bool>(),
    ) {
        let mut bad: BTreeSet<i64> = picks.iter().map(|pick| pick % rows).collect();
        if many {
            bad.extend((0..rows).filter(|row| row % (picks[0] % 4 + 1) == 0));
        }
        let strategy = if fail { ConflictStrategy::Fail } else { ConflictStrategy::Ignore };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let cost = runtime.block_on(check(rows, bad.clone(), blame, strategy));
        let most = match blame {
            Blame::Wrong | Blame::Mixed => bound_with_wrong_guesses(rows, bad.len()),
            _ => bound(rows, bad.len()),
        };
        prop_assert!(cost as f64 <= most, "{cost} > {most}");
    }
}
