//! Upserts that may be repeated, one by one and many at once: batches of one statement commit
//! themselves, and what is lost of them is written again, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use batchflow_core::conformance::History;
use batchflow_core::testing::{Column, Cut, Direction, Ending, Proxy, Table};
use batchflow_core::{ColumnKind, Value};
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{
    BatchFlow, ConflictStrategy, FlowBuilder, MysqlDriver, Request, RetryPolicy, Schema, Stats, Way,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fire::judge;
use super::rig::{config, in_time, join, way};
use crate::support::framing::{address, frame, through};
use crate::support::servers::Servers;
use crate::support::{Database, connect, rows, seeds, sessions, url};

/// Few keys, so that each is written again and again; more than one statement may commit itself.
const KEYS: i64 = 150;

/// More packets than any attempt has, its connection's start included.
const MOST: u64 = 600;

/// A flow of upserts, its history and its table.
#[derive(Clone)]
struct Upserts {
    flow: BatchFlow,
    database: Arc<Database>,
    history: History,
    schema: Schema,
    table: Table,
    next: Arc<AtomicI64>,
    seed: u64,
}

/// How they are set up.
#[derive(Default)]
struct Setup {
    way: Option<Way>,
    /// The address that the driver is told in place of the server's.
    through: Option<String>,
    pool_size: usize,
    timeout: Option<Duration>,
}

impl Upserts {
    async fn new(server: &str, seed: u64, setup: Setup) -> Self {
        let database = Database::on(server, "upserts").await;
        database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, last BIGINT) ENGINE=InnoDB").await;
        let url = setup.through.map(|address| through(database.url(), address));
        let mut config = config(url.as_deref().unwrap_or(database.url()));
        config = config.pool_size(setup.pool_size.max(1));
        if let Some(way) = setup.way {
            config = config.way(way);
        }
        let driver = MysqlDriver::connect_with(config).await.unwrap();
        let retry = RetryPolicy::default().seed(seed).give_up_after(Duration::from_secs(60));
        let retry =
            retry.first_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(200));
        let flow: FlowBuilder = BatchFlow::builder(driver);
        let flow = flow.flush_size(200).concurrency(4).retry(retry);
        let flow = flow.flush_interval(Duration::from_millis(5));
        let flow = flow.timeout(setup.timeout.unwrap_or(Duration::from_secs(3)));
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "last"]).unwrap();
        let table = Table::new("t")
            .column(Column::new("id", ColumnKind::Integer).not_null())
            .column(Column::new("last", ColumnKind::Integer))
            .unique(["id"]);
        Self {
            flow: flow.build().unwrap(),
            database: Arc::new(database),
            history: History::new(),
            schema,
            table,
            next: Arc::new(AtomicI64::new(1)),
            seed,
        }
    }

    /// Submits so many rows, and waits for their verdicts.
    async fn write(&self, rows: i64) {
        let mut receipts = Vec::new();
        for _ in 0..rows {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let request = Request::new(&self.schema).set("id", number % KEYS).set("last", number);
            let entry = self.history.begin(&request);
            let receipt = in_time(self.flow.submit_tracked(request)).await.unwrap();
            self.history.queued(entry, Some(receipt.submission()));
            receipts.push((entry, receipt));
        }
        for (entry, receipt) in receipts {
            self.history.settled(entry, &in_time(receipt).await);
        }
    }

    /// Writes from so many tasks, mostly one row after the other, many at once in between.
    fn burst(&self, tasks: u64, writes: usize) -> JoinSet<()> {
        let mut set = JoinSet::new();
        for task in 0..tasks {
            let own = self.clone();
            set.spawn(async move {
                let mut dice = fastrand::Rng::with_seed(own.seed.wrapping_mul(31) + task);
                for _ in 0..writes {
                    let rows = if dice.u8(..8) == 0 { dice.i64(2..KEYS) } else { 1 };
                    own.write(rows).await;
                }
            });
        }
        set
    }

    /// Closes the flow, and judges: no row was refused or is unknown, since each may be repeated and
    /// the server came back.
    async fn finish(self, what: &str) -> Stats {
        let what = format!("{what}, seed {}", self.seed);
        let stats = in_time(self.flow.close()).await.unwrap().stats;
        judge(&what, &stats, &self.history);
        let found = self.database.rows("SELECT id, last FROM t").await;
        let found: Vec<Vec<Value>> = found
            .iter()
            .map(|line| line.split('|').map(|text| Value::I64(text.parse().unwrap())).collect())
            .collect();
        let judged = self.history.check_table(&self.table, &found);
        judged.unwrap_or_else(|broken| panic!("{what}: {stats:?}: {broken}"));
        assert_eq!(stats.rejected + stats.unknown, 0, "{what}: promise 8: {stats:?}");
        println!("{what}: {stats:?}");
        stats
    }
}

/// Cuts an attempt after its first packet, another after its second, and so on to the last, on a
/// session that commits each statement and on one that has just been opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_upserts_cut_after_every_packet_are_written_again() {
    for seed in seeds() {
        for way in [Some(Way::Rows), Some(Way::Bulk), None] {
            let proxy = Proxy::framed(address(&url()), frame).await.unwrap();
            let through = Some(proxy.address().to_string());
            let setup = Setup { way, through, pool_size: 1, ..Setup::default() };
            let upserts = Upserts::new(&url(), seed, setup).await;
            let mut dice = fastrand::Rng::with_seed(seed);
            for direction in [Direction::ToServer, Direction::ToClient] {
                for (is_cold, rows) in [(false, 1), (true, 1), (false, 64), (false, KEYS)] {
                    let mut nth = 1;
                    loop {
                        if is_cold {
                            proxy.cut_all(Ending::Close);
                            sleep(Duration::from_millis(5)).await;
                        } else {
                            for _ in 0..dice.u8(0..5) {
                                upserts.write(1).await;
                            }
                        }
                        let cut = Cut::after_message(direction, nth);
                        proxy.cut(if dice.bool() { cut } else { cut.closing() });
                        let cuts = proxy.cuts();
                        upserts.write(rows).await;
                        if proxy.cuts() == cuts {
                            break;
                        }
                        nth += 1;
                        assert!(nth < MOST, "no attempt has so many packets");
                    }
                    proxy.pass();
                }
            }
            upserts.finish(&format!("{way:?} cut after every packet")).await;
        }
    }
}

/// Ends connections or statements while rows are written.
async fn ended(what: &str, seed: u64) {
    let setup = Setup { way: way(seed), pool_size: 4, ..Setup::default() };
    let upserts = Upserts::new(&url(), seed, setup).await;
    let mut dice = fastrand::Rng::with_seed(seed);
    let writers = upserts.burst(4, 60);
    let mut conn = connect(&url()).await;
    for _ in 0..20 {
        for session in sessions(&mut conn, upserts.database.name()).await.unwrap() {
            if dice.bool() {
                // It may have ended by itself.
                let _ = conn.query_drop(format!("KILL {what} {}", session.id)).await;
            }
        }
        sleep(Duration::from_millis(dice.u64(1..25))).await;
    }
    join(writers).await;
    upserts.finish(&format!("KILL {what}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_upserts_whose_sessions_or_statements_are_ended_are_written_again() {
    for seed in seeds() {
        ended("CONNECTION", seed).await;
        ended("QUERY", seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_upserts_outlive_a_killed_server() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let setup = Setup { way: way(seed), pool_size: 4, ..Setup::default() };
        let upserts = Upserts::new(&server.url, seed, setup).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = upserts.burst(4, 100);
        for _ in 0..2 {
            sleep(Duration::from_millis(dice.u64(5..150))).await;
            server.kill().await;
            sleep(Duration::from_millis(dice.u64(1..300))).await;
            server.restart().await;
        }
        join(writers).await;
        upserts.finish("killed server").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_upserts_outlast_a_stalled_server() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let timeout = Some(Duration::from_millis(500));
        let setup = Setup { way: way(seed), pool_size: 4, timeout, ..Setup::default() };
        let upserts = Upserts::new(&server.url, seed, setup).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = upserts.burst(4, 100);
        sleep(Duration::from_millis(dice.u64(5..100))).await;
        server.stall().await;
        // Several attempts' time.
        sleep(Duration::from_millis(dice.u64(1_500..3_000))).await;
        server.resume().await;
        join(writers).await;
        upserts.finish("stalled server").await;
    }
}

/// Statements that were given up while they wait for a lock would otherwise be committed, late, by
/// themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_upserts_given_up_never_overwrite_newer_ones() {
    for seed in seeds() {
        let timeout = Some(Duration::from_millis(400));
        let setup = Setup { way: way(seed), pool_size: 4, timeout, ..Setup::default() };
        let upserts = Upserts::new(&url(), seed, setup).await;
        upserts.write(KEYS).await;
        join(upserts.burst(4, 10)).await;
        let mut locker = upserts.database.connect().await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = upserts.burst(4, 40);
        for _ in 0..4 {
            locker.query_drop("BEGIN").await.unwrap();
            rows(&mut locker, "SELECT * FROM t FOR UPDATE").await;
            sleep(Duration::from_millis(dice.u64(300..1_500))).await;
            locker.query_drop("ROLLBACK").await.unwrap();
            sleep(Duration::from_millis(dice.u64(0..50))).await;
        }
        join(writers).await;
        upserts.finish("statements given up").await;
    }
}

/// The server would end a commit that waits for a replica without it, were the session killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_an_upsert_that_waits_for_a_replica_is_not_written_without_it() {
    use super::semi_sync::wait_for_replica;
    const TEST: &str = "faults::upserts::\
        promise_1_an_upsert_that_waits_for_a_replica_is_not_written_without_it";
    for seed in seeds() {
        // A session that knows of the replica from its beginning, and one that does not.
        for knows in [true, false] {
            let mut pair = super::replication::Pair::new("binlog_format=ROW").await;
            if knows && let Err(why) = wait_for_replica(&mut pair).await {
                Servers::connect().skipped(TEST, &why).await;
                return;
            }
            let proxy = Proxy::start(address(&pair.first.url)).await.unwrap();
            let through = Some(proxy.address().to_string());
            let setup = Setup { through, pool_size: 1, ..Setup::default() };
            let upserts = Upserts::new(&pair.first.url, seed, setup).await;
            for _ in 0..5 {
                upserts.write(1).await;
            }
            if !knows && let Err(why) = wait_for_replica(&mut pair).await {
                Servers::connect().skipped(TEST, &why).await;
                return;
            }
            pair.caught_up().await;
            pair.replication("STOP IO_THREAD").await;
            let own = upserts.clone();
            let write = tokio::spawn(async move { own.write(1).await });
            let waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
                         WHERE STATE LIKE 'Waiting for semi-sync ACK%'";
            let until = Instant::now() + Duration::from_secs(10);
            let mut watcher = connect(&pair.first.url).await;
            while rows(&mut watcher, waits).await == ["0"] {
                assert!(Instant::now() < until, "seed {seed}: the commit waits");
                sleep(Duration::from_millis(5)).await;
            }
            proxy.cut_all(Ending::Reset);
            sleep(Duration::from_millis(1_500)).await;
            assert!(!write.is_finished(), "seed {seed}, {knows}: nobody has it but the primary");
            assert_eq!(rows(&mut watcher, waits).await, ["1"], "seed {seed}, {knows}");
            pair.replication("START IO_THREAD").await;
            write.await.unwrap();
            // Before the replica can hear of anything else.
            pair.replication("STOP IO_THREAD").await;
            pair.applied().await;
            let theirs = crate::support::with_database(&pair.second.url, upserts.database.name());
            let found = rows(&mut connect(&theirs).await, "SELECT id FROM t").await;
            assert_eq!(found.len(), 6, "seed {seed}, {knows}: the replica has it");
            pair.replication("START IO_THREAD").await;
            upserts.finish("semi-synchronous").await;
        }
    }
}
