//! Promise 9: every await ends; and a lost connection is replaced.

use std::time::Duration;

use tokio::time::Instant;

use crate::RetryPolicy;
use crate::driver::ColumnKind;
use crate::schema::{ConflictStrategy, Schema};
use crate::testing::{Column, Table};

use super::harness::{Harness, fresh};
use super::history::Fate;
use super::run::Run;

fn table() -> Table {
    Table::new(fresh("stalls"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .unique(["id"])
}

/// Promise 9: a write that another holds up ends by its deadline; where the verdict says that it
/// was not applied, it is not in the table; and once the hold is gone, rows are written again.
///
/// Needs [`Harness::hold_up`]. Returns whether it ran.
pub async fn a_held_up_write_ends_by_its_deadline(harness: &dyn Harness) -> bool {
    let table = table();
    let schema = Schema::new(table.name(), ConflictStrategy::Ignore, ["id"]).unwrap();
    let mut run = Run::new(harness, table.clone(), |flow| {
        let retry = RetryPolicy::default().give_up_after(Duration::from_secs(2));
        flow.timeout(Duration::from_millis(500)).retry(retry)
    })
    .await;
    assert_eq!(run.write(schema.row((1_i64,)).unwrap()).await, Fate::Written);
    let Some(hold) = harness.hold_up(&table).await else { return false };
    let start = Instant::now();
    let fate = run.write(schema.row((2_i64,)).unwrap()).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(30), "promise 9: it took {took:?}");
    let in_doubt = matches!(fate, Fate::NotSent | Fate::Unknown | Fate::StillRunning);
    assert!(in_doubt, "promise 2: a held up write came to {fate:?}");
    drop(hold);
    assert_eq!(run.write(schema.row((3_i64,)).unwrap()).await, Fate::Written);
    drop(run.finish().await);
    true
}

/// Promise 9: after all connections are cut, between batches and under them, rows are written
/// again, and none is lost or doubled.
///
/// Needs [`Harness::cut_connections`]. Returns whether it ran.
pub async fn a_cut_connection_is_replaced(harness: &dyn Harness) -> bool {
    let table = table();
    let schema = Schema::new(table.name(), ConflictStrategy::Ignore, ["id"]).unwrap();
    let mut run = Run::new(harness, table, |flow| flow.flush_size(10)).await;
    assert_eq!(run.write(schema.row((0_i64,)).unwrap()).await, Fate::Written);
    if !harness.cut_connections().await {
        return false;
    }
    assert_eq!(run.write(schema.row((1_i64,)).unwrap()).await, Fate::Written);
    for id in 2..202 {
        run.submit(schema.row((id,)).unwrap()).await;
        if id % 40 == 0 {
            harness.cut_connections().await;
        }
    }
    run.settle().await;
    let written = run.history.count(|fate| fate == Fate::Written);
    assert_eq!(written, 202, "promise 9: an Ignore may always be repeated");
    drop(run.finish().await);
    true
}
