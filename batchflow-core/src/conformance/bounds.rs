//! Promises 6 and 7: a database that stands still fills the buffer, and no more.

use std::time::Duration;

use tokio::time::timeout;

use crate::driver::ColumnKind;
use crate::schema::{ConflictStrategy, Schema};
use crate::testing::{Column, Table};

use super::harness::{Harness, fresh};
use super::run::Run;

/// The bounds of the buffers: of one of them rows, of the other bytes.
const ROWS: usize = 40;
const BYTES: usize = 4_096;

/// Longer than a submit takes that need not wait.
const WAIT: Duration = Duration::from_millis(500);

/// Promise 6: while the database holds every write up, rows and bytes held stay within the buffer's
/// bounds, and `submit` waits. Promise 7: a submit that is given up meanwhile is not queued. All
/// others are written once the database goes on.
///
/// Needs [`Harness::hold_up`]. Returns whether it ran.
pub async fn a_stalled_database_exceeds_no_bound(harness: &dyn Harness) -> bool {
    fills_no_more(harness, ROWS, 1 << 20).await && fills_no_more(harness, 10_000, BYTES).await
}

async fn fills_no_more(harness: &dyn Harness, rows: usize, bytes: usize) -> bool {
    let table = Table::new(fresh("bounds"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("name", ColumnKind::Text))
        .unique(["id"]);
    let schema = Schema::new(table.name(), ConflictStrategy::Ignore, ["id", "name"]).unwrap();
    let row = |id: i64| schema.row((id, "x".repeat(100))).unwrap();
    let run = Run::new(harness, table.clone(), |flow| {
        let flow = flow.flush_size(10).flush_interval(Duration::from_millis(1)).concurrency(2);
        flow.flush_bytes(BYTES / 4).buffer_size(rows).buffer_bytes(bytes)
    })
    .await;
    run.flow.submit(row(0)).await.unwrap();
    assert!(run.flow.flush().await.unwrap().all_written());
    let Some(hold) = harness.hold_up(&table).await else { return false };
    let mut queued = 0;
    while let Ok(submitted) = timeout(WAIT, run.flow.submit(row(queued + 1))).await {
        submitted.unwrap();
        queued += 1;
        let stats = run.flow.stats();
        assert!(stats.pending <= rows as u64, "promise 6: {stats:?}");
        assert!(stats.pending_bytes <= bytes as u64, "promise 6: {stats:?}");
    }
    assert!(queued > 0, "promise 6: there was room");
    let refused = run.flow.try_submit(row(queued + 2)).unwrap_err();
    assert!(refused.is_full(), "promise 6: {refused}");
    assert_eq!(run.flow.stats().pending, queued.unsigned_abs(), "promise 7: it was given up");
    drop(hold);
    let summary = run.flow.close().await.unwrap();
    assert!(summary.all_written(), "promise 1: {:?}", summary.stats);
    assert_eq!(summary.stats.written, queued.unsigned_abs() + 1, "promise 7: it was given up");
    assert_eq!(run.rows().await.len() as u64, summary.stats.written, "promises 6 and 7");
    true
}
