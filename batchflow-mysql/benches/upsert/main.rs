//! Rows through a flow into MySQL or MariaDB, against what one would write instead, the server
//! alone among it, in the same run: `cargo xtask bench mysql`.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on panics")]

#[path = "../../../batchflow-core/benches/server/mod.rs"]
mod common;
#[path = "../../../batchflow-core/benches/harness/mod.rs"]
mod harness;
mod narrow;
mod ours;
mod rivals;
mod rows;
mod server;
mod tracked;
mod ways;

use std::future::Future;

use harness::Bench;
use server::Server;
use tokio::runtime::Runtime;

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

    /// What is measured, on which server.
    fn named(&self, what: &str) -> String {
        format!("{}, {what}", self.server.name())
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
    narrow::measure(&mut bench, &world, 1);
    narrow::measure(&mut bench, &world, 4);
    ways::measure(&mut bench, &world);
    narrow::whole_path(&mut bench, &world);
    tracked::measure(&mut bench, &world);
    world.run(world.server.clone().remove());
    bench.finish()
}
