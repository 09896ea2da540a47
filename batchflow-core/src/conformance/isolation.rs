//! Promise 4: a bad row harms no other.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::{ColumnKind, Driver, ErrorKind};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::testing::{Column, Probe, Table};

use super::harness::{Harness, fresh};
use super::history::Fate;
use super::run::Run;

fn table() -> Table {
    Table::new(fresh("isolation"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("name", ColumnKind::Text))
        .column(Column::new("level", ColumnKind::Integer).at_least(0))
        .unique(["id"])
        .unique(["name"])
}

fn schema(table: &Table, strategy: ConflictStrategy) -> Schema {
    Schema::new(table.name(), strategy, ["id", "name", "level"]).unwrap()
}

fn row(schema: &Schema, id: i64, level: i64) -> Request {
    schema.row((id, format!("row {id}"), level)).unwrap()
}

/// Promise 4: one bad row among 1,000, under each strategy: the 999 others are written, the bad
/// one is rejected with its error, and it takes at most 22 further attempts.
///
/// Needs [`Harness::has_constraints`]. Returns whether it ran.
pub async fn one_bad_row_among_a_thousand(harness: &dyn Harness) -> bool {
    if !harness.has_constraints() {
        return false;
    }
    for strategy in [
        ConflictStrategy::Fail,
        ConflictStrategy::Ignore,
        ConflictStrategy::Replace,
        ConflictStrategy::Update,
    ] {
        let table = table();
        let schema = schema(&table, strategy);
        harness.create(&table).await;
        let driver = Arc::new(Probe::new(harness.driver().await));
        let probe: Arc<dyn Driver> = driver.clone();
        let run = Run::with(harness, table, probe, |flow| {
            flow.flush_size(1_000).concurrency(1).flush_interval(Duration::from_secs(60))
        });
        let bad = 613;
        for id in 0..1_000 {
            let request = row(&schema, id, if id == bad { -1 } else { 1 });
            let entry = run.history.begin(&request);
            run.flow.submit(request).await.unwrap();
            run.history.queued(entry, None);
            let fate =
                if id == bad { Fate::Rejected(ErrorKind::Constraint) } else { Fate::Applied };
            run.history.settled(entry, fate);
        }
        let counts = run.flow.flush().await.unwrap();
        assert_eq!((counts.written, counts.rejected), (999, 1), "{strategy:?}");
        let attempts = driver.attempts();
        assert!(attempts <= 1 + 22, "{strategy:?}: {attempts} attempts");
        assert_eq!(driver.violations(), Vec::<String>::new());
        drop(run.flow.close().await.unwrap());
        run.history.check_table(&run.table, &run.rows().await).unwrap();
    }
    true
}

/// Promise 4: a bad row merged over a good one, or under it: the good one is written.
///
/// Needs [`Harness::has_constraints`]. Returns whether it ran.
pub async fn a_bad_row_merged_with_a_good_one(harness: &dyn Harness) -> bool {
    if !harness.has_constraints() {
        return false;
    }
    for bad_first in [false, true] {
        let table = table();
        let schema = schema(&table, ConflictStrategy::Update);
        let run = Run::new(harness, table, |flow| {
            flow.flush_interval(Duration::from_secs(60)).concurrency(1)
        })
        .await;
        // The good row sets no level, so that merging keeps the bad one's fault.
        let good = Request::new(&schema).set("id", 1_i64).set("name", "good");
        let bad = Request::new(&schema).set("id", 1_i64).set("level", -1_i64);
        let [first, second] = if bad_first { [bad, good] } else { [good, bad] };
        let mut entries = Vec::new();
        for request in [first, second] {
            let entry = run.history.begin(&request);
            run.flow.submit(request).await.unwrap();
            run.history.queued(entry, None);
            entries.push(entry);
        }
        let counts = run.flow.flush().await.unwrap();
        assert_eq!((counts.written, counts.rejected), (1, 1), "bad first: {bad_first}");
        let [first, second] = [Fate::Rejected(ErrorKind::Constraint), Fate::Written];
        let fates = if bad_first { [first, second] } else { [second, first] };
        for (entry, fate) in entries.into_iter().zip(fates) {
            run.history.settled(entry, fate);
        }
        drop(run.flow.close().await.unwrap());
        run.history.check_table(&run.table, &run.rows().await).unwrap();
    }
    true
}

/// Promise 5: only a duplicate of the key is a conflict; one of another unique key is that row's
/// [`DuplicateKey`](ErrorKind::DuplicateKey), on insert and on update.
///
/// Needs [`Harness::has_constraints`]. Returns whether it ran.
pub async fn another_unique_key_is_never_ignored(harness: &dyn Harness) -> bool {
    if !harness.has_constraints() {
        return false;
    }
    let duplicate = Fate::Rejected(ErrorKind::DuplicateKey);
    for strategy in [ConflictStrategy::Ignore, ConflictStrategy::Replace, ConflictStrategy::Update]
    {
        let table = table();
        let schema = schema(&table, strategy);
        let mut run = Run::new(harness, table, |flow| flow).await;
        let row = |id: i64, name: &str| schema.row((id, name, 1_i64)).unwrap();
        assert_eq!(run.write(row(1, "one")).await, Fate::Written);
        assert_eq!(run.write(row(2, "two")).await, Fate::Written);
        assert_eq!(run.write(row(3, "one")).await, duplicate, "{strategy:?}");
        let kept = strategy == ConflictStrategy::Ignore;
        let update = if kept { Fate::Written } else { duplicate };
        assert_eq!(run.write(row(2, "one")).await, update, "{strategy:?}");
        assert_eq!(run.rows().await.len(), 2);
        drop(run.finish().await);
    }
    true
}
