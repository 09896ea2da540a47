//! Several servers: what was begun on one is not judged by another, and what one has acknowledged
//! is on the other that takes its place.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::Proxy;
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use batchflow_mysql::{
    Attempt, Batch, ConflictStrategy, Driver as _, ErrorClass, ErrorKind, MysqlConfig, MysqlDriver,
    RetryPolicy, Schema, Settled,
};
use tokio::time::{Instant, sleep};

use super::rig::{Kind, Rig, Setup, config, join, way};
use crate::support::framing::{address, through};
use crate::support::servers::{OwnServer, Servers};
use crate::support::{connect, execute, rows, seeds, url};

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

/// What the two families call a primary, a replica and the log between them.
struct Words {
    follow: fn(&Opts) -> String,
    status: &'static str,
    wait: &'static str,
    stop: &'static str,
}

const MARIADB: Words = Words {
    follow: |of| {
        format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = '{}', \
             MASTER_PASSWORD = '{}', MASTER_LOG_FILE = 'log.000001', MASTER_LOG_POS = 4; \
             START SLAVE",
            of.tcp_port(),
            of.user().unwrap(),
            of.pass().unwrap()
        )
    },
    status: "SHOW MASTER STATUS",
    wait: "MASTER_POS_WAIT",
    stop: "STOP SLAVE",
};

const MYSQL: Words = Words {
    follow: |of| {
        format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, \
             SOURCE_USER = '{}', SOURCE_PASSWORD = '{}', SOURCE_LOG_FILE = 'log.000001', \
             SOURCE_LOG_POS = 4, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA",
            of.tcp_port(),
            of.user().unwrap(),
            of.pass().unwrap()
        )
    },
    status: "SHOW BINARY LOG STATUS",
    wait: "SOURCE_POS_WAIT",
    stop: "STOP REPLICA",
};

/// Waits until a replica has all that its primary has logged.
async fn caught_up(words: &Words, primary: &mut Conn, replica: &mut Conn) {
    let status = rows(primary, words.status).await.remove(0);
    let mut parts = status.split('|');
    let (file, position) = (parts.next().unwrap(), parts.next().unwrap());
    let wait = format!("SELECT {}('{file}', {position}, 20)", words.wait);
    let events = rows(replica, &wait).await.remove(0);
    assert!(events.parse::<i64>().is_ok_and(|events| events >= 0), "{wait}: {events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_what_was_acknowledged_is_on_the_server_that_takes_over() {
    let version = rows(&mut connect(&url()).await, "SELECT VERSION()").await.remove(0);
    let words = if version.contains("MariaDB") { MARIADB } else { MYSQL };
    for seed in seeds() {
        let servers = Servers::connect();
        let log = "log_bin=log binlog_format=ROW server_id";
        let first = servers.server(&format!("{log}=1")).await;
        let second = servers.server(&format!("{log}=2")).await;
        let mut replica = connect(&second.url).await;
        let follow = (words.follow)(&Opts::from_url(&first.url).unwrap());
        replica.query_drop(follow).await.unwrap();
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
        let mut primary = connect(&first.url).await;
        primary.query_drop("FLUSH TABLES WITH READ LOCK").await.unwrap();
        caught_up(&words, &mut primary, &mut replica).await;
        first.kill().await;
        replica.query_drop(words.stop).await.unwrap();
        rig.database.move_to(&second.url);
        join(writers).await;
        let before = rig.flow.stats().written;
        rig.write(Kind::Plain, 50).await;
        assert_eq!(rig.flow.stats().written, before + 50, "seed {seed}: it goes on");
        let stats = rig.finish("failover").await;
        assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}
