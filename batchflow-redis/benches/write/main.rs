//! Rows through a flow into Redis, against the redis crate's pipelines in the same run:
//! `cargo xtask bench redis`.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on panics")]

mod cluster;
#[path = "../../../batchflow-core/benches/harness/mod.rs"]
mod harness;
mod ours;
mod pipeline;
mod rows;
mod server;
mod tracked;

use std::future::Future;

use batchflow_redis::Client;
use cluster::Cluster;
use harness::{Bar, Bench, Rival};
use rows::Shape;
use server::{Server, Took, timed};
use tokio::runtime::Runtime;

const ROWS: usize = 200_000;
const ROUNDS: usize = 7;
const BATCH: usize = 1_000;

/// Whose connections ours are.
const CLIENTS: &[Client] = &[
    Client::Fred,
    #[cfg(feature = "redis-client")]
    Client::Redis,
];

const FIGURES: [&str; 2] = ["rows/s", "client's processor time a row in µs"];

/// What every measurement needs.
struct World {
    runtime: Runtime,
    server: Server,
}

impl World {
    /// Runs a future as a task, as the handlers of a server are.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.block_on(self.runtime.spawn(future)).expect("nothing panics")
    }
}

fn main() -> Result<(), String> {
    let mut bench = Bench::from_args()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let server = match runtime.block_on(Server::find()) {
        Ok(server) => server,
        // `cargo test --all-targets` runs this too, on machines without a server.
        Err(why) if bench.pick(false, true) => {
            println!("NOT RUN: {why}");
            return Ok(());
        }
        Err(why) => return Err(why),
    };
    let world = World { runtime, server };
    world.run(world.server.clone().reset());
    for &client in CLIENTS {
        let (at_least, at_most) = (Bar::AtLeast, Bar::AtMost);
        let expiring = [at_least(if client == Client::Fred { 0.85 } else { 1.0 }), Bar::None];
        let cases = [
            ("strings of 64 bytes", Shape::String, 1, [at_least(1.3), at_most(1.2)]),
            ("strings with a time to live", Shape::Expiring, 1, expiring),
            ("hashes of 5 fields", Shape::Hash, 1, [at_least(1.0), at_most(0.6)]),
            ("hashes, 4 batches in flight", Shape::Hash, 4, [at_least(0.95), Bar::None]),
        ];
        for (name, shape, flights, bars) in cases {
            contest(&mut bench, &world, (client, name), shape, flights, bars);
        }
        on_cluster(&mut bench, &world, client);
        tracked::measure(&mut bench, &world, client);
    }
    world.run(world.server.clone().reset());
    bench.finish()
}

/// Ours against a pipeline, each with so many batches in flight.
fn contest(
    bench: &mut Bench,
    world: &World,
    (client, name): (Client, &str),
    shape: Shape,
    flights: usize,
    bars: [Bar; 2],
) {
    let name = named(name, client);
    let full = bench.pick(ROWS, 5_000);
    let count = |warming| if warming { full / 10 } else { full };
    let mut ours = |warming| {
        let count = count(warming);
        figures(count, world.run(ours::write(world.server.clone(), client, shape, flights, count)))
    };
    let mut pipeline = |warming| {
        let count = count(warming);
        figures(count, world.run(pipeline::write(world.server.clone(), shape, flights, count)))
    };
    let rivals = vec![Rival { name: "the redis crate's pipeline", bars, turn: &mut pipeline }];
    bench.contest(&name, FIGURES, ROUNDS, &mut ours, rivals);
}

/// What is measured, and by whose connections.
fn named(name: &str, client: Client) -> String {
    match client {
        Client::Fred => name.to_owned(),
        _ => format!("{name}, Client::{client:?}"),
    }
}

/// Ours against a pipeline for each node.
fn on_cluster(bench: &mut Bench, world: &World, client: Client) {
    let Some(cluster) = world.run(Cluster::find()) else {
        return println!("NOT RUN: a cluster: BATCHFLOW_REDIS_CLUSTER_URL names none");
    };
    let full = bench.pick(ROWS, 5_000);
    let count = |warming| if warming { full / 10 } else { full };
    for (name, shape) in [
        ("cluster of three, strings of 64 bytes", Shape::String),
        ("cluster of three, hashes of 5 fields", Shape::Hash),
    ] {
        let mut ours = |warming| {
            let count = count(warming);
            figures(count, world.run(ours::write(cluster.server.clone(), client, shape, 1, count)))
        };
        let mut pipelines = |warming| {
            let count = count(warming);
            figures(count, world.run(cluster::write(cluster.clone(), shape, count)))
        };
        let name_of_rival = "the redis crate, a pipeline a node";
        let bars = [Bar::AtLeast(1.0), Bar::None];
        let rivals = vec![Rival { name: name_of_rival, bars, turn: &mut pipelines }];
        bench.contest(&named(name, client), FIGURES, ROUNDS, &mut ours, rivals);
    }
}

fn figures(count: usize, took: Took) -> [f64; 2] {
    [count as f64 / took.wall, took.cpu / count as f64 * 1e6]
}
