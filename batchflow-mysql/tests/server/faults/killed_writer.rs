//! The writing process is killed: what it was told is written is there.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use batchflow_mysql::{BatchFlow, ConflictStrategy, MysqlDriver, Request, Schema, Way};

use super::rig::config;
use crate::support::{Database, seeds};

/// The process that the next test kills: it prints each row's number once that is written.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn the_process_that_is_killed() {
    let Ok(database) = std::env::var("BATCHFLOW_KILLED_DATABASE") else {
        return;
    };
    let way = match std::env::var("BATCHFLOW_KILLED_WAY").as_deref() {
        Ok("bulk") => Way::Bulk,
        Ok("load") => Way::Load,
        _ => Way::Rows,
    };
    let driver = MysqlDriver::connect_with(config(&database).way(way)).await.unwrap();
    let flow = BatchFlow::builder(driver).build().unwrap();
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
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
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_2_a_killed_process_keeps_every_acknowledged_row() {
    for seed in seeds() {
        for way in ["rows", "bulk", "load"] {
            let database = Database::new("killed").await;
            database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY) ENGINE=InnoDB").await;
            let most = fastrand::Rng::with_seed(seed).usize(1..300);
            let acknowledged = acknowledged(database.url(), way, most);
            // The server ends the transaction of a client that is gone.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let found = database.rows("SELECT id FROM t").await;
            for id in acknowledged {
                assert!(found.contains(&id), "seed {seed}, {way}: row {id} is missing");
            }
        }
    }
}

/// Runs the process, kills it once so many rows were acknowledged, and tells which were.
fn acknowledged(database: &str, way: &str, most: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::killed_writer::the_process_that_is_killed"])
        .args(["--nocapture", "--include-ignored"])
        .env("BATCHFLOW_KILLED_DATABASE", database)
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
