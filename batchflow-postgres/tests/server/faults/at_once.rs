//! Promises 3 and 8 for single rows whose repetition is harmless, which go in one round trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use batchflow_core::conformance::History;
use batchflow_core::testing::{Column, Direction, Flow, Proxy, Table};
use batchflow_core::{
    Applied, Attempt, Batch, BatchFlow, ColumnKind, ConflictStrategy, Driver, ErrorKind,
    FlowBuilder, Request, RetryPolicy, Schema, Settled, Stats, Value,
};
use batchflow_postgres::{PostgresConfig, PostgresDriver};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fire::judge;
use super::messages::cut_after_each;
use super::rig::{config, in_time, join};
use super::servers_down::{end_backends, synchronous};
use crate::support::framing::{address, frame, through};
use crate::support::servers::Servers;
use crate::support::{connect, execute, fresh, rows, seeds, url};

/// Few keys, so that each is written again and again.
const KEYS: i64 = 7;

/// Writers that submit a row, wait for its verdict, and submit the next.
#[derive(Clone)]
struct Singles {
    flow: BatchFlow,
    history: History,
    schema: Schema,
    table: Table,
    next: Arc<AtomicI64>,
    seed: u64,
}

impl Singles {
    async fn new(
        url: &str,
        config: PostgresConfig,
        seed: u64,
        configure: impl FnOnce(FlowBuilder) -> FlowBuilder,
    ) -> Self {
        let name = fresh("singles");
        execute(url, &format!("CREATE TABLE {name} (id bigint PRIMARY KEY, last bigint)")).await;
        let schema = Schema::new(&*name, ConflictStrategy::Update, ["id", "last"]).unwrap();
        let table = Table::new(name)
            .column(Column::new("id", ColumnKind::Integer).not_null())
            .column(Column::new("last", ColumnKind::Integer))
            .unique(["id"]);
        let driver = PostgresDriver::connect_with(config).await.unwrap();
        let retry = RetryPolicy::default().seed(seed).give_up_after(Duration::from_secs(60));
        let retry =
            retry.first_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(200));
        let flow = BatchFlow::builder(driver).concurrency(4).retry(retry);
        let flow = configure(flow.timeout(Duration::from_secs(3))).build().unwrap();
        let next = Arc::new(AtomicI64::new(1));
        Self { flow, history: History::new(), schema, table, next, seed }
    }

    async fn write(&self, count: usize) {
        for _ in 0..count {
            let last = self.next.fetch_add(1, Ordering::Relaxed);
            let request = Request::new(&self.schema).set("id", last % KEYS).set("last", last);
            let entry = self.history.begin(&request);
            let receipt = in_time(self.flow.submit_tracked(request)).await.unwrap();
            self.history.queued(entry, Some(receipt.submission()));
            let outcome = in_time(receipt).await;
            self.history.settled(entry, &outcome);
        }
    }

    fn burst(&self, tasks: u64, count: usize) -> JoinSet<()> {
        let mut set = JoinSet::new();
        for _ in 0..tasks {
            let own = self.clone();
            set.spawn(async move { own.write(count).await });
        }
        set
    }

    /// Closes the flow, and judges by the table at `url`.
    async fn finish(self, what: &str, url: &str) -> Stats {
        let what = format!("{what}, seed {}", self.seed);
        let stats = in_time(self.flow.close()).await.unwrap().stats;
        judge(&what, &stats, &self.history);
        let client = connect(url).await;
        let lines = rows(&client, &format!("SELECT * FROM {}", self.table.name())).await;
        let value = |text: &str| Value::I64(text.parse().unwrap());
        let found: Vec<Vec<Value>> =
            lines.iter().map(|line| line.split('|').map(value).collect()).collect();
        let judged = self.history.check_table(&self.table, &found);
        judged.unwrap_or_else(|broken| panic!("{what}: {stats:?}: {broken}"));
        println!("{what}: {stats:?}");
        stats
    }
}

/// Every row written: the server was well, so that the backends in doubt could be seen gone.
fn all_written(stats: &Stats, seed: u64) {
    assert_eq!(stats.written + stats.superseded, stats.submitted, "seed {seed}: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_cut_after_any_message_of_a_single_row_loses_and_reorders_nothing() {
    for seed in seeds() {
        let proxy = Proxy::framed(address(&url()), frame).await.unwrap();
        let config = config(&through(&url(), proxy.address()), None).pool_size(1);
        let singles = Singles::new(&url(), config, seed, |flow| flow).await;
        cut_after_each(&proxy, seed, async |_| singles.write(1).await).await;
        let stats = singles.finish("cut", &url()).await;
        all_written(&stats, seed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_ended_backends_of_single_rows_lose_and_reorder_nothing() {
    for seed in seeds() {
        let name = fresh("ended");
        let config = config(&url(), None).application_name(&name);
        let singles = Singles::new(&url(), config, seed, |flow| flow).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = singles.burst(4, 60);
        end_backends(&url(), &name, &mut dice).await;
        join(writers).await;
        all_written(&singles.finish("ended backends", &url()).await, seed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_killed_or_stalled_server_loses_and_reorders_no_single_row() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let config = config(&server.url, None);
        let singles = Singles::new(&server.url, config, seed, |flow| {
            flow.timeout(Duration::from_millis(700))
        });
        let singles = singles.await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = singles.burst(4, 300);
        sleep(Duration::from_millis(dice.u64(5..100))).await;
        server.kill().await;
        sleep(Duration::from_millis(dice.u64(1..300))).await;
        server.restart().await;
        sleep(Duration::from_millis(dice.u64(5..100))).await;
        server.stall().await;
        // Several attempts' time.
        sleep(Duration::from_millis(dice.u64(1_500..3_000))).await;
        server.resume().await;
        join(writers).await;
        all_written(&singles.finish("killed and stalled", &server.url).await, seed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_failover_loses_no_acknowledged_single_row() {
    for seed in seeds() {
        let primary = Servers::connect().server("").await;
        let standby = primary.standby().await;
        synchronous(&primary.url).await;
        let both = format!("{},{}", address(&primary.url), address(&standby.url));
        let url = format!("{}?target_session_attrs=read-write", through(&primary.url, both));
        let singles = Singles::new(&primary.url, config(&url, None), seed, |flow| flow).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = singles.burst(4, 100);
        sleep(Duration::from_millis(dice.u64(20..200))).await;
        primary.kill().await;
        sleep(Duration::from_millis(dice.u64(1..200))).await;
        standby.promote().await;
        join(writers).await;
        let stats = singles.finish("failover", &standby.url).await;
        assert_eq!(stats.rejected, 0, "seed {seed}: {stats:?}");
        assert!(stats.written > 0, "seed {seed}: {stats:?}");
    }
}

/// The commit waits for a standby that stands still: the row is not acknowledged, neither by the
/// attempt that was given up nor by the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_3_no_single_row_is_acknowledged_that_the_standby_does_not_have() {
    for seed in seeds() {
        let primary = Servers::connect().server("").await;
        let standby = primary.standby().await;
        synchronous(&primary.url).await;
        let config = config(&primary.url, None);
        let singles = Singles::new(&primary.url, config, seed, |flow| {
            flow.timeout(Duration::from_millis(400))
        });
        let singles = singles.await;
        singles.write(5).await;
        standby.stall().await;
        let writers = singles.burst(3, 20);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(singles.flow.stats().written, 5, "seed {seed}: the standby does not have it");
        standby.resume().await;
        join(writers).await;
        all_written(&singles.finish("a standby that stands still", &primary.url).await, seed);
    }
}

/// A commit that is cut short while it waits for the standby is seen by everybody, though the
/// standby may never have it: it is left alone by who gives the row up, and by who settles it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_3_a_commit_that_waits_for_the_standby_is_not_cut_short() {
    let primary = Servers::connect().server("").await;
    let standby = primary.standby().await;
    synchronous(&primary.url).await;
    let config = config(&primary.url, None);
    let one = One::new(&primary.url, config, ConflictStrategy::Ignore).await;
    standby.stall().await;
    let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_millis(700));
    let error = in_time(one.driver.write(one.batch(1), &attempt)).await.unwrap_err();
    assert_eq!(attempt.way(), Some("at once"));
    assert!(error.is_still_running(), "{error}");
    let token = attempt.tokens().pop().unwrap();
    assert_eq!(in_time(one.driver.settle(&token)).await.unwrap(), Settled::Running);
    assert!(one.found().await.is_empty(), "it was cut short");
    standby.resume().await;
    in_time(async {
        while one.driver.settle(&token).await.unwrap() == Settled::Running {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(one.found().await, ["1"]);
    in_time(one.driver.close()).await;
}

/// One driver, and a table of one row a key.
struct One {
    url: String,
    driver: PostgresDriver,
    schema: Schema,
    table: String,
}

impl One {
    /// The table is made and read at `url`.
    async fn new(url: &str, config: PostgresConfig, strategy: ConflictStrategy) -> Self {
        let table = fresh("one");
        execute(url, &format!("CREATE TABLE {table} (id bigint PRIMARY KEY, last bigint)")).await;
        let schema = Schema::new(&*table, strategy, ["id", "last"]).unwrap();
        let driver = PostgresDriver::connect_with(config).await.unwrap();
        Self { url: url.to_owned(), driver, schema, table }
    }

    fn batch(&self, last: i64) -> Batch {
        Batch::from_requests(vec![self.schema.row((1_i64, last)).unwrap()]).unwrap()
    }

    async fn found(&self) -> Vec<String> {
        rows(&connect(&self.url).await, &format!("SELECT last FROM {}", self.table)).await
    }
}

/// The row is on its way through a network that stands still when it is given up. Its backend is
/// ended from another side before anything newer goes; then the network delivers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_3_a_row_that_arrives_late_overwrites_no_newer_one() {
    let proxy = Proxy::framed(address(&url()), frame).await.unwrap();
    // Past the proxy once that is silent.
    let both = format!("{},{}", proxy.address(), address(&url()));
    let config = config(&through(&url(), both), None).pool_size(2);
    let one = One::new(&url(), config, ConflictStrategy::Update).await;
    // As long as the next, so that the session need not be told another limit.
    let first = Attempt::new().with_deadline(Instant::now() + Duration::from_secs(1));
    in_time(one.driver.write(one.batch(1), &first)).await.unwrap();
    let expects_at_once = !crate::support::is_pooled();
    assert_eq!(first.way() == Some("at once"), expects_at_once, "{:?}", first.way());
    proxy.flow(Direction::ToServer, Flow::Stall);
    let late = Attempt::new().with_deadline(Instant::now() + Duration::from_secs(1));
    let error = in_time(one.driver.write(one.batch(2), &late)).await.unwrap_err();
    if expects_at_once {
        assert_eq!(late.way(), Some("at once"));
        assert!(error.is_still_running(), "{error}");
        let token = late.tokens().pop().unwrap();
        let settled = async {
            loop {
                match one.driver.settle(&token).await {
                    Ok(Settled::Running) | Err(_) => sleep(Duration::from_millis(20)).await,
                    Ok(settled) => break settled,
                }
            }
        };
        assert_eq!(in_time(settled).await, Settled::Unknown, "seen gone");
    }
    let newer = Attempt::new().with_deadline(Instant::now() + Duration::from_secs(20));
    in_time(one.driver.write(one.batch(3), &newer)).await.unwrap();
    proxy.pass();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(one.found().await, ["3"]);
    in_time(one.driver.close()).await;
}

/// What waits for a lock is cancelled, so that it is known that nothing was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_9_a_row_that_waits_for_a_lock_is_given_up_and_not_applied() {
    for strategy in [ConflictStrategy::Ignore, ConflictStrategy::Update] {
        let one = One::new(&url(), config(&url(), None).pool_size(1), strategy).await;
        let write = |last, attempt: Attempt| {
            let batch = one.batch(last);
            let one = &one;
            async move { in_time(one.driver.write(batch, &attempt)).await }
        };
        let in_a_while = |time| Attempt::new().with_deadline(Instant::now() + time);
        write(1, in_a_while(Duration::from_secs(5))).await.unwrap();
        let locker = connect(&url()).await;
        let lock = format!("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", one.table);
        locker.batch_execute(&lock).await.unwrap();
        // Its deadline ends it, on the server; or whoever cancels it.
        let error = write(2, in_a_while(Duration::from_millis(400))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{strategy:?}: {error}");
        assert_eq!(error.applied(), Applied::Nothing, "{strategy:?}: {error}");
        let cancelled = in_a_while(Duration::from_secs(60));
        let (error, ()) = tokio::join!(write(3, cancelled.clone()), async {
            sleep(Duration::from_millis(300)).await;
            cancelled.cancel();
        });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{strategy:?}: {error}");
        assert_eq!(error.applied(), Applied::Nothing, "{strategy:?}: {error}");
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
             AND query LIKE '%{}%' AND pid <> pg_backend_pid()",
            one.table
        );
        let other = connect(&url()).await;
        in_time(async {
            while rows(&other, &waiting).await != ["0"] {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        locker.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(one.found().await, ["1"]);
        write(4, Attempt::new()).await.unwrap();
        let expected = if strategy == ConflictStrategy::Update { "4" } else { "1" };
        assert_eq!(one.found().await, [expected]);
        in_time(one.driver.close()).await;
    }
}

/// Behind a pooler that lends each transaction another backend, the driver does without: every row
/// goes in a transaction whose fate can be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_behind_a_pooler_single_rows_go_in_transactions() {
    let servers = Servers::connect();
    let server = servers.server("").await;
    let pooler = match server.pgbouncer("default_pool_size=3").await {
        Ok(pooler) => pooler,
        Err(why) => {
            let test = "faults::at_once::promise_8_behind_a_pooler_single_rows_go_in_transactions";
            return servers.skipped(test, &why).await;
        }
    };
    for seed in seeds() {
        let singles = Singles::new(&server.url, config(&pooler.url, None), seed, |flow| flow).await;
        let driver = PostgresDriver::connect_with(config(&pooler.url, None)).await.unwrap();
        let other = Schema::new(singles.table.name(), ConflictStrategy::Ignore, ["id", "last"]);
        let row = other.unwrap().row((-1_i64, 0_i64)).unwrap();
        let attempt = Attempt::new();
        driver.write(Batch::from_requests(vec![row]).unwrap(), &attempt).await.unwrap();
        assert_eq!(attempt.way(), Some("unnest"), "seed {seed}");
        let clean = format!("DELETE FROM {} WHERE id = -1", singles.table.name());
        execute(&server.url, &clean).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let writers = singles.burst(6, 60);
        end_backends(&server.url, "batchflow", &mut dice).await;
        join(writers).await;
        driver.close().await;
        all_written(&singles.finish("pooler", &server.url).await, seed);
    }
}
