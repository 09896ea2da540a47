//! [`Rig`]: a flow under fire, its history, and the judgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use batchflow_core::conformance::{Fate, History};
use batchflow_core::testing::{Column, Table};
use batchflow_redis::{
    BatchFlow, ColumnKind, ConflictStrategy, Layout, Merge, RedisDriver, Request, RetryPolicy,
    Schema, Stats, Value,
};
use tokio::task::JoinSet;

use super::fire::{in_time, judge};
use crate::support::{Direct, config, fresh, url};

/// Keys of each hash table: few, so that each is written again and again.
const KEYS: i64 = 60;

/// Which rows are submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Appended to a list: a second try would double them.
    Plain,
    /// Added to a hash's count: a second try would falsify it.
    Counting,
    /// Written over a hash: a second try is harmless, unless it comes too late.
    Setting,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Plain, Self::Counting, Self::Setting];
}

/// A flow under fire, its history and its tables.
#[derive(Clone)]
pub(super) struct Rig {
    pub(super) flow: BatchFlow,
    history: History,
    /// The same, but for rows that are in doubt whatever their verdict.
    excused: History,
    /// Whose rows those are.
    doubtful: Arc<[String]>,
    tables: [(Schema, Table); 3],
    next: Arc<AtomicI64>,
    seed: u64,
    /// Where the tables are read, past every fault.
    url: String,
}

impl Rig {
    /// Reads the tables elsewhere than on the server that tests share.
    pub(super) fn read_at(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// Of rows of these keys that are submitted from now on nothing is expected, but that none is
    /// applied twice.
    pub(super) fn excuse(&mut self, keys: Vec<String>) {
        self.doubtful = keys.into();
    }

    /// How many rows may still be written late, as far as they were told.
    pub(super) fn running(&self) -> usize {
        self.history.count(|fate| fate == Fate::StillRunning)
    }

    /// Every key that may be written.
    pub(super) fn keys(&self) -> Vec<String> {
        let [(_, plain), hashes @ ..] = &self.tables;
        let of = |name: String| (0..KEYS).map(move |id| format!("{name}:{id}"));
        let hashes = hashes.iter().flat_map(|(_, table)| of(table.name().to_owned()));
        std::iter::once(plain.name().to_owned()).chain(hashes).collect()
    }

    /// A flow to `target` that writes tables of its own.
    pub(super) async fn new(target: &str, seed: u64) -> Self {
        let tables = Kind::ALL.map(table);
        let config = config(target).pool_size(4);
        let config = config.connect_timeout(Duration::from_secs(1));
        let mut driver = RedisDriver::connect_with(config).await.unwrap();
        for (kind, (_, table)) in Kind::ALL.into_iter().zip(&tables) {
            let name = table.name();
            let layout = match kind {
                Kind::Plain => Layout::list(name),
                _ => Layout::hash(format!("{name}:")).key_fields(),
            };
            driver = driver.layout(name, layout);
        }
        let retry = RetryPolicy::default().seed(seed).give_up_after(Duration::from_secs(60));
        let retry =
            retry.first_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(200));
        let flow = BatchFlow::builder(driver)
            .flush_size(25)
            .concurrency(4)
            .retry(retry)
            .timeout(Duration::from_millis(700))
            .flush_interval(Duration::from_millis(5))
            .build()
            .unwrap();
        let next = Arc::new(AtomicI64::new(1));
        Self {
            flow,
            history: History::new(),
            excused: History::new(),
            doubtful: Arc::new([]),
            tables,
            next,
            seed,
            url: url(),
        }
    }

    /// Submits so many rows from each of so many tasks; the verdicts come in the tasks returned.
    pub(super) fn burst(&self, tasks: u64, rows: usize) -> JoinSet<()> {
        let mut set = JoinSet::new();
        for task in 0..tasks {
            let rig = self.clone();
            set.spawn(async move { rig.submit(rows, task).await });
        }
        set
    }

    async fn submit(&self, rows: usize, task: u64) {
        let mut dice = fastrand::Rng::with_seed(self.seed.wrapping_mul(31).wrapping_add(task));
        let mut receipts = Vec::with_capacity(rows);
        for _ in 0..rows {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let kind = dice.usize(..3);
            let (schema, table) = &self.tables[kind];
            let (request, key) = match Kind::ALL[kind] {
                Kind::Plain => (Request::new(schema).set("n", number), table.name().to_owned()),
                Kind::Counting | Kind::Setting => {
                    let id = dice.i64(0..KEYS);
                    let request = Request::new(schema).set("id", id).set("last", number);
                    (request.set("hits", 1_i64), format!("{}:{id}", table.name()))
                }
            };
            let is_doubtful = self.doubtful.contains(&key);
            let entry = [&self.history, &self.excused].map(|history| history.begin(&request));
            let receipt = in_time(self.flow.submit_tracked(request)).await.unwrap();
            let submission = Some(receipt.submission());
            self.history.queued(entry[0], submission);
            self.excused.queued(entry[1], submission);
            receipts.push((entry, is_doubtful, receipt));
            if dice.u8(..4) == 0 {
                tokio::time::sleep(Duration::from_millis(dice.u64(..4))).await;
            }
        }
        for ([entry, excused], is_doubtful, receipt) in receipts {
            let verdict = in_time(receipt).await;
            self.history.settled(entry, &verdict);
            let judged = if is_doubtful { Fate::Unknown } else { Fate::from(&verdict) };
            self.excused.settled(excused, judged);
            let fate = self.history.fate(entry);
            if let (Some(Fate::Rejected(_) | Fate::NotSent), Err(error)) = (fate, &verdict) {
                panic!("seed {}: no row is at fault, and there was time: {error}", self.seed);
            }
        }
    }

    /// Closes the flow, and judges: every row's verdict, the counts, and all tables.
    pub(super) async fn finish(self, what: &str) -> Stats {
        let what = format!("{what}, seed {}", self.seed);
        let stats = in_time(self.flow.close()).await.unwrap().stats;
        judge(&what, &stats, &self.history);
        for (kind, (_, table)) in Kind::ALL.into_iter().zip(&self.tables) {
            let found = read(&self.url, kind, table).await;
            let judged = self.excused.check_table(table, &found);
            judged.unwrap_or_else(|broken| panic!("{what}: {kind:?}: {stats:?}: {broken}"));
        }
        println!("{what}: {stats:?}");
        stats
    }
}

fn table(kind: Kind) -> (Schema, Table) {
    let name = fresh(&format!("{kind:?}").to_lowercase());
    let integer = |name| Column::new(name, ColumnKind::Integer);
    if kind == Kind::Plain {
        let schema = Schema::builder(&*name).columns(["n"]).build().unwrap();
        return (schema, Table::new(name).column(integer("n")));
    }
    let schema = Schema::builder(&*name).columns(["id", "last", "hits"]).key(["id"]);
    let schema = schema.on_conflict(ConflictStrategy::Update);
    let schema = if kind == Kind::Counting { schema.merge("hits", Merge::Add) } else { schema };
    let table = Table::new(name)
        .column(integer("id").not_null())
        .column(integer("last"))
        .column(integer("hits"))
        .unique(["id"]);
    (schema.build().unwrap(), table)
}

/// What is there, past every fault.
async fn read(url: &str, kind: Kind, table: &Table) -> Vec<Vec<Value>> {
    let mut direct = Direct::connect(url).await;
    let number = |text: &str| text.parse().map_or(Value::Null, Value::I64);
    if kind == Kind::Plain {
        let list = direct.ask(&format!("LRANGE {} 0 -1", table.name())).await;
        return list.split_whitespace().map(|text| vec![number(text)]).collect();
    }
    let mut rows = Vec::new();
    for id in 0..KEYS {
        let key = format!("{}:{id}", table.name());
        if direct.ask(&format!("EXISTS {key}")).await == "1" {
            let fields = direct.ask(&format!("HMGET {key} id last hits")).await;
            rows.push(fields.split(' ').map(number).collect());
        }
    }
    rows
}
