//! Promise 4: a bad row harms no other; nor does a panic in a user's code.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use batchflow_core::metrics::{BatchEvent, Metrics};
use batchflow_core::testing::{Blame, Fault, MemoryDriver};
use batchflow_core::{
    BatchFlow, Coalescer, ConflictStrategy, ErrorClass, ErrorKind, Key, Merged, Outcome, Request,
    RowError, WriteError, dead_letter,
};

use crate::support::{HOUR, SECOND, id, memory, row, schema, users, watched};

/// Refused by the database, whatever else the row holds.
fn is_bad(row: &Request) -> bool {
    row.get::<String>("name").unwrap().is_some_and(|name| name == "bad")
}

#[tokio::test(start_paused = true)]
async fn promise_4_k_bad_rows_among_n_cost_at_most_k_times_2_log_n_plus_2_attempts() {
    let rows = 1_000_i64;
    let bounds = |bad: usize| 1 + bad * 22;
    for blame in [Blame::Nobody, Blame::First, Blame::Every, Blame::Wrong] {
        for bad in [1_usize, 2, 5, 20] {
            let driver = watched();
            driver.inner().refuse(ErrorKind::Constraint, blame, is_bad);
            let (sink, mut letters) = dead_letter::channel(100);
            let flow = BatchFlow::builder(driver.clone())
                .flush_size(1_000)
                .flush_interval(HOUR)
                .dead_letters(sink)
                .build()
                .unwrap();
            let step = rows / bad as i64;
            for id in 0..rows {
                let name =
                    if id % step == step / 2 && id / step < bad as i64 { "bad" } else { "x" };
                flow.submit(row(&users(), id, name)).await.unwrap();
            }
            let counts = flow.flush().await.unwrap();
            assert_eq!((counts.written, counts.rejected), (1_000 - bad as u64, bad as u64));
            let attempts = driver.attempts();
            assert!(attempts <= bounds(bad), "{bad} bad, {blame:?}: {attempts} attempts");
            assert_eq!(memory(&driver).len("users"), 1_000 - bad);
            for _ in 0..bad {
                let letter = letters.recv().await.unwrap();
                assert!(is_bad(letter.request()), "its values are with it");
                assert_eq!(letter.error().error().kind(), ErrorKind::Constraint);
            }
        }
    }
}

/// A merged row keeps the rows it was made of until its verdict: refused, each is tried by itself.
#[tokio::test(start_paused = true)]
async fn promise_4_a_bad_row_merged_over_a_good_one_leaves_the_good_one_written() {
    for names in [["good", "bad"], ["bad", "good"]] {
        let driver = watched();
        driver.inner().refuse(ErrorKind::Constraint, Blame::Nobody, is_bad);
        let flow = BatchFlow::builder(driver.clone()).concurrency(1).build().unwrap();
        let gate = batchflow_core::testing::Gate::closed();
        driver.inner().script([Fault::Wait(gate.clone())]);
        let first = flow.submit_tracked(row(&users(), 0, "first")).await.unwrap();
        tokio::time::sleep(SECOND).await;
        let mut receipts = Vec::new();
        for name in names {
            receipts.push(flow.submit_tracked(row(&users(), 1, name)).await.unwrap());
        }
        gate.open();
        assert_eq!(first.await.unwrap(), Outcome::Written);
        for (name, receipt) in names.into_iter().zip(receipts) {
            match (name, receipt.await) {
                ("good", Ok(_)) => {}
                ("bad", Err(RowError::Rejected(error))) => {
                    assert_eq!(error.kind(), ErrorKind::Constraint);
                }
                // A good row over a bad one stands for both: the bad one never was.
                ("bad", Ok(Outcome::Superseded)) if names[1] == "good" => {}
                (name, verdict) => panic!("{name}: {verdict:?}"),
            }
        }
        assert_eq!(memory(&driver).value("users", [1_i64], "name"), Some("good".into()));
    }
}

/// Systemic errors fail at once, without halving.
#[tokio::test(start_paused = true)]
async fn promise_4_a_systemic_error_costs_one_attempt() {
    let driver = watched();
    driver.inner().script([Fault::fail(ErrorKind::Permission)]);
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    for id in 0..100 {
        flow.submit(row(&users(), id, "x")).await.unwrap();
    }
    assert_eq!(flow.flush().await.unwrap().rejected, 100);
    assert_eq!(driver.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn promise_4_a_batch_that_is_too_large_goes_in_halves() {
    let driver = watched();
    driver.inner().too_large_above(10);
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    for id in 0..100 {
        flow.submit(row(&users(), id, "x")).await.unwrap();
    }
    assert_eq!(flow.flush().await.unwrap().written, 100);
    assert!(memory(&driver).batches().iter().all(|batch| batch.len() <= 10));
}

/// A driver's panic is its batch's misfortune, and of no other batch.
#[tokio::test(start_paused = true)]
async fn promise_4_a_panic_in_the_driver_harms_its_own_batch_only() {
    let driver = watched();
    driver.inner().each(|batch, _| match batch.schema().table().name() {
        "cursed" => Fault::PanicAfter,
        _ => Fault::Pass,
    });
    let flow = BatchFlow::builder(driver.clone()).build().unwrap();
    let cursed = schema("cursed", ConflictStrategy::Fail);
    for id in 0..10 {
        let unlucky = flow.submit_tracked(row(&cursed, id, "x")).await.unwrap();
        let lucky = flow.submit_tracked(row(&users(), id, "x")).await.unwrap();
        assert!(matches!(unlucky.await, Err(RowError::Unknown(_))));
        assert_eq!(lucky.await.unwrap(), Outcome::Written);
    }
    let stats = flow.close().await.unwrap().stats;
    assert_eq!((stats.written, stats.unknown), (10, 10));
}

#[derive(Debug)]
struct PanickyCoalescer;

impl Coalescer for PanickyCoalescer {
    fn key(&self, request: &Request) -> Option<Key> {
        assert!(id(request) % 3 != 0, "a key panic that the test ordered");
        Some(Key::from(id(request)))
    }

    fn merge(&self, _: &mut Request, newer: &Request) -> Merged {
        assert!(id(newer) % 3 != 1, "a merge panic that the test ordered");
        Merged::Replace
    }
}

#[derive(Debug)]
struct PanickyMetrics;

impl Metrics for PanickyMetrics {
    fn batch(&self, _: &BatchEvent<'_>) {
        panic!("a metrics panic that the test ordered");
    }
}

/// Whatever of a user's own panics: every row has its verdict, and all of them are right.
#[tokio::test(start_paused = true)]
async fn promise_4_panics_in_coalescer_classifier_metrics_and_callback_change_no_verdict() {
    let driver = watched();
    driver.inner().refuse(ErrorKind::Constraint, Blame::First, is_bad);
    let letters = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&letters);
    let flow = BatchFlow::builder(driver.clone())
        .flush_interval(HOUR)
        .coalescer(PanickyCoalescer)
        .metrics(PanickyMetrics)
        .classifier(|_: &WriteError| -> Option<ErrorClass> {
            panic!("a classifier panic that the test ordered")
        })
        .dead_letters(dead_letter::callback(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("a callback panic that the test ordered");
        }))
        .build()
        .unwrap();
    for round in ["old", "new"] {
        for id in 0..30 {
            let name = if id == 17 && round == "new" { "bad" } else { round };
            flow.submit(row(&users(), id, name)).await.unwrap();
        }
    }
    let counts = flow.flush().await.unwrap();
    // Merged where neither panics: 10 of 30, of which one was refused and sent in its parts.
    assert_eq!((counts.rejected, counts.written + counts.superseded), (1, 59));
    assert_eq!(counts.superseded, 9);
    assert_eq!(flow.close().await.unwrap().stats.pending, 0);
    assert_eq!(letters.load(Ordering::Relaxed), 1);
    for id in 0..30 {
        let expected = if id == 17 { "old" } else { "new" };
        let name = memory(&driver).value("users", [id], "name");
        assert_eq!(name, Some(expected.into()), "{id}");
    }
    assert_eq!(driver.violations(), Vec::<String>::new());
}

/// A driver whose table is refused harms the schemas of no other table.
#[tokio::test(start_paused = true)]
async fn promise_4_a_missing_table_rejects_its_own_rows_only() {
    let driver = MemoryDriver::with_tables([batchflow_core::testing::Table::of(&users())]);
    let flow = BatchFlow::builder(driver).build().unwrap();
    let nowhere = schema("nowhere", ConflictStrategy::Ignore);
    let lost = flow.submit_tracked(row(&nowhere, 1, "x")).await.unwrap();
    let kept = flow.submit_tracked(row(&users(), 1, "x")).await.unwrap();
    let Err(RowError::Rejected(error)) = lost.await else { panic!("not rejected") };
    assert_eq!((error.kind(), error.table()), (ErrorKind::Schema, Some("nowhere")));
    assert_eq!(kept.await.unwrap(), Outcome::Written);
}

/// A flow's own classifier is asked about a look-up's errors, too.
#[tokio::test(start_paused = true)]
async fn promise_4_a_table_that_the_classifier_says_will_come_back_is_waited_for() {
    let driver = watched();
    driver.inner().script_describe([WriteError::new(ErrorKind::Schema)]);
    let flow = BatchFlow::builder(driver.clone())
        .classifier(|error: &WriteError| {
            (error.kind() == ErrorKind::Schema).then_some(ErrorClass::Transient)
        })
        .build()
        .unwrap();
    let receipt = flow.submit_tracked(row(&users(), 1, "x")).await.unwrap();
    let verdict = receipt.await;
    assert!(matches!(verdict, Ok(Outcome::Written)), "{verdict:?}");
}

/// What the classifier says is a row's own fault costs none of the rows it was merged with.
#[tokio::test(start_paused = true)]
async fn promise_4_the_classifier_decides_whether_a_merged_row_is_sent_in_its_parts() {
    let driver = watched();
    driver.inner().refuse(ErrorKind::Permission, Blame::Nobody, is_bad);
    let flow = BatchFlow::builder(driver.clone())
        .flush_interval(HOUR)
        .classifier(|error: &WriteError| {
            (error.kind() == ErrorKind::Permission).then_some(ErrorClass::Row)
        })
        .build()
        .unwrap();
    for name in ["good", "bad"] {
        flow.submit(row(&users(), 1, name)).await.unwrap();
    }
    let counts = flow.flush().await.unwrap();
    assert_eq!((counts.written, counts.rejected), (1, 1));
    assert_eq!(memory(&driver).value("users", [1_i64], "name"), Some("good".into()));
}
