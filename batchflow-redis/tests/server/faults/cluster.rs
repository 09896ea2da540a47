//! Clusters under fire: nodes are killed and replaced, and slots move, while rows are written.

use std::time::Duration;

use super::fire::{in_time, join};
use super::rig::Rig;
use crate::support::cluster::{Cluster, REPLICATION};
use crate::support::servers::Servers;
use crate::support::{Direct, seeds};

pub(super) async fn rig(cluster: &Cluster, seed: u64) -> Rig {
    let mut rig = Rig::new(&cluster.url, seed).await;
    rig.read_at(&cluster.all);
    rig
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_a_node_killed_and_started_again_keeps_what_was_called_written() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let settings = vec!["cluster-node-timeout=1000".to_owned(); 3];
        let cluster = Cluster::with(&Servers::connect(), &settings, &[]).await;
        let rig = rig(&cluster, seed).await;
        let tasks = rig.burst(4, 300);
        for _ in 0..2 {
            let node = &cluster.nodes[dice.usize(..3)];
            tokio::time::sleep(Duration::from_millis(dice.u64(20..150))).await;
            node.kill().await;
            tokio::time::sleep(Duration::from_millis(dice.u64(0..1_500))).await;
            node.restart().await;
        }
        in_time(join(tasks)).await;
        // A node that was started again serves nothing for two seconds, nor does any where one was
        // missed: no row may have waited for it.
        in_time(cluster.is_whole(0..3)).await;
        let stats = rig.finish("node killed").await;
        assert!(stats.written + stats.superseded > 0, "seed {seed}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_3_slots_that_move_while_rows_are_written() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let cluster = Cluster::start(&Servers::connect(), &[]).await;
        let rig = rig(&cluster, seed).await;
        let mut direct = Direct::connect(&cluster.url).await;
        let mut slots = Vec::new();
        for key in rig.keys() {
            slots.push(direct.ask(&format!("CLUSTER KEYSLOT {key}")).await.parse().unwrap());
        }
        let tasks = rig.burst(4, 500);
        for _ in 0..60 {
            let slot = slots[dice.usize(..slots.len())];
            cluster.move_slot(slot, dice.usize(..3)).await;
        }
        in_time(join(tasks)).await;
        let stats = rig.finish("slots moved").await;
        assert_eq!(stats.unknown, 0, "seed {seed}: a node says what it did not do: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_3_a_node_that_stalls_until_its_replica_has_taken_over() {
    for seed in seeds() {
        let cluster = Cluster::start(&Servers::connect(), &[0]).await;
        let rig = rig(&cluster, seed).await;
        in_time(join(rig.burst(4, 100))).await;
        // What was written so far is on the replica, too: only the server could lose it.
        in_time(cluster.is_copied(0, 3)).await;
        cluster.give_up_soon(3).await;
        cluster.nodes[0].stall().await;
        let tasks = rig.burst(4, 200);
        in_time(cluster.says(3, REPLICATION, "role:master")).await;
        in_time(join(tasks)).await;
        // What it had not read yet, it executes now; and then it learns that it is replaced.
        cluster.nodes[0].resume().await;
        assert_eq!(rig.running(), 0, "seed {seed}: what was sent is done with: it is replaced");
        in_time(cluster.says(0, REPLICATION, "master_link_status:up")).await;
        let stats = rig.finish("node replaced").await;
        assert!(stats.written + stats.superseded > 400, "seed {seed}: {stats:?}");
    }
}
