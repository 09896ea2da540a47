//! One row whose verdict is awaited.

use std::time::{Duration, Instant};

use batchflow_redis::Client;

use crate::World;
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rows::{Shape, pairs};
use crate::server::{PREFIX, Server};

const ROWS: usize = 3_000;
const ROUNDS: usize = 7;

pub(crate) fn measure(bench: &mut Bench, world: &World, client: Client) {
    let full = bench.pick(ROWS, 50);
    let count = |warming| if warming { full / 10 } else { full };
    let mut ours = |warming| world.run(tracked(world.server.clone(), client, count(warming)));
    let mut bare = |warming| world.run(round_trips(world.server.clone(), count(warming)));
    let rivals =
        vec![Rival { name: "one SET's round trip", bars: [Bar::AtMost(1.5)], turn: &mut bare }];
    bench.contest(
        &crate::named("one tracked row, idle", client),
        ["p50 in µs"],
        ROUNDS,
        &mut ours,
        rivals,
    );
}

async fn tracked(server: Server, client: Client, count: usize) -> [f64; 1] {
    let (layout, schema) = ours::parts(Shape::String);
    let flow = ours::flow(ours::driver(&server, client, layout, 1).await, 1);
    let mut times = Vec::new();
    for row in pairs(count) {
        let request = schema.row(row).expect("the row fits the schema");
        let began = Instant::now();
        let receipt = flow.submit_tracked(request).await.expect("the flow is open");
        receipt.await.expect("the row is written");
        times.push(began.elapsed());
    }
    assert!(flow.close().await.expect("the flow was open").all_written());
    [median(times)]
}

async fn round_trips(server: Server, count: usize) -> [f64; 1] {
    let mut connection = server.connect().await;
    let mut times = Vec::new();
    for (id, value) in pairs(count) {
        let key = format!("{PREFIX}alone:{id}");
        let began = Instant::now();
        let set: redis::RedisResult<()> =
            redis::cmd("SET").arg(key).arg(value).query_async(&mut connection).await;
        set.expect("the row is written");
        times.push(began.elapsed());
    }
    [median(times)]
}

/// In microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64) * 1e6
}
