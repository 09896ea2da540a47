//! Promise 8: no blind retry; and promise 3 where an attempt cannot be fenced.

use std::sync::Arc;
use std::time::Duration;

use crate::RetryPolicy;
use crate::driver::{ColumnKind, Driver, ErrorKind, Stage, WriteError};
use crate::schema::{ConflictStrategy, Merge, Schema};
use crate::testing::{Column, Fault, FaultDriver, Table};
use crate::value::Value;

use super::harness::{Harness, fresh};
use super::history::Fate;
use super::run::Run;
use super::show::show_rows;

fn table() -> Table {
    Table::new(fresh("unknown"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("hits", ColumnKind::Integer))
        .unique(["id"])
}

fn schema(table: &Table, strategy: ConflictStrategy, rule: Merge) -> Schema {
    let schema = Schema::builder(table.name()).columns(["id", "hits"]).key(["id"]);
    let schema = schema.on_conflict(strategy);
    let updates = strategy == ConflictStrategy::Update;
    if updates { schema.merge("hits", rule) } else { schema }.build().unwrap()
}

fn lost() -> WriteError {
    WriteError::new(ErrorKind::Connection).at(Stage::Commit)
}

/// Promise 8: where the answer to a commit is lost, a row whose repetition is harmless is
/// written again, any other is unknown, unless the driver settles it; and none is written twice.
pub async fn lost_answers_are_never_repeated_blindly(harness: &dyn Harness) {
    let cases = [
        (ConflictStrategy::Fail, Merge::Set, false),
        (ConflictStrategy::Ignore, Merge::Set, true),
        (ConflictStrategy::Replace, Merge::Set, true),
        (ConflictStrategy::Update, Merge::Max, true),
        (ConflictStrategy::Update, Merge::Add, false),
    ];
    for (strategy, rule, harmless) in cases {
        for applied in [true, false] {
            for settles in [true, false] {
                let table = table();
                harness.create(&table).await;
                let driver = FaultDriver::new(harness.driver().await);
                let driver = Arc::new(if settles { driver.settling() } else { driver });
                let faulty: Arc<dyn Driver> = driver.clone();
                let schema = schema(&table, strategy, rule);
                let mut run = Run::with(harness, table, faulty, |flow| flow);
                let fault =
                    if applied { Fault::LoseAnswer(lost()) } else { Fault::LoseRequest(lost()) };
                driver.script([fault]);
                let fate = run.write(schema.row((1_i64, 1_i64)).unwrap()).await;
                let case = format!("{strategy:?} {rule:?}, applied {applied}, settles {settles}");
                let expected = if harmless || settles { Fate::Written } else { Fate::Unknown };
                assert_eq!(fate, expected, "promise 8: {case}");
                let rows = run.rows().await;
                let one = [vec![Value::I64(1), Value::I64(1)]];
                let written = applied || fate == Fate::Written;
                let expected = &one[..usize::from(written)];
                assert!(
                    rows == expected,
                    "promise 8: {case}: the table holds {}",
                    show_rows(&rows)
                );
                drop(run.finish().await);
            }
        }
    }
}

/// Promise 3: an attempt that outlives its cancellation and commits late. A driver that settles
/// keeps the key's order: the row is written, and what came after it is applied after it. One
/// that cannot tell leaves its rows unknown, and the history holds.
pub async fn a_late_orphan_breaks_no_order(harness: &dyn Harness) {
    for settles in [true, false] {
        let table = table();
        harness.create(&table).await;
        let driver = FaultDriver::new(harness.driver().await);
        let driver = Arc::new(if settles { driver.settling() } else { driver });
        let faulty: Arc<dyn Driver> = driver.clone();
        let schema = schema(&table, ConflictStrategy::Update, Merge::Set);
        let mut run = Run::with(harness, table, faulty, |flow| {
            let retry = RetryPolicy::default().first_delay(Duration::from_millis(5));
            flow.timeout(Duration::from_millis(200))
                .retry(retry.max_delay(Duration::from_millis(20)))
                .grace(Duration::from_millis(200))
        });
        // Known to the flow before the fault, so that no look-up is in its way.
        assert_eq!(run.write(schema.row((1_i64, 0_i64)).unwrap()).await, Fate::Written);
        driver.script([Fault::Orphan { commit_after: Some(Duration::from_secs(1)) }]);
        let orphan = run.submit(schema.row((1_i64, 1_i64)).unwrap()).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let later = run.submit(schema.row((1_i64, 2_i64)).unwrap()).await;
        run.settle().await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let rows = run.rows().await;
        assert_eq!(run.history.fate(later), Some(Fate::Written));
        if settles {
            assert_eq!(run.history.fate(orphan), Some(Fate::Written));
            let last = [[Value::I64(1), Value::I64(2)]];
            assert!(rows == last, "promise 3: the table holds {}", show_rows(&rows));
        } else {
            assert_eq!(run.history.fate(orphan), Some(Fate::StillRunning));
        }
        drop(run.finish().await);
    }
}
