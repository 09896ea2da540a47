//! One row whose verdict is awaited.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batchflow_postgres::client::{Client, Statement};
use batchflow_postgres::{BatchFlow, ConflictStrategy, Schema};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::World;
use crate::common::quantile;
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rows::{COLUMNS, Row, narrow, narrow_table};
use crate::server::{SCHEMA, Server};

const ROWS: usize = 300;
const ROUNDS: usize = 5;
/// A tracked row each millisecond.
const PACE: Duration = Duration::from_millis(1);

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
    bench.contest("one tracked row, idle", ["p50 in µs"], ROUNDS, &mut ours, rivals);

    let mut bare = |warming| world.run(commits(world.server.clone(), count(warming)));
    let mut tail = |warming| world.run(paced_commits(world.server.clone(), 5 * count(warming)));
    let mut ours = |warming| world.run(paced(world.server.clone(), 5 * count(warming)));
    let rivals = vec![
        Rival {
            name: "the median of begin, insert and commit",
            bars: [Bar::AtMost(4.0)],
            turn: &mut bare,
        },
        // What the disk and the scheduler do to anybody.
        Rival { name: "begin, insert and commit at that pace", bars: [Bar::None], turn: &mut tail },
    ];
    bench.contest("1,000 tracked rows/s", ["p99 in µs"], ROUNDS, &mut ours, rivals);
}

async fn flow(server: &Server) -> (BatchFlow, Schema, Vec<Row>) {
    let table = format!("{SCHEMA}.tracked");
    server.execute(&narrow_table(&table)).await;
    let driver = ours::driver(ours::config(server, 2)).await;
    let flow = BatchFlow::builder(driver).concurrency(2).build().expect("the settings are sound");
    let schema = ours::schema(&table, ConflictStrategy::Update);
    // The first of them opens the connections and has the table looked up.
    let mut rows = narrow(5 * ROWS + 2, 0);
    for row in rows.split_off(5 * ROWS) {
        let _ = track(&flow, &schema, row).await;
    }
    (flow, schema, rows)
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
    let (flow, schema, rows) = flow(&server).await;
    let mut times = Vec::new();
    for row in rows.into_iter().take(count) {
        times.push(track(&flow, &schema, row).await);
    }
    assert!(flow.close().await.expect("the flow was open").all_written());
    [quantile(times, 0.5)]
}

/// One row each millisecond, whether or not the ones before it are written. Each is timed from the
/// moment that it was due, so that no delay of ours is left out.
async fn paced(server: Server, count: usize) -> [f64; 1] {
    let (flow, schema, rows) = flow(&server).await;
    let submitting = (flow.clone(), schema);
    let times = each_at_its_time(rows.into_iter().take(count), move |row, due| {
        let (flow, schema) = submitting.clone();
        async move {
            track(&flow, &schema, row).await;
            due.elapsed()
        }
    });
    let times = times.await;
    assert!(flow.close().await.expect("the flow was open").all_written());
    [quantile(times, 0.99)]
}

/// The same by hand, one transaction after the other on one connection.
async fn paced_commits(server: Server, count: usize) -> [f64; 1] {
    let (client, insert) = bare_table(&server).await;
    let insert = client.prepare(&insert).await.expect("the statement is sound");
    let connection = Arc::new(Mutex::new((client, insert)));
    let times = each_at_its_time(narrow(count, 0).into_iter(), move |row, due| {
        let connection = Arc::clone(&connection);
        async move {
            let (client, insert) = &*connection.lock().await;
            commit(client, insert, row).await;
            due.elapsed()
        }
    });
    [quantile(times.await, 0.99)]
}

/// Starts a task for each row when it is due, and waits for all.
async fn each_at_its_time<F: Future<Output = Duration> + Send + 'static>(
    rows: impl Iterator<Item = Row> + Send + 'static,
    mut write: impl FnMut(Row, Instant) -> F + Send + 'static,
) -> Vec<Duration> {
    let runtime = Handle::current();
    // A thread of its own: the runtime's timers are a millisecond apart.
    let tasks = tokio::task::spawn_blocking(move || {
        let mut due = Instant::now();
        let mut tasks = JoinSet::new();
        for row in rows {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            tasks.spawn_on(write(row, due), &runtime);
            due += PACE;
        }
        tasks
    });
    tasks.await.expect("nothing panics").join_all().await
}

async fn bare_table(server: &Server) -> (Client, String) {
    let table = format!("{SCHEMA}.tracked_by_hand");
    server.execute(&narrow_table(&table)).await;
    let insert = format!("INSERT INTO {table} ({COLUMNS}) VALUES ($1, $2, $3, $4, $5)");
    (server.connect().await, insert)
}

/// One after the other, as a transaction is written by hand.
async fn commits(server: Server, count: usize) -> [f64; 1] {
    let (client, insert) = bare_table(&server).await;
    let insert = client.prepare(&insert).await.expect("the statement is sound");
    let mut times = Vec::new();
    for row in narrow(count, 0) {
        let began = Instant::now();
        commit(&client, &insert, row).await;
        times.push(began.elapsed());
    }
    [quantile(times, 0.5)]
}

async fn commit(client: &Client, insert: &Statement, (id, name, email, hits, score): Row) {
    client.batch_execute("BEGIN").await.expect("a transaction begins");
    let row = client.execute(insert, &[&id, &name, &email, &hits, &score]).await;
    row.expect("the row is written");
    client.batch_execute("COMMIT").await.expect("the transaction commits");
}

/// The insert alone, which is a transaction of its own.
async fn insert_alone(server: Server, count: usize) -> [f64; 1] {
    let (client, insert) = bare_table(&server).await;
    let insert = client.prepare(&insert).await.expect("the statement is sound");
    let mut times = Vec::new();
    for (id, name, email, hits, score) in narrow(count, 0) {
        let began = Instant::now();
        let row = client.execute(&insert, &[&id, &name, &email, &hits, &score]).await;
        row.expect("the row is written");
        times.push(began.elapsed());
    }
    [quantile(times, 0.5)]
}
