//! [`Rig`]: a flow under fire, its history, and the judgement.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use batchflow_core::conformance::{Fate, History};
use batchflow_core::testing::{Column, Table};
use batchflow_core::{ColumnKind, Value};
use batchflow_postgres::{
    BatchFlow, ConflictStrategy, FlowBuilder, Merge, PostgresConfig, PostgresDriver, Request,
    RetryPolicy, Schema, SslMode, Stats, Way,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{connect, execute, fresh, rows};

/// Keys of the table that counts: few, so that each is written again and again.
const KEYS: i64 = 60;

/// No row waits longer for its verdict, whatever happens: the retries' limit, and an attempt.
const LONGEST: Duration = Duration::from_secs(90);

/// How long rows are tried again.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Which rows are submitted: inserts that a second try would double, or additions to a count that
/// a second try would falsify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `Fail`, without a key.
    Plain,
    /// `Update` with `Merge::Add`.
    Counting,
}

/// A flow under fire, its history and its tables.
pub(super) struct Rig {
    /// Where the tables are read, past every fault.
    url: String,
    pub(super) flow: BatchFlow,
    history: History,
    plain: (Schema, Table),
    counting: (Schema, Table),
    next: Arc<AtomicI64>,
    seed: u64,
}

/// What the driver of a rig is told.
pub(super) fn config(url: &str, way: Option<Way>) -> PostgresConfig {
    let config = PostgresConfig::from_url(url).unwrap().ssl_mode(SslMode::Disable);
    let config = config.connect_timeout(Duration::from_secs(2)).pool_size(4);
    match way {
        Some(way) => config.way(way),
        None => config,
    }
}

impl Rig {
    /// A flow by `config` to tables of its own, which are made and read at `url`.
    pub(super) async fn new(url: &str, config: PostgresConfig, seed: u64) -> Self {
        Self::with(url, config, seed, "", |flow| flow).await
    }

    /// As [`new`](Self::new), with what stands behind the tables' columns, and the flow's settings.
    pub(super) async fn with(
        url: &str,
        config: PostgresConfig,
        seed: u64,
        place: &str,
        configure: impl FnOnce(FlowBuilder) -> FlowBuilder,
    ) -> Self {
        let (plain, counting) = (plain(), counting());
        let sql = format!(
            "CREATE TABLE {} (n bigint, m bigint) {place}; CREATE TABLE {} (id bigint PRIMARY KEY, \
             last bigint, hits bigint) {place}",
            plain.1.name(),
            counting.1.name(),
        );
        execute(url, &sql).await;
        let driver = PostgresDriver::connect_with(config).await.unwrap();
        let retry = RetryPolicy::default().seed(seed).give_up_after(GIVE_UP);
        let retry =
            retry.first_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(200));
        let flow = BatchFlow::builder(driver).flush_size(25).concurrency(4).retry(retry);
        let flow = flow.timeout(Duration::from_secs(3)).flush_interval(Duration::from_millis(5));
        Self {
            url: url.to_owned(),
            flow: configure(flow).build().unwrap(),
            history: History::new(),
            plain,
            counting,
            next: Arc::new(AtomicI64::new(1)),
            seed,
        }
    }

    /// Reads the tables elsewhere from now on: where they are after a failover.
    pub(super) fn read_at(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// Submits rows of one kind, and waits for their verdicts.
    pub(super) async fn write(&self, kind: Kind, rows: usize) {
        self.submit(kind, rows, 0).await;
    }

    /// Submits rows of both kinds from so many tasks; the verdicts come in the tasks returned.
    pub(super) fn burst(&self, tasks: u64, rows: usize) -> JoinSet<()> {
        let mut set = JoinSet::new();
        for task in 0..tasks {
            let rig = self.shared();
            let kind = if task % 2 == 0 { Kind::Plain } else { Kind::Counting };
            set.spawn(async move { rig.submit(kind, rows, task).await });
        }
        set
    }

    fn shared(&self) -> Self {
        Self {
            url: self.url.clone(),
            flow: self.flow.clone(),
            history: self.history.clone(),
            plain: self.plain.clone(),
            counting: self.counting.clone(),
            next: Arc::clone(&self.next),
            seed: self.seed,
        }
    }

    async fn submit(&self, kind: Kind, rows: usize, task: u64) {
        let mut dice = fastrand::Rng::with_seed(self.seed.wrapping_mul(31).wrapping_add(task));
        let mut receipts = Vec::with_capacity(rows);
        for _ in 0..rows {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let request = match kind {
                Kind::Plain => Request::new(&self.plain.0).set("n", number).set("m", -number),
                Kind::Counting => Request::new(&self.counting.0)
                    .set("id", (number + dice.i64(0..KEYS)) % KEYS)
                    .set("last", number)
                    .set("hits", 1_i64),
            };
            let entry = self.history.begin(&request);
            let receipt = in_time(self.flow.submit_tracked(request)).await.unwrap();
            self.history.queued(entry, Some(receipt.submission()));
            receipts.push((entry, receipt));
            if task > 0 && dice.u8(..4) == 0 {
                tokio::time::sleep(Duration::from_millis(dice.u64(..4))).await;
            }
        }
        for (entry, receipt) in receipts {
            self.history.settled(entry, &in_time(receipt).await);
        }
    }

    /// How many rows have a fate so far.
    pub(super) fn count(&self, of: impl Fn(Fate) -> bool) -> usize {
        self.history.count(of)
    }

    /// Closes the flow, and judges: every row's verdict, the counts, and both tables.
    pub(super) async fn finish(self, what: &str) -> Stats {
        let what = format!("{what}, seed {}", self.seed);
        let stats = in_time(self.flow.close()).await.unwrap().stats;
        assert!(stats.is_conserved() && stats.pending == 0, "{what}: promise 1: {stats:?}");
        let is_unknown = |fate| matches!(fate, Fate::Unknown | Fate::StillRunning);
        for (told, seen) in [
            (stats.submitted, self.history.queued_rows()),
            (stats.written, self.count(|fate| fate == Fate::Written)),
            (stats.superseded, self.count(|fate| fate == Fate::Superseded)),
            (stats.unknown, self.count(is_unknown)),
        ] {
            assert_eq!(told, seen as u64, "{what}: promise 1: the receipts differ from {stats:?}");
        }
        self.history.check_verdicts().unwrap_or_else(|broken| panic!("{what}: {broken}"));
        for (_, table) in [&self.plain, &self.counting] {
            let found = read(&self.url, table).await;
            let judged = self.history.check_table(table, &found);
            judged.unwrap_or_else(|broken| panic!("{what}: {stats:?}: {broken}"));
        }
        println!("{what}: {stats:?}");
        stats
    }
}

/// Waits for what must not hang.
pub(super) async fn in_time<T>(of: impl Future<Output = T>) -> T {
    timeout(LONGEST, of).await.expect("promise 9: it hangs")
}

/// Waits for all of some tasks, and panics as they did.
pub(super) async fn join(mut tasks: JoinSet<()>) {
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

fn plain() -> (Schema, Table) {
    let name = fresh("plain");
    let schema = Schema::builder(&*name).columns(["n", "m"]).on_conflict(ConflictStrategy::Fail);
    let table = Table::new(name)
        .column(Column::new("n", ColumnKind::Integer))
        .column(Column::new("m", ColumnKind::Integer));
    (schema.build().unwrap(), table)
}

fn counting() -> (Schema, Table) {
    let name = fresh("counting");
    let schema = Schema::builder(&*name).columns(["id", "last", "hits"]).key(["id"]);
    let schema = schema.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add);
    let table = Table::new(name)
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("last", ColumnKind::Integer))
        .column(Column::new("hits", ColumnKind::Integer))
        .unique(["id"]);
    (schema.build().unwrap(), table)
}

async fn read(url: &str, table: &Table) -> Vec<Vec<Value>> {
    let client = connect(url).await;
    let lines = rows(&client, &format!("SELECT * FROM {}", table.name())).await;
    let value = |text: &str| text.parse().map_or(Value::Null, Value::I64);
    lines.iter().map(|line| line.split('|').map(value).collect()).collect()
}
