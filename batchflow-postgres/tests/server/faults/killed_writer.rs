//! The writing process is killed: what it was told is written is there.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use batchflow_postgres::{BatchFlow, ConflictStrategy, PostgresDriver, Request, Schema, Way};

use super::rig::config;
use crate::support::{connect, execute, fresh, rows, seeds, url};

/// The process that the next test kills: it prints each row's number once that is written.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn the_process_that_is_killed() {
    let Ok(table) = std::env::var("BATCHFLOW_KILLED_TABLE") else {
        return;
    };
    let way = match std::env::var("BATCHFLOW_KILLED_WAY").as_deref() {
        Ok("unnest") => Way::Unnest,
        Ok("stage") => Way::Stage,
        _ => Way::Copy,
    };
    let driver = PostgresDriver::connect_with(config(&url(), Some(way))).await.unwrap();
    let flow = BatchFlow::builder(driver).build().unwrap();
    let schema = Schema::new(&*table, ConflictStrategy::Fail, ["id"]).unwrap();
    for batch in 0.. {
        let mut receipts = Vec::new();
        for id in batch * 20..(batch + 1) * 20_i64 {
            let request = Request::new(&schema).set("id", id);
            receipts.push((id, flow.submit_tracked(request).await.unwrap()));
        }
        for (id, receipt) in receipts {
            receipt.await.unwrap();
            // At once, so that the kill leaves no part of it.
            let line = format!("acknowledged {id}\n");
            eprint!("{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_2_a_killed_process_keeps_every_acknowledged_row() {
    for seed in seeds() {
        for way in ["unnest", "copy", "stage"] {
            let table = fresh("killed");
            execute(&url(), &format!("CREATE TABLE {table} (id bigint PRIMARY KEY)")).await;
            let most = fastrand::Rng::with_seed(seed).usize(1..300);
            let acknowledged = acknowledged(&table, way, most);
            // The server ends the transaction of a client that is gone.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let found = rows(&connect(&url()).await, &format!("SELECT id FROM {table}")).await;
            for id in acknowledged {
                assert!(found.contains(&id), "seed {seed}, {way}: row {id} is missing");
            }
        }
    }
}

/// Runs the process, kills it once so many rows were acknowledged, and tells which were.
fn acknowledged(table: &str, way: &str, most: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::killed_writer::the_process_that_is_killed"])
        .args(["--nocapture", "--include-ignored"])
        .env("BATCHFLOW_KILLED_TABLE", table)
        .env("BATCHFLOW_KILLED_WAY", way)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let number = |line: String| Some(line.strip_prefix("acknowledged ")?.to_owned());
    let mut acknowledged: Vec<String> = Vec::new();
    while acknowledged.len() < most {
        acknowledged.extend(number(lines.next().expect("the process ended by itself").unwrap()));
    }
    // SIGKILL, in the middle of the work.
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(lines.map_while(Result::ok).filter_map(number));
    acknowledged
}
