//! A primary of a cluster is killed while rows are written, and its replica takes over.
//!
//! Redis answers before its replicas have what it answers. What a primary has answered that no replica
//! has is lost with it, by any client, and the driver promises nothing of it. What it promises is:
//! the flow goes on by itself; each row has one verdict, in time; what was called written while the
//! replica had it, or once it had taken over, is there; nothing is applied twice, whether the failed
//! primary had executed it or not.

use std::time::Duration;

use super::cluster::rig;
use super::fire::{in_time, join};
use crate::support::cluster::{Cluster, REPLICATION};
use crate::support::seeds;
use crate::support::servers::Servers;

/// A cluster whose primaries have a replica each.
async fn start() -> Cluster {
    Cluster::start(&Servers::connect(), &[0, 1, 2]).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_a_replica_that_takes_over_has_all_that_was_called_written() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let cluster = start().await;
        let (killed, replica) = [(0, 3), (1, 4), (2, 5)][dice.usize(..3)];
        let mut rig = rig(&cluster, seed).await;
        rig.read_at(&cluster.without(killed));
        let tasks = rig.burst(4, 300);
        tokio::time::sleep(Duration::from_millis(dice.u64(20..150))).await;
        // So that all that it has answered is on the replica: it answers no more, and what comes
        // from now on dies with it, read or unread.
        cluster.ask(killed, "CLIENT PAUSE 60000 WRITE").await;
        in_time(cluster.is_copied(killed, replica)).await;
        cluster.give_up_soon(replica).await;
        tokio::time::sleep(Duration::from_millis(dice.u64(0..1_000))).await;
        cluster.nodes[killed].kill().await;
        in_time(cluster.says(replica, REPLICATION, "role:master")).await;
        let later = rig.burst(4, 100);
        in_time(join(tasks)).await;
        in_time(join(later)).await;
        assert_eq!(rig.running(), 0, "seed {seed}: what was sent is done with: it is replaced");
        in_time(cluster.is_whole((0..6).filter(|at| *at != killed))).await;
        let stats = rig.finish("primary killed").await;
        assert!(stats.written + stats.superseded > 400, "seed {seed}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_a_primary_killed_while_it_answers_has_nothing_doubled() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let cluster = start().await;
        let (killed, replica) = [(0, 3), (1, 4), (2, 5)][dice.usize(..3)];
        let mut rig = rig(&cluster, seed).await;
        in_time(join(rig.burst(4, 100))).await;
        in_time(cluster.is_copied(killed, replica)).await;
        cluster.give_up_soon(replica).await;
        // Rows of its keys may be lost that it answers from now on.
        let mut keys = Vec::new();
        for key in rig.keys() {
            let slot = cluster.ask(0, &format!("CLUSTER KEYSLOT {key}")).await.parse().unwrap();
            if cluster.owner(slot).await == killed {
                keys.push(key);
            }
        }
        rig.excuse(keys);
        let tasks = rig.burst(4, 300);
        tokio::time::sleep(Duration::from_millis(dice.u64(20..150))).await;
        cluster.nodes[killed].kill().await;
        in_time(cluster.says(replica, REPLICATION, "role:master")).await;
        rig.excuse(Vec::new());
        let later = rig.burst(4, 100);
        // It comes back while rows are written, and has to give up what it had.
        cluster.nodes[killed].restart().await;
        in_time(join(tasks)).await;
        in_time(join(later)).await;
        assert_eq!(rig.running(), 0, "seed {seed}: what was sent is done with: it is replaced");
        in_time(cluster.says(killed, REPLICATION, "master_link_status:up")).await;
        in_time(cluster.is_whole(0..6)).await;
        let stats = rig.finish("primary killed as it answers").await;
        assert!(stats.written + stats.superseded > 800, "seed {seed}: {stats:?}");
    }
}
