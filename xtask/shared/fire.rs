//! [`Fire`]: a flow under fire, its history, and the judgement. Included by the fault tests of every
//! database with a server.
#![allow(dead_code, reason = "each crate uses its own part")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use batchflow_core::conformance::{Fate, History};
use batchflow_core::testing::{Column, Table};
use batchflow_core::{
    BatchFlow, ColumnKind, ConflictStrategy, FlowBuilder, Merge, Request, RetryPolicy, RowError,
    Schema, Stats, Value,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Keys of the table that counts: few, so that each is written again and again.
const KEYS: i64 = 60;

/// No row waits longer for its verdict, whatever happens: the retries' limit, and an attempt.
const LONGEST: Duration = Duration::from_secs(90);

/// How long rows are tried again.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Which rows are submitted: inserts that a second try would double, or additions to a count that
/// a second try would falsify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Fail`, without a key: columns `n` and `m`.
    Plain,
    /// `Update` with `Merge::Add`: columns `id`, its key, `last` and `hits`.
    Counting,
}

/// A flow under fire, its history and its tables.
pub(crate) struct Fire {
    pub(crate) flow: BatchFlow,
    history: History,
    plain: (Schema, Table),
    counting: (Schema, Table),
    next: Arc<AtomicI64>,
    seed: u64,
}

impl Fire {
    /// A flow to two tables that are there, each for rows of one kind.
    pub(crate) fn new(
        flow: FlowBuilder,
        plain_name: String,
        counting_name: String,
        seed: u64,
        configure: impl FnOnce(FlowBuilder) -> FlowBuilder,
    ) -> Self {
        let retry = RetryPolicy::default().seed(seed).give_up_after(GIVE_UP);
        let retry =
            retry.first_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(200));
        let flow = flow.flush_size(25).concurrency(4).retry(retry);
        let flow = flow.timeout(Duration::from_secs(3)).flush_interval(Duration::from_millis(5));
        Self {
            flow: configure(flow).build().unwrap(),
            history: History::new(),
            plain: plain(plain_name),
            counting: counting(counting_name),
            next: Arc::new(AtomicI64::new(1)),
            seed,
        }
    }

    /// Submits rows of one kind, and waits for their verdicts.
    pub(crate) async fn write(&self, kind: Kind, rows: usize) {
        self.submit(kind, rows, 0).await;
    }

    /// Submits rows of both kinds from so many tasks; the verdicts come in the tasks returned.
    pub(crate) fn burst(&self, tasks: u64, rows: usize) -> JoinSet<()> {
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
                sleep(Duration::from_millis(dice.u64(..4))).await;
            }
        }
        for (entry, receipt) in receipts {
            let outcome = in_time(receipt).await;
            if let Err(RowError::Rejected(error)) = &outcome {
                println!("{kind:?}: rejected: {error}");
            }
            self.history.settled(entry, &outcome);
        }
    }

    /// How many rows have a fate so far.
    pub(crate) fn count(&self, of: impl Fn(Fate) -> bool) -> usize {
        self.history.count(of)
    }

    /// Closes the flow, and judges: every row's verdict, the counts, and both tables as `read`
    /// finds them.
    pub(crate) async fn finish(
        self,
        what: &str,
        read: impl AsyncFn(&Table) -> Vec<Vec<Value>>,
    ) -> Stats {
        let what = format!("{what}, seed {}", self.seed);
        let stats = in_time(self.flow.close()).await.unwrap().stats;
        judge(&what, &stats, &self.history);
        for (_, table) in [&self.plain, &self.counting] {
            let found = read(table).await;
            let judged = self.history.check_table(table, &found);
            judged.unwrap_or_else(|broken| panic!("{what}: {stats:?}: {broken}"));
        }
        println!("{what}: {stats:?}");
        stats
    }
}

/// Judges a flow that has closed, without its tables: every row's verdict, and the counts.
pub(crate) fn judge(what: &str, stats: &Stats, history: &History) {
    assert!(stats.is_conserved() && stats.pending == 0, "{what}: promise 1: {stats:?}");
    let is_unknown = |fate| matches!(fate, Fate::Unknown | Fate::StillRunning);
    for (told, seen) in [
        (stats.submitted, history.queued_rows()),
        (stats.written, history.count(|fate| fate == Fate::Written)),
        (stats.superseded, history.count(|fate| fate == Fate::Superseded)),
        (stats.unknown, history.count(is_unknown)),
    ] {
        assert_eq!(told, seen as u64, "{what}: promise 1: the receipts differ from {stats:?}");
    }
    history.check_verdicts().unwrap_or_else(|broken| panic!("{what}: {broken}"));
}

/// Waits for what must not hang.
pub(crate) async fn in_time<T>(of: impl Future<Output = T>) -> T {
    timeout(LONGEST, of).await.expect("promise 9: it hangs")
}

/// Sees that rows wait, and that none is written meanwhile: the fault has come.
pub(crate) async fn held_up(flow: &BatchFlow, what: &str) {
    // What was under way when it came may still land.
    sleep(Duration::from_millis(200)).await;
    let before = flow.stats();
    sleep(Duration::from_millis(300)).await;
    let after = flow.stats();
    assert!(after.pending > 0, "{what}: no row waits: {after:?}");
    assert_eq!(after.written, before.written, "{what}: rows are written");
}

/// Waits for all of some tasks, and panics as they did.
pub(crate) async fn join(mut tasks: JoinSet<()>) {
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

fn plain(name: String) -> (Schema, Table) {
    let schema = Schema::builder(&*name).columns(["n", "m"]).on_conflict(ConflictStrategy::Fail);
    let table = Table::new(name)
        .column(Column::new("n", ColumnKind::Integer))
        .column(Column::new("m", ColumnKind::Integer));
    (schema.build().unwrap(), table)
}

fn counting(name: String) -> (Schema, Table) {
    let schema = Schema::builder(&*name).columns(["id", "last", "hits"]).key(["id"]);
    let schema = schema.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add);
    let table = Table::new(name)
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("last", ColumnKind::Integer))
        .column(Column::new("hits", ColumnKind::Integer))
        .unique(["id"]);
    (schema.build().unwrap(), table)
}
