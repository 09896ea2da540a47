//! Rows of 5 narrow columns, upserted: all new, then all conflicting.

use std::future::Future;

use batchflow_mysql::ConflictStrategy;
use batchflow_mysql::client::Conn;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::World;
use crate::common::{Took, shares, timed};
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rivals::{SIZE, bulk, load, multi_row, push_values, server_alone};
use crate::rows::{self, Row};
use crate::server::{DATABASE, Server};

const ROWS: usize = 200_000;
const ROUNDS: usize = 5;

const FIGURES: [&str; 3] =
    ["new rows/s", "conflicting rows/s", "client's processor time a row in µs"];

/// One who upserts rows: all of the first pass, then all of the second.
#[derive(Clone, Copy)]
enum Way {
    Ours(usize),
    Bulk(usize),
    MultiRow(usize),
    Load(usize),
    PushValues(usize),
    Server,
}

impl Way {
    /// One turn on a table of its own: the figures.
    async fn turn(self, server: Server, count: usize) -> [f64; 3] {
        let table = match self {
            Self::Ours(_) => "ours",
            Self::Bulk(_) => "by_bulk",
            Self::MultiRow(_) => "by_multi_row",
            Self::Load(_) => "by_load",
            Self::PushValues(_) => "by_push_values",
            Self::Server => "by_server",
        };
        let table = format!("{DATABASE}.{table}");
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
                let flow = ours::flow(driver, connections, SIZE).build();
                let flow = flow.expect("the settings are sound");
                let schema = ours::schema(table, ConflictStrategy::Update);
                let took = [
                    timed(ours::submit(&flow, &schema, first)).await,
                    timed(ours::submit(&flow, &schema, second)).await,
                ];
                assert!(flow.close().await.expect("the flow was open").all_written());
                took
            }
            Self::Bulk(connections) => {
                by_hand(at, connections, table, [first, second], bulk::upsert).await
            }
            Self::MultiRow(connections) => {
                by_hand(at, connections, table, [first, second], multi_row::upsert).await
            }
            Self::Load(connections) => {
                by_hand(at, connections, table, [first, second], load::upsert).await
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
                server_alone::prepare(at, 0, first).await;
                server_alone::prepare(at, 1, second).await;
                [
                    timed(server_alone::upsert(at, table, count, 0)).await,
                    timed(server_alone::upsert(at, table, count, 1)).await,
                ]
            }
        }
    }
}

/// Writes both passes over so many connections, a share of each pass over each of them.
async fn by_hand<F>(
    server: &Server,
    connections: usize,
    table: &str,
    passes: [Vec<Row>; 2],
    upsert: impl Fn(Conn, String, Vec<Row>) -> F,
) -> [Took; 2]
where
    F: Future<Output = Conn> + Send + 'static,
{
    let mut conns = Vec::new();
    for _ in 0..connections {
        conns.push(server.connect().await);
    }
    let mut pass = async |rows| {
        let mut tasks = JoinSet::new();
        for (conn, rows) in std::mem::take(&mut conns).into_iter().zip(shares(rows, connections)) {
            tasks.spawn(upsert(conn, table.to_owned(), rows));
        }
        conns = tasks.join_all().await;
    };
    let [first, second] = passes;
    [timed(pass(first)).await, timed(pass(second)).await]
}

/// Ours against every rival over so many connections.
pub(crate) fn measure(bench: &mut Bench, world: &World, connections: usize) {
    let full = bench.pick(ROWS, 5_000);
    let turn = |way: Way, warming: bool| {
        let count = if warming { full / 10 } else { full };
        world.run(way.turn(world.server.clone(), count))
    };
    let hand = [Bar::AtLeast(0.95), Bar::AtLeast(0.95), Bar::None];
    let faster = if world.server.is_mariadb() { 1.2 } else { 1.0 };
    let sqlx = [Bar::AtLeast(faster), Bar::AtLeast(faster), Bar::AtMost(0.8)];
    let s = if connections == 1 { "" } else { "s" };
    let name = world.named(&format!("upsert, {connections} connection{s}"));
    let mut bulk = |warming| turn(Way::Bulk(connections), warming);
    let mut multi_row = |warming| turn(Way::MultiRow(connections), warming);
    let mut load = |warming| turn(Way::Load(connections), warming);
    let mut push_values = |warming| turn(Way::PushValues(connections), warming);
    let mut alone = |warming| turn(Way::Server, warming);
    let mut rivals = vec![
        Rival { name: "prepared rows", bars: hand, turn: &mut multi_row },
        Rival { name: "sqlx push_values", bars: sqlx, turn: &mut push_values },
    ];
    if world.server.is_mariadb() {
        rivals.push(Rival { name: "bulk", bars: hand, turn: &mut bulk });
    }
    if world.server.loads {
        rivals.push(Rival { name: "LOAD, temporary table", bars: hand, turn: &mut load });
    } else {
        bench.not_run(&name, "against LOAD: the server's local_infile is off");
    }
    if connections == 1 {
        rivals.push(Rival { name: "the server alone", bars: [Bar::None; 3], turn: &mut alone });
    }
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
        bench.measure(&world.named(&name), Bar::AtMost(1.8), ROUNDS, turn);
    }
}

async fn from_submit_to_commit(server: Server, count: usize) -> f64 {
    let table = format!("{DATABASE}.whole_path");
    server.execute(&rows::narrow_table(&table)).await;
    let driver = ours::driver(ours::config(&server, 1)).await;
    let flow = ours::flow(driver, 1, SIZE).build().expect("the settings are sound");
    let schema = ours::schema(&table, ConflictStrategy::Update);
    let requests = rows::narrow(count, 0).into_iter().map(|row| schema.row(row));
    let requests = requests.collect::<Result<Vec<_>, _>>().expect("the rows fit the schema");
    let took = timed(ours::submit_ready(&flow, requests)).await;
    assert!(flow.close().await.expect("the flow was open").all_written());
    took.cpu / count as f64 * 1e6
}
