//! Servers that refuse for a while: no connection left, read-only.

use std::time::Duration;

use tokio::time::sleep;

use super::rig::{Kind, Rig, config, held_up, join};
use crate::support::servers::Servers;
use crate::support::{connect, execute, rows, seeds, try_connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_1_rows_wait_out_a_server_without_a_free_connection() {
    for seed in seeds() {
        let server = Servers::connect().server("max_connections=10").await;
        let name = crate::support::fresh("full");
        let config = config(&server.url, None).application_name(&name);
        let rig = Rig::new(&server.url, config, seed).await;
        rig.write(Kind::Plain, 10).await;
        // Takes the driver's connections, and every other.
        let client = connect(&server.url).await;
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
        );
        let mut taken = Vec::new();
        for _ in 0..100 {
            rows(&client, &end).await;
            match try_connect(&server.url).await {
                Ok(another) => taken.push(another),
                Err(_) if taken.len() >= 9 => break,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        assert!(taken.len() >= 9, "{} connections were to be had", taken.len());
        let writers = rig.burst(4, 50);
        sleep(Duration::from_millis(600)).await;
        assert_eq!(rig.flow.stats().written, 10, "there was a connection left");
        drop(taken);
        join(writers).await;
        let stats = rig.finish("no connection left").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_1_rows_wait_out_a_server_that_is_read_only() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let rig = Rig::new(&server.url, config(&server.url, None), seed).await;
        let writers = rig.burst(4, 150);
        let mut more = None;
        sleep(Duration::from_millis(10)).await;
        for is_read_only in ["on", "off"] {
            let client = connect(&server.url).await;
            let alter = format!("ALTER SYSTEM SET default_transaction_read_only = {is_read_only}");
            // The session itself may be read-only by now.
            client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
            client.batch_execute(&alter).await.unwrap();
            execute(&server.url, "SELECT pg_reload_conf()").await;
            if more.is_none() {
                sleep(Duration::from_millis(200)).await;
                more = Some(rig.burst(2, 20));
                held_up(&rig.flow, &format!("seed {seed}, read-only")).await;
            }
        }
        join(writers).await;
        join(more.unwrap()).await;
        let stats = rig.finish("read-only server").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}
