//! Servers that are killed, stalled, failed over, and whose backends are ended.

use std::time::Duration;

use batchflow_postgres::Way;
use tokio::time::sleep;

use super::rig::{Rig, config, held_up, in_time, join};
use crate::support::framing::address;
use crate::support::servers::Servers;
use crate::support::{connect, execute, rows, seeds, url};

/// Each seed forces another way, or none.
fn way(seed: u64) -> Option<Way> {
    [None, Some(Way::Unnest), Some(Way::Copy), Some(Way::Stage)][(seed % 4) as usize]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_ended_backends_lose_and_double_nothing() {
    for seed in seeds() {
        let name = crate::support::fresh("ended");
        let config = config(&url(), way(seed)).application_name(&name);
        let rig = Rig::new(&url(), config, seed).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = rig.burst(4, 150);
        end_backends(&url(), &name, &mut dice).await;
        join(writers).await;
        let stats = rig.finish("ended backends").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: the server could tell");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_killed_and_restarted_server_loses_and_doubles_nothing() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let rig = Rig::new(&server.url, config(&server.url, way(seed)), seed).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = rig.burst(4, 150);
        for _ in 0..2 {
            sleep(Duration::from_millis(dice.u64(5..150))).await;
            server.kill().await;
            sleep(Duration::from_millis(dice.u64(1..300))).await;
            server.restart().await;
        }
        join(writers).await;
        let stats = rig.finish("killed server").await;
        assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
        assert!(stats.written > stats.submitted / 2, "seed {seed}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_9_a_stalled_server_delays_rows_and_loses_none() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let config = config(&server.url, way(seed));
        let rig = Rig::with(&server.url, config, seed, "", |flow| {
            flow.timeout(Duration::from_millis(500))
        })
        .await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = rig.burst(4, 100);
        sleep(Duration::from_millis(dice.u64(5..100))).await;
        server.stall().await;
        let more = rig.burst(2, 20);
        held_up(&rig.flow, &format!("seed {seed}, stalled")).await;
        // Several attempts' time.
        sleep(Duration::from_millis(dice.u64(1_000..2_500))).await;
        server.resume().await;
        join(writers).await;
        join(more).await;
        let stats = rig.finish("stalled server").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: the server could tell");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_failover_loses_no_acknowledged_row() {
    for seed in seeds() {
        let servers = Servers::connect();
        let primary = servers.server("").await;
        let standby = primary.standby().await;
        synchronous(&primary.url).await;
        let both = format!("{},{}", address(&primary.url), address(&standby.url));
        let url = crate::support::framing::through(&primary.url, both);
        let url = format!("{url}?target_session_attrs=read-write");
        let mut rig = Rig::new(&primary.url, config(&url, way(seed)), seed).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = rig.burst(4, 150);
        sleep(Duration::from_millis(dice.u64(20..200))).await;
        primary.kill().await;
        sleep(Duration::from_millis(dice.u64(1..200))).await;
        standby.promote().await;
        join(writers).await;
        rig.read_at(&standby.url);
        let stats = rig.finish("failover").await;
        assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
        assert!(stats.written + stats.superseded > 0, "seed {seed}: {stats:?}");
    }
}

/// Ends the backends of who calls itself so, half of them at a time, for a quarter of a second.
pub(super) async fn end_backends(url: &str, name: &str, dice: &mut fastrand::Rng) {
    let client = connect(url).await;
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = '{name}' AND random() < 0.5"
    );
    for _ in 0..20 {
        rows(&client, &end).await;
        sleep(Duration::from_millis(dice.u64(1..25))).await;
    }
}

/// Waits until every commit waits for the standby.
pub(super) async fn synchronous(url: &str) {
    let client = connect(url).await;
    let state = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
    let is_sync = async {
        while rows(&client, state).await != ["sync"] {
            sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(is_sync).await;
    // What makes backends wait is set by the checkpointer, before it answers this.
    execute(url, "CHECKPOINT").await;
}
