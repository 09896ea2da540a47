//! Rows of 5 narrow columns, upserted: all new, then all conflicting.

use std::sync::Arc;

use batchflow_postgres::ConflictStrategy;
use batchflow_postgres::client::Client;
use tokio::runtime::Builder;

use crate::World;
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rivals::{push_values, server_alone, stage, unnest};
use crate::rows::{self, Row};
use crate::server::{SCHEMA, Server, Took, timed};

const ROWS: usize = 200_000;
const ROUNDS: usize = 5;

/// The best sizes of batches, as measured.
const UNNEST_SIZE: usize = 20_000;
const STAGE_SIZE: usize = 20_000;
const OUR_SIZE: usize = 20_000;

const FIGURES: [&str; 3] =
    ["new rows/s", "conflicting rows/s", "client's processor time a row in µs"];

/// One who upserts rows: all of the first pass, then all of the second.
enum Way {
    Ours(usize),
    Unnest(usize),
    Stage(usize),
    PushValues(usize),
    Server,
}

impl Way {
    /// One turn on a table of its own: the figures.
    async fn turn(self, server: Server, count: usize) -> [f64; 3] {
        let table = match self {
            Self::Ours(_) => "ours",
            Self::Unnest(_) => "by_unnest",
            Self::Stage(_) => "by_stage",
            Self::PushValues(_) => "by_push_values",
            Self::Server => "by_server",
        };
        let table = format!("{SCHEMA}.{table}");
        server.execute(&rows::narrow_table(&table)).await;
        let [first, second] = [0, 1].map(|pass| rows::narrow(count, pass));
        let took = self.write(&server, &table, first, second).await;
        assert_eq!(server.count(&table).await, count, "{table}");
        let cpu = took.iter().map(|took| took.cpu).sum::<f64>() / 2.0;
        let rate = |took: Took| count as f64 / took.wall;
        [rate(took[0]), rate(took[1]), cpu / count as f64 * 1e6]
    }

    async fn write(self, at: &Server, table: &str, first: Vec<Row>, second: Vec<Row>) -> [Took; 2] {
        let count = first.len();
        match self {
            Self::Ours(connections) => {
                let driver = ours::driver(ours::config(at, connections)).await;
                let flow = ours::flow(driver, connections, OUR_SIZE).build();
                let flow = flow.expect("the settings are sound");
                let schema = ours::schema(table, ConflictStrategy::Update);
                let took = [
                    timed(ours::submit(&flow, &schema, first)).await,
                    timed(ours::submit(&flow, &schema, second)).await,
                ];
                assert!(flow.close().await.expect("the flow was open").all_written());
                took
            }
            Self::Unnest(connections) => {
                let clients = clients(at, connections).await;
                [
                    timed(unnest::upsert(&clients, table, first, UNNEST_SIZE)).await,
                    timed(unnest::upsert(&clients, table, second, UNNEST_SIZE)).await,
                ]
            }
            Self::Stage(connections) => {
                let clients = clients(at, connections).await;
                [
                    timed(stage::upsert(&clients, table, first, STAGE_SIZE)).await,
                    timed(stage::upsert(&clients, table, second, STAGE_SIZE)).await,
                ]
            }
            Self::PushValues(count) => {
                let mut connections = Vec::new();
                for _ in 0..count {
                    connections.push(push_values::connect(&at.url).await);
                }
                let mut upsert = async |rows| {
                    let own = std::mem::take(&mut connections);
                    connections = push_values::upsert(own, table, rows).await;
                };
                [timed(upsert(first)).await, timed(upsert(second)).await]
            }
            Self::Server => {
                let client = at.connect().await;
                [
                    timed(server_alone::upsert(&client, table, count, 0)).await,
                    timed(server_alone::upsert(&client, table, count, 1)).await,
                ]
            }
        }
    }
}

async fn clients(server: &Server, count: usize) -> Vec<Arc<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Arc::new(server.connect().await));
    }
    clients
}

/// Ours against every rival over so many connections.
pub(crate) fn measure(bench: &mut Bench, world: &World, connections: usize) {
    let full = bench.pick(ROWS, 5_000);
    let turn = |way: Way, warming: bool| {
        let count = if warming { full / 10 } else { full };
        world.run(way.turn(world.server.clone(), count))
    };
    let hand = [Bar::AtLeast(0.95), Bar::AtLeast(0.95), Bar::None];
    let sqlx = [Bar::AtLeast(1.2), Bar::AtLeast(1.1), Bar::AtMost(0.6)];
    let mut unnest = |warming| turn(Way::Unnest(connections), warming);
    let mut stage = |warming| turn(Way::Stage(connections), warming);
    let mut push_values = |warming| turn(Way::PushValues(connections), warming);
    let mut alone = |warming| turn(Way::Server, warming);
    let mut rivals = vec![
        Rival { name: "prepared UNNEST", bars: hand, turn: &mut unnest },
        Rival { name: "COPY, temporary table", bars: hand, turn: &mut stage },
        Rival { name: "sqlx push_values", bars: sqlx, turn: &mut push_values },
    ];
    if connections == 1 {
        rivals.push(Rival { name: "the server alone", bars: [Bar::None; 3], turn: &mut alone });
    }
    let s = if connections == 1 { "" } else { "s" };
    let name = format!("upsert, {connections} connection{s}");
    let mut ours = |warming| turn(Way::Ours(connections), warming);
    bench.contest(&name, FIGURES, ROUNDS, &mut ours, rivals);
}

/// The client's processor time from `submit` of ready requests to their commit.
pub(crate) fn whole_path(bench: &mut Bench, world: &World) {
    let count = bench.pick(ROWS, 5_000);
    for (name, threads) in [("one thread", 1), ("two threads", 2)] {
        let turn = || {
            let mut builder = if threads == 1 {
                Builder::new_current_thread()
            } else {
                Builder::new_multi_thread()
            };
            let runtime = builder.worker_threads(threads).enable_all().build();
            let runtime = runtime.expect("a runtime starts");
            let server = world.server.clone();
            let work = async move { from_submit_to_commit(server, count).await };
            runtime.block_on(async { runtime.spawn(work).await.expect("nothing panics") })
        };
        let name = format!("from submit to commit, {name}: µs of processor time a row");
        bench.measure(&name, Bar::AtMost(1.0), ROUNDS, turn);
    }
}

async fn from_submit_to_commit(server: Server, count: usize) -> f64 {
    let table = format!("{SCHEMA}.whole_path");
    server.execute(&rows::narrow_table(&table)).await;
    let driver = ours::driver(ours::config(&server, 1)).await;
    let flow = ours::flow(driver, 1, OUR_SIZE).build().expect("the settings are sound");
    let schema = ours::schema(&table, ConflictStrategy::Update);
    let requests = rows::narrow(count, 0).into_iter().map(|row| schema.row(row));
    let requests = requests.collect::<Result<Vec<_>, _>>().expect("the rows fit the schema");
    let took = timed(ours::submit_ready(&flow, requests)).await;
    assert!(flow.close().await.expect("the flow was open").all_written());
    took.cpu / count as f64 * 1e6
}
