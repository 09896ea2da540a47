//! Under fire: connections are killed, cut and stalled while rows are written. What became of every
//! row is judged from a history.
//!
//! Each test is repeated with every seed of `BATCHFLOW_SEEDS`, from `BATCHFLOW_FAULT_SEED` on.

mod between;
mod cluster;
#[path = "../../../../xtask/shared/fire.rs"]
mod fire;
mod own_servers;
mod redirections;
mod rig;
mod takeover;

use std::time::Duration;

use batchflow_core::testing::{Cut, Direction, Ending, Proxy};

use crate::support::{Direct, address, by_user, fresh, is_cluster, seeds, through, url};
use fire::{in_time, join};
use rig::Rig;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_connections_that_the_server_kills() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let user = fresh("killed");
        let mut direct = Direct::connect(&url()).await;
        direct.ask(&format!("ACL SETUSER {user} on nopass ~* &* +@all")).await;
        let own = by_user(&url(), &user, "any");
        let rig = Rig::new(&own, seed).await;
        let tasks = rig.burst(4, 400);
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(dice.u64(1..12))).await;
            direct.ask(&format!("CLIENT KILL USER {user}")).await;
        }
        in_time(join(tasks)).await;
        rig.finish("killed").await;
        direct.ask(&format!("ACL DELUSER {user}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_connections_cut_at_any_byte() {
    if is_cluster(&url()) {
        // Its nodes say where they are, which is past the proxy: see `between`.
        return;
    }
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let proxy = Proxy::start(address(&url())).await.unwrap();
        let rig = Rig::new(&through(&url(), proxy.address()), seed).await;
        let tasks = rig.burst(4, 400);
        for _ in 0..60 {
            let direction = if dice.bool() { Direction::ToServer } else { Direction::ToClient };
            let most = [8, 200, 3_000][dice.usize(..3)];
            let cut = Cut::after_bytes(direction, dice.u64(..most));
            proxy.cut(if dice.bool() { cut.closing() } else { cut });
            tokio::time::sleep(Duration::from_millis(dice.u64(1..10))).await;
            if dice.u8(..10) == 0 {
                proxy.cut_all(Ending::Reset);
            }
        }
        proxy.pass();
        in_time(join(tasks)).await;
        let stats = rig.finish("cut").await;
        assert!(proxy.cuts() > 0, "seed {seed}: nothing was cut: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_9_connections_that_stall() {
    if is_cluster(&url()) {
        // Its nodes say where they are, which is past the proxy: see `between`.
        return;
    }
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let proxy = Proxy::start(address(&url())).await.unwrap();
        let rig = Rig::new(&through(&url(), proxy.address()), seed).await;
        let tasks = rig.burst(4, 300);
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(dice.u64(1..20))).await;
            proxy.stall();
            tokio::time::sleep(Duration::from_millis(dice.u64(100..1_500))).await;
            proxy.pass();
        }
        in_time(join(tasks)).await;
        rig.finish("stalled").await;
    }
}
