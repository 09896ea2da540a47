//! Servers that are killed and stalled, and whose connections and statements are ended.

use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{ConflictStrategy, Driver as _, ErrorClass, MysqlDriver, Schema};
use tokio::time::sleep;

use super::rig::{Kind, Rig, Setup, config, held_up, join, way};
use crate::support::servers::Servers;
use crate::support::{Database, connect, seeds, sessions, url};

fn setup(seed: u64, ledger: bool) -> Setup {
    Setup { seed, way: way(seed), ledger, ..Setup::default() }
}

/// Ends connections or statements of a rig's sessions while it writes.
async fn ended(what: &str, seed: u64, ledger: bool) {
    let rig = Rig::new(&url(), setup(seed, ledger)).await;
    let mut dice = fastrand::Rng::with_seed(seed);
    let writers = rig.burst(4, 150);
    let mut conn = connect(&url()).await;
    for _ in 0..20 {
        for session in sessions(&mut conn, rig.database.name()).await.unwrap() {
            if dice.bool() {
                // It may have ended by itself.
                let _ = conn.query_drop(format!("KILL {what} {}", session.id)).await;
            }
        }
        sleep(Duration::from_millis(dice.u64(1..25))).await;
    }
    join(writers).await;
    let stats = rig.finish(&format!("KILL {what}, ledger {ledger}")).await;
    assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
    assert!(!ledger || stats.unknown == 0, "seed {seed}: the ledger could tell: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_ended_connections_lose_and_double_nothing() {
    for seed in seeds() {
        ended("CONNECTION", seed, true).await;
        ended("CONNECTION", seed, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_ended_statements_lose_and_double_nothing() {
    for seed in seeds() {
        ended("QUERY", seed, true).await;
        ended("QUERY", seed, false).await;
    }
}

/// Kills a server twice while it is written to.
async fn killed(seed: u64, ledger: bool) {
    let server = Servers::connect().server("").await;
    let rig = Rig::new(&server.url, setup(seed, ledger)).await;
    let mut dice = fastrand::Rng::with_seed(seed);
    let writers = rig.burst(4, 150);
    for _ in 0..2 {
        sleep(Duration::from_millis(dice.u64(5..150))).await;
        server.kill().await;
        sleep(Duration::from_millis(dice.u64(1..300))).await;
        server.restart().await;
    }
    join(writers).await;
    // However many commits were in doubt, it goes on.
    let before = rig.flow.stats().written;
    rig.write(Kind::Plain, 50).await;
    assert_eq!(rig.flow.stats().written, before + 50, "seed {seed}");
    let stats = rig.finish(&format!("killed server, ledger {ledger}")).await;
    assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
    assert!(!ledger || stats.unknown == 0, "seed {seed}: the ledger could tell: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_a_killed_server_is_asked_by_the_ledger() {
    for seed in seeds() {
        killed(seed, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_a_killed_server_loses_and_doubles_nothing_without_a_ledger() {
    for seed in seeds() {
        killed(seed, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_a_stalled_server_delays_rows_and_loses_none() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let rig = Rig::with(&server.url, setup(seed, true), |flow| {
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
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: the ledger could tell");
    }
}

/// What a killed look-up found is no finding: a server may answer it with what it had until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_4_a_killed_look_up_blames_neither_the_table_nor_the_user() {
    let database = Database::new("looked").await;
    let create = "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(9) DEFAULT 'x', body JSON, \
                  n INT NOT NULL UNIQUE) ENGINE=InnoDB";
    database.execute(create).await;
    let columns = ["id", "name", "body", "n"];
    let schema = Schema::new("t", ConflictStrategy::Update, columns).unwrap();
    let driver = MysqlDriver::connect_with(config(database.url()).pool_size(1)).await.unwrap();
    let expected = driver.describe(&schema).await.unwrap();
    let mut conn = connect(&url()).await;
    let name = database.name().to_owned();
    let killer = tokio::spawn(async move {
        loop {
            for session in sessions(&mut conn, &name).await.unwrap() {
                let _ = conn.query_drop(format!("KILL QUERY {}", session.id)).await;
            }
            // Some look-ups are to end well.
            sleep(Duration::from_millis(fastrand::u64(0..8))).await;
        }
    });
    // Who looks up what he may do waits for who changes it; killed then, MySQL says that the
    // catalog's own user does not exist.
    let mut conn = connect(&url()).await;
    let user = format!("bf_{}", std::process::id());
    let changer = tokio::spawn(async move {
        loop {
            let change =
                format!("DROP USER IF EXISTS {user}; CREATE USER {user}; DROP USER {user}");
            conn.query_drop(change).await.unwrap();
        }
    });
    let (mut found, mut refused) = (0, 0);
    for _ in 0..600 {
        match driver.describe(&schema).await {
            Ok(info) => {
                assert_eq!(info, expected);
                found += 1;
            }
            Err(error) => {
                assert_eq!(error.kind().class(), ErrorClass::Transient, "{error}");
                refused += 1;
            }
        }
    }
    killer.abort();
    changer.abort();
    assert!(found > 0 && refused > 0, "{found} {refused}");
    driver.close().await;
}
