//! Several servers: what was begun on one is not judged by another, and what one has acknowledged
//! is on the other that takes its place.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::Proxy;
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use batchflow_mysql::{
    Attempt, Batch, ConflictStrategy, Driver as _, ErrorClass, ErrorKind, MysqlConfig, MysqlDriver,
    RetryPolicy, Schema, Settled,
};
use tokio::time::{Instant, sleep};

use super::replication::Pair;
use super::rig::{Kind, Rig, Setup, config, join, way};
use crate::support::framing::{address, through};
use crate::support::servers::{OwnServer, Servers};
use crate::support::{connect, execute, rows, seeds};

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB";

fn batch(ids: std::ops::Range<i32>) -> Batch {
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    Batch::from_requests(ids.map(|id| schema.row((id,)).unwrap()).collect()).unwrap()
}

/// Two servers that know nothing of each other, each with a table.
async fn two() -> [OwnServer; 2] {
    let servers = Servers::connect();
    let both = [servers.server("").await, servers.server("").await];
    for server in &both {
        execute(&server.url, TABLE).await;
    }
    both
}

/// Hosts that are tried in turn.
fn both_hosts([first, second]: &[OwnServer; 2]) -> MysqlConfig {
    let hosts = format!("{},{}", address(&first.url), address(&second.url));
    config(&through(&first.url, hosts))
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_a_pool_of_several_servers_ends_what_each_of_them_runs() {
    let [first, second] = two().await;
    let proxy = Proxy::start(address(&first.url)).await.unwrap();
    let two = PoolOpts::default().with_constraints(PoolConstraints::new(0, 2).unwrap());
    let opts = Opts::from_url(&through(&first.url, proxy.address())).unwrap();
    let pool = Pool::new(OptsBuilder::from_opts(opts).pool_opts(two));
    let driver = Arc::new(MysqlDriver::from_pool(pool.clone()));
    driver.write(batch(1..3), &Attempt::new()).await.unwrap();
    // All connections are taken, so that the next one is new.
    let (taken, spare) = (pool.get_conn().await.unwrap(), pool.get_conn().await.unwrap());
    spare.disconnect().await.unwrap();
    proxy.redirect(address(&second.url));
    let mut locker = connect(&second.url).await;
    locker.query_drop("BEGIN; INSERT INTO t VALUES (20)").await.unwrap();
    let attempt = Attempt::new();
    let (writer, running) = (driver.clone(), attempt.clone());
    let write = tokio::spawn(async move { writer.write(batch(19..21), &running).await });
    let mut watcher = connect(&second.url).await;
    let busy = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT%'";
    let until = Instant::now() + Duration::from_secs(10);
    while rows(&mut watcher, busy).await == ["0"] {
        assert!(Instant::now() < until && !write.is_finished(), "nothing waits for the lock");
        sleep(Duration::from_millis(5)).await;
    }
    attempt.cancel();
    let error = write.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(rows(&mut watcher, busy).await, ["0"], "promise 3: it was seen to end");
    locker.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(rows(&mut watcher, "SELECT COUNT(*) FROM t").await, ["0"]);
    driver.write(batch(19..21), &Attempt::new()).await.unwrap();
    assert_eq!(rows(&mut watcher, "SELECT COUNT(*) FROM t").await, ["2"]);
    driver.close().await;
    drop(taken);
    pool.disconnect().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_another_server_does_not_tell_that_a_session_has_ended() {
    let both = two().await;
    let driver = MysqlDriver::connect_with(both_hosts(&both)).await.unwrap();
    let attempt = Attempt::new();
    driver.write(batch(1..3), &attempt).await.unwrap();
    let [token] = &attempt.tokens()[..] else { panic!("one token a commit") };
    both[0].kill().await;
    let error = driver.settle(token).await.unwrap_err();
    let asked_again = error.kind().class() == ErrorClass::Transient;
    assert!(asked_again, "promise 3: the session was not seen to end: {error}");
    both[0].restart().await;
    assert_eq!(driver.settle(token).await.unwrap(), Settled::Unknown);
    driver.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_what_was_acknowledged_is_on_the_server_that_takes_over() {
    for seed in seeds() {
        let mut pair = Pair::new("binlog_format=ROW").await;
        pair.replication("START").await;
        let Pair { first, second, .. } = &pair;
        let hosts = format!("{},{}", address(&first.url), address(&second.url));
        let (way, through) = (way(seed), Some(hosts));
        let setup = Setup { seed, way, ledger: true, through, ..Setup::default() };
        let mut rig = Rig::with(&first.url, setup, |flow| {
            let retry = RetryPolicy::default().give_up_after(Duration::from_secs(10));
            flow.retry(retry.max_delay(Duration::from_millis(200)))
        })
        .await;
        let writers = rig.burst(4, 150);
        let mut dice = fastrand::Rng::with_seed(seed);
        sleep(Duration::from_millis(dice.u64(5..150))).await;
        // Commits wait from now on: those that were answered are in the log.
        pair.primary.query_drop("FLUSH TABLES WITH READ LOCK").await.unwrap();
        pair.caught_up().await;
        pair.first.kill().await;
        pair.replication("STOP").await;
        rig.database.move_to(&pair.second.url);
        join(writers).await;
        let before = rig.flow.stats().written;
        rig.write(Kind::Plain, 50).await;
        assert_eq!(rig.flow.stats().written, before + 50, "seed {seed}: it goes on");
        let stats = rig.finish("failover").await;
        assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}
