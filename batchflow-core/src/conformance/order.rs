//! Promise 3: order per key, whatever the concurrency, the retries and the splits.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::{ColumnKind, Driver};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Merge, Schema};
use crate::testing::{Blame, Column, FaultDriver, Probe, RandomFaults, Table};
use crate::{ErrorKind, RetryPolicy};

use super::harness::{Harness, fresh};
use super::history::Fate;
use super::run::Run;

const ROWS: i64 = 200;

/// No attempt is given longer than this.
const MOST: Duration = Duration::from_secs(10);

/// Promise 3: rows of few keys, from several tasks, through a driver that fails a third of its
/// attempts and refuses some rows: the history is clean for every seed, and no two attempts in
/// flight share a key. Every second seed merges.
pub async fn order_per_key(harness: &dyn Harness, seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        // Short at first, since some attempts hang until it is over. Where a slow disk outlasts
        // it, an attempt outlives its cancellation, and the order cannot be judged: again, longer.
        let mut timeout = Duration::from_millis(20);
        while !one_seed(harness, seed, seed % 2 == 0, timeout).await {
            timeout *= 2;
            assert!(timeout < MOST, "seed {seed}: an attempt outlives its cancellation");
        }
    }
}

/// Whether no attempt outlived its cancellation; then the order was judged.
async fn one_seed(harness: &dyn Harness, seed: u64, merging: bool, timeout: Duration) -> bool {
    let table = Table::new(fresh("order"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("last", ColumnKind::Integer))
        .column(Column::new("hits", ColumnKind::Integer))
        .unique(["id"]);
    let schema = Schema::builder(table.name())
        .columns(["id", "last", "hits"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .merge("hits", Merge::Add)
        .build()
        .unwrap();
    harness.create(&table).await;
    let faulty = FaultDriver::new(harness.driver().await);
    faulty.random(
        RandomFaults::seeded(seed)
            .without_orphans()
            .without_panics()
            .longest_delay(Duration::from_millis(4)),
    );
    faulty.refuse(ErrorKind::Constraint, Blame::Nobody, |row| {
        row.get::<i64>("last").is_ok_and(|last| last.is_some_and(|last| last % 17 == 0))
    });
    let driver = Arc::new(Probe::new(faulty));
    let probe: Arc<dyn Driver> = driver.clone();
    let run = Run::with(harness, table, probe, |flow| {
        flow.merge(merging)
            .flush_size(8)
            .buffer_size(64)
            .concurrency(4)
            .timeout(timeout)
            .flush_interval(Duration::from_millis(2))
            .retry(RetryPolicy::default().seed(seed).first_delay(Duration::from_millis(1)))
    });
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let (flow, history, schema) = (run.flow.clone(), run.history.clone(), schema.clone());
        let mut dice = fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(task));
        tasks.spawn(async move {
            let mut receipts = Vec::new();
            for number in 0..ROWS / 4 {
                let last = number * 4 + task.cast_signed();
                let mut request = Request::new(&schema).set("id", dice.i64(0..6));
                if dice.u8(..4) > 0 {
                    request = request.set("last", last);
                }
                if dice.u8(..4) > 0 {
                    request = request.set("hits", 1_i64);
                }
                let entry = history.begin(&request);
                let receipt = flow.submit_tracked(request).await.unwrap();
                history.queued(entry, Some(receipt.submission()));
                receipts.push((entry, receipt));
                if dice.u8(..16) == 0 {
                    tokio::task::yield_now().await;
                }
            }
            for (entry, receipt) in receipts {
                history.settled(entry, &receipt.await);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let (history, table) = (run.history.clone(), run.table.clone());
    let late = history.count(|fate| fate == Fate::StillRunning);
    if late > 0 {
        // Not judged: what is in doubt may be too much for it.
        drop(run.flow.close().await.unwrap());
        return false;
    }
    assert_eq!(driver.violations(), Vec::<String>::new(), "seed {seed}");
    let rows = run.rows().await;
    if let Err(violation) = history.check_table(&table, &rows) {
        panic!("seed {seed}, merging {merging}: {violation}");
    }
    drop(run.finish().await);
    true
}
