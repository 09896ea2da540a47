//! A replica that every commit waits for takes the place of its primary.

use std::time::Duration;

use batchflow_mysql::RetryPolicy;
use batchflow_mysql::client::prelude::Queryable as _;
use tokio::time::{Instant, sleep};

use super::replication::Pair;
use super::rig::{Kind, Rig, Setup, join, way};
use crate::support::framing::address;
use crate::support::seeds;
use crate::support::servers::Servers;

const TEST: &str =
    "faults::semi_sync::promise_1_a_replica_that_commits_wait_for_has_all_that_was_acknowledged";

/// Whom the flow is: one who may not write to a server that is read-only.
const USER: &str = "CREATE USER app@'%' IDENTIFIED BY 'app'; \
                    GRANT ALL ON `batchflow\\_%`.* TO app@'%'";

/// Has every commit of the primary wait until the replica has it on file, however long that takes.
/// Why that cannot be had here, if it cannot.
pub(super) async fn wait_for_replica(pair: &mut Pair) -> Result<(), String> {
    let (primary, replica) = (pair.words.primary, pair.words.replica);
    let (primary, replica) = (primary.to_lowercase(), replica.to_lowercase());
    if !pair.is_mariadb() {
        // With MySQL it is a plugin, which not every package has.
        for (conn, side) in [(&mut pair.primary, &primary), (&mut pair.replica, &replica)] {
            let install =
                format!("INSTALL PLUGIN rpl_semi_sync_{side} SONAME 'semisync_{side}.so'");
            conn.query_drop(install).await.map_err(|error| error.to_string())?;
        }
    }
    let set = format!(
        "SET GLOBAL rpl_semi_sync_{primary}_timeout = 600000; \
         SET GLOBAL rpl_semi_sync_{primary}_wait_point = AFTER_SYNC; \
         SET GLOBAL rpl_semi_sync_{primary}_enabled = ON"
    );
    pair.primary.query_drop(set).await.unwrap();
    let set = format!("SET GLOBAL rpl_semi_sync_{replica}_enabled = ON; SET GLOBAL read_only = ON");
    pair.replica.query_drop(set).await.unwrap();
    pair.replication("START").await;
    let until = Instant::now() + Duration::from_secs(20);
    while pair.state(&format!("Rpl_semi_sync_{primary}_clients")).await != "1" {
        assert!(Instant::now() < until, "the replica is not waited for");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pair.state(&format!("Rpl_semi_sync_{primary}_status")).await, "ON");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_a_replica_that_commits_wait_for_has_all_that_was_acknowledged() {
    for seed in seeds() {
        let mut pair = Pair::new("binlog_format=ROW").await;
        if let Err(why) = wait_for_replica(&mut pair).await {
            Servers::connect().skipped(TEST, &why).await;
            return;
        }
        pair.primary.query_drop(USER).await.unwrap();
        pair.caught_up().await;
        let hosts = format!("{},{}", address(&pair.first.url), address(&pair.second.url));
        let (through, login) = (Some(hosts), Some(("app", "app")));
        let ledger = seed / 4 % 2 == 0;
        let setup = Setup { seed, way: way(seed), ledger, through, login, ..Setup::default() };
        let mut rig = Rig::with(&pair.first.url, setup, |flow| {
            let retry = RetryPolicy::default().give_up_after(Duration::from_secs(10));
            flow.retry(retry.max_delay(Duration::from_millis(200)))
        })
        .await;
        let writers = rig.burst(4, 150);
        let mut dice = fastrand::Rng::with_seed(seed);
        sleep(Duration::from_millis(dice.u64(5..300))).await;
        // Else the replica is lost first, and what is committed meanwhile waits for it: for a
        // moment, or until its attempts are over.
        let is_cut_off = dice.bool();
        if is_cut_off {
            pair.replication("STOP IO_THREAD").await;
            let longest = if dice.bool() { 300 } else { 5_000 };
            sleep(Duration::from_millis(dice.u64(0..longest))).await;
        }
        let primary = pair.words.primary.to_lowercase();
        let without = pair.state(&format!("Rpl_semi_sync_{primary}_no_tx")).await;
        assert_eq!(without, "0", "seed {seed}: a commit did not wait");
        pair.first.kill().await;
        if !is_cut_off {
            pair.replication("STOP IO_THREAD").await;
        }
        pair.applied().await;
        pair.replication("STOP").await;
        pair.replica.query_drop("SET GLOBAL read_only = OFF").await.unwrap();
        rig.database.move_to(&pair.second.url);
        join(writers).await;
        let before = rig.flow.stats().written;
        rig.write(Kind::Plain, 50).await;
        assert_eq!(rig.flow.stats().written, before + 50, "seed {seed}: it goes on");
        let stats = rig.finish("semi-synchronous failover").await;
        assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}
