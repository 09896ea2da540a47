//! Attempts that the client gave up on while they wait for a lock: each is seen to end before its
//! rows go again.

use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;
use tokio::time::{Instant, sleep};

use super::rig::{Kind, Rig, Setup, join, way};
use crate::support::{rows, seeds, sessions, url};

/// How many batches are written at once.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_a_statement_given_up_ends_before_its_rows_go_again() {
    for seed in seeds() {
        let setup = Setup { seed, way: way(seed), ledger: true, ..Setup::default() };
        let rig = Rig::with(&url(), setup, |flow| {
            flow.timeout(Duration::from_millis(400)).concurrency(AT_ONCE)
        })
        .await;
        rig.write(Kind::Counting, 300).await;
        let mut locker = rig.database.connect().await;
        let tables = rows(&mut locker, "SHOW TABLES LIKE '%counting%'").await;
        locker.query_drop("BEGIN").await.unwrap();
        rows(&mut locker, &format!("SELECT * FROM {} FOR UPDATE", tables[0])).await;
        let mut watcher = rig.database.connect().await;
        let others = [watcher.id(), locker.id()];
        let writers = rig.burst(4, 100);
        // Several attempts' time.
        let until = Instant::now() + Duration::from_millis(2_500);
        let mut most = 0;
        while Instant::now() < until {
            let found = sessions(&mut watcher, rig.database.name()).await.unwrap().into_iter();
            let working = found.filter(|session| {
                !others.contains(&session.id)
                    && ["Query", "Execute", "Long Data"].contains(&&*session.does)
            });
            most = most.max(working.count());
            sleep(Duration::from_millis(5)).await;
        }
        assert!(most > 0, "seed {seed}: nothing waited for the lock");
        assert!(most <= AT_ONCE + 2, "seed {seed}: {most} statements worked at once");
        locker.query_drop("ROLLBACK").await.unwrap();
        join(writers).await;
        let stats = rig.finish("late orphans").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}
