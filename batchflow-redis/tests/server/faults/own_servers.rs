//! Servers that are killed, that stall, and that have no memory left.

use std::time::Duration;

use batchflow_redis::{ErrorKind, Layout, Schema};

use super::fire::{held_up, in_time, join};
use super::rig::Rig;
use crate::support::servers::Servers;
use crate::support::{Direct, connect, seeds, write};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_a_server_killed_and_started_again_keeps_what_was_called_written() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        // With `appendfsync always`: what it has answered, it has on disk.
        let server = Servers::connect().server("").await;
        let mut rig = Rig::new(&server.url, seed).await;
        rig.read_at(&server.url);
        let tasks = rig.burst(4, 300);
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(dice.u64(20..150))).await;
            server.kill().await;
            tokio::time::sleep(Duration::from_millis(dice.u64(0..300))).await;
            server.restart().await;
        }
        in_time(join(tasks)).await;
        rig.finish("server killed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_9_a_server_that_stalls() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let server = Servers::connect().server("").await;
        let mut rig = Rig::new(&server.url, seed).await;
        rig.read_at(&server.url);
        let tasks = rig.burst(4, 300);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(dice.u64(20..100))).await;
            server.stall().await;
            let more = rig.burst(2, 20);
            held_up(&rig.flow, &format!("seed {seed}, stalled")).await;
            tokio::time::sleep(Duration::from_millis(dice.u64(0..2_000))).await;
            server.resume().await;
            in_time(join(more)).await;
        }
        in_time(join(tasks)).await;
        rig.finish("server stalled").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_a_server_without_memory_takes_rows_once_it_has_some() {
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        let server = Servers::connect().server("").await;
        let mut direct = Direct::connect(&server.url).await;
        let mut rig = Rig::new(&server.url, seed).await;
        rig.read_at(&server.url);
        let tasks = rig.burst(4, 300);
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(dice.u64(10..100))).await;
            direct.ask("CONFIG SET maxmemory 1").await;
            let more = rig.burst(2, 20);
            held_up(&rig.flow, &format!("seed {seed}, no memory")).await;
            direct.ask("CONFIG SET maxmemory 0").await;
            in_time(join(more)).await;
        }
        in_time(join(tasks)).await;
        rig.finish("no memory").await;
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_what_is_to_be_replaced_is_kept_where_there_is_no_memory_for_the_new() {
    let server = Servers::connect().server("").await;
    let mut direct = Direct::connect(&server.url).await;
    for scripts in [true, false] {
        let driver = connect(&server.url).await.unwrap();
        let driver = driver.layout("t", Layout::hash("t:"));
        let driver = if scripts { driver } else { driver.without_scripts() };
        let replace = batchflow_redis::ConflictStrategy::Replace;
        let schema = Schema::new("t", replace, ["id", "a", "b"]).unwrap();
        for rows in [1_i64, 20] {
            direct.ask("DEL t:0").await;
            direct.ask("HSET t:0 a old old x").await;
            direct.ask("CONFIG SET maxmemory 1").await;
            let verdicts = write(
                &driver,
                (0..rows).map(|id| schema.row((id, "new", 1_i64)).unwrap()).collect(),
            );
            let verdicts = verdicts.await;
            direct.ask("CONFIG SET maxmemory 0").await;
            for verdict in &verdicts {
                assert!(verdict.contains(ErrorKind::Resource.as_str()), "{rows}: {verdict}");
                assert!(verdict.starts_with("not applied"), "{rows}: {verdict}");
            }
            assert_eq!(direct.ask("HGETALL t:0").await, "a old old x", "{scripts}, {rows}");
            assert_eq!(direct.ask("DBSIZE").await, "1", "{scripts}, {rows}");
        }
    }
}
