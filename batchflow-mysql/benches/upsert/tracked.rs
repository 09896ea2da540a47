//! One row whose verdict is awaited.

use std::time::{Duration, Instant};

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Statement};
use batchflow_mysql::{BatchFlow, ConflictStrategy, Schema};

use crate::World;
use crate::common::quantile;
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rows::{COLUMNS, Row, narrow, narrow_table};
use crate::server::{DATABASE, Server};

const ROWS: usize = 300;
const ROUNDS: usize = 5;

pub(crate) fn measure(bench: &mut Bench, world: &World) {
    let full = bench.pick(ROWS, 20);
    let count = |warming| if warming { full / 10 } else { full };
    let mut bare = |warming| world.run(commits(world.server.clone(), count(warming)));
    let mut alone = |warming| world.run(insert_alone(world.server.clone(), count(warming)));
    let mut ours = |warming| world.run(idle(world.server.clone(), count(warming)));
    let rivals = vec![
        Rival { name: "begin, insert and commit", bars: [Bar::AtMost(1.25)], turn: &mut bare },
        Rival { name: "the insert alone", bars: [Bar::None], turn: &mut alone },
    ];
    let name = world.named("one tracked row, idle");
    bench.contest(&name, ["p50 in µs"], ROUNDS, &mut ours, rivals);
}

/// Hands a row over and waits for its verdict: the time that took.
async fn track(flow: &BatchFlow, schema: &Schema, row: Row) -> Duration {
    let request = schema.row(row).expect("the row fits the schema");
    let began = Instant::now();
    let receipt = flow.submit_tracked(request).await.expect("the flow is open");
    receipt.await.expect("the row is written");
    began.elapsed()
}

async fn idle(server: Server, count: usize) -> [f64; 1] {
    let table = format!("{DATABASE}.tracked");
    server.execute(&narrow_table(&table)).await;
    let driver = ours::driver(ours::config(&server, 1)).await;
    let flow = BatchFlow::builder(driver).concurrency(1).build().expect("the settings are sound");
    let schema = ours::schema(&table, ConflictStrategy::Update);
    let mut rows = narrow(count + 1, 0).into_iter();
    // The first of them opens the connection and has the table looked up.
    for row in rows.by_ref().take(1) {
        let _ = track(&flow, &schema, row).await;
    }
    let mut times = Vec::new();
    for row in rows {
        times.push(track(&flow, &schema, row).await);
    }
    assert!(flow.close().await.expect("the flow was open").all_written());
    [quantile(times, 0.5)]
}

async fn bare_table(server: &Server) -> (Conn, Statement) {
    let table = format!("{DATABASE}.tracked_by_hand");
    server.execute(&narrow_table(&table)).await;
    let insert = format!("INSERT INTO {table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?)");
    let mut conn = server.connect().await;
    let insert = conn.prep(insert).await.expect("the statement is sound");
    (conn, insert)
}

/// One after the other, as a transaction is written by hand.
async fn commits(server: Server, count: usize) -> [f64; 1] {
    let (mut conn, insert) = bare_table(&server).await;
    let mut times = Vec::new();
    for row in narrow(count, 0) {
        let began = Instant::now();
        conn.query_drop("BEGIN").await.expect("a transaction begins");
        conn.exec_drop(&insert, row).await.expect("the row is written");
        conn.query_drop("COMMIT").await.expect("the transaction commits");
        times.push(began.elapsed());
    }
    [quantile(times, 0.5)]
}

/// The insert alone, which is a transaction of its own.
async fn insert_alone(server: Server, count: usize) -> [f64; 1] {
    let (mut conn, insert) = bare_table(&server).await;
    let mut times = Vec::new();
    for row in narrow(count, 0) {
        let began = Instant::now();
        conn.exec_drop(&insert, row).await.expect("the row is written");
        times.push(began.elapsed());
    }
    [quantile(times, 0.5)]
}
