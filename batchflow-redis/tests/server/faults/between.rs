//! Connections to a cluster's nodes, cut and stalled on their way.

use std::time::Duration;

use batchflow_core::testing::{Cut, Direction, Ending};

use super::fire::{in_time, join};
use super::rig::Rig;
use crate::support::cluster::Cluster;
use crate::support::seeds;
use crate::support::servers::Servers;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_connections_to_a_clusters_nodes_cut_at_any_byte() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let cluster = Cluster::start(&Servers::connect(), &[]).await;
        let (proxies, url) = in_time(cluster.behind_proxies()).await;
        let mut rig = Rig::new(&url, seed).await;
        rig.read_at(&url);
        let tasks = rig.burst(4, 400);
        for _ in 0..60 {
            let proxy = &proxies[dice.usize(..3)];
            let direction = if dice.bool() { Direction::ToServer } else { Direction::ToClient };
            let most = [8, 200, 3_000][dice.usize(..3)];
            let cut = Cut::after_bytes(direction, dice.u64(..most));
            proxy.cut(if dice.bool() { cut.closing() } else { cut });
            tokio::time::sleep(Duration::from_millis(dice.u64(1..10))).await;
            if dice.u8(..10) == 0 {
                proxy.cut_all(Ending::Reset);
            }
        }
        for proxy in &proxies {
            proxy.pass();
        }
        in_time(join(tasks)).await;
        let stats = rig.finish("nodes cut off").await;
        for proxy in &proxies {
            assert!(proxy.cuts() > 0, "seed {seed}: a node was met without being cut: {stats:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_9_connections_to_a_clusters_nodes_that_stall() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let cluster = Cluster::start(&Servers::connect(), &[]).await;
        let (proxies, url) = in_time(cluster.behind_proxies()).await;
        let mut rig = Rig::new(&url, seed).await;
        rig.read_at(&url);
        let tasks = rig.burst(4, 300);
        for _ in 0..3 {
            let proxy = &proxies[dice.usize(..3)];
            tokio::time::sleep(Duration::from_millis(dice.u64(1..20))).await;
            proxy.stall();
            tokio::time::sleep(Duration::from_millis(dice.u64(100..1_500))).await;
            proxy.pass();
        }
        in_time(join(tasks)).await;
        rig.finish("nodes stalled").await;
    }
}
