//! An attempt that the client gave up on and that commits late: its commit waits for a standby
//! that stands still.

use std::time::Duration;

use batchflow_core::conformance::Fate;
use batchflow_postgres::RetryPolicy;
use tokio::time::sleep;

use super::rig::{Kind, Rig, config, join};
use super::servers_down::synchronous;
use crate::support::seeds;
use crate::support::servers::Servers;

/// Stalls the standby while rows are written, for longer than an attempt; rows are tried again for
/// `give_up`.
async fn commit_late(seed: u64, stalled: Duration, give_up: Duration) -> batchflow_postgres::Stats {
    let servers = Servers::connect();
    let primary = servers.server("").await;
    let standby = primary.standby().await;
    synchronous(&primary.url).await;
    let rig = Rig::with(&primary.url, config(&primary.url, None), seed, "", |flow| {
        let retry = RetryPolicy::default().seed(seed).give_up_after(give_up);
        flow.timeout(Duration::from_millis(400)).retry(
            retry.first_delay(Duration::from_millis(10)).max_delay(Duration::from_millis(100)),
        )
    })
    .await;
    rig.write(Kind::Counting, 10).await;
    let before = rig.count(|fate| fate == Fate::Written);
    standby.stall().await;
    let writers = rig.burst(2, 40);
    sleep(stalled / 2).await;
    assert_eq!(
        rig.count(|fate| fate == Fate::Written),
        before,
        "seed {seed}: a row is acknowledged that the standby does not have"
    );
    sleep(stalled / 2).await;
    standby.resume().await;
    join(writers).await;
    // What was given up ends now.
    sleep(Duration::from_millis(500)).await;
    rig.finish(&format!("late commits, given up after {give_up:?}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_3_rows_wait_for_a_late_commit_and_are_not_sent_again() {
    for seed in seeds() {
        let stats = commit_late(seed, Duration::from_secs(2), Duration::from_secs(30)).await;
        assert_eq!(
            stats.unknown + stats.rejected,
            0,
            "seed {seed}: the server could tell: {stats:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_rows_of_a_commit_later_than_their_deadline_are_unknown() {
    for seed in seeds() {
        let stats = commit_late(seed, Duration::from_secs(4), Duration::from_millis(1_200)).await;
        assert!(stats.unknown > 0, "seed {seed}: {stats:?}");
    }
}
