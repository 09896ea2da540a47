//! The tables, the driver with its faults, and the flow of one schedule.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::conformance::{EntryId, History};
use batchflow_core::testing::{
    Blame, Column, FaultDriver, MemoryDriver, Probe, RandomFaults, Table,
};
use batchflow_core::{
    Attempt, Batch, BatchFlow, Capabilities, ColumnKind, CommitToken, Comparison, ConflictStrategy,
    Driver, ErrorKind, Report, Request, RetryPolicy, RowError, Schema, Settled, Stats, TableInfo,
    WriteError, dead_letter,
};
use tokio::sync::watch;

use crate::plan::{Ending, Keys, Plan};
use crate::users::{Listener, Nerves, Plain, classifier};

pub(crate) type Watched = Probe<FaultDriver<MemoryDriver>>;

/// The flow's own driver, at which the test looks over its shoulder: an `Arc` that the test holds
/// too would be closed by the last of both.
#[derive(Debug)]
struct Owned(Arc<Watched>);

#[async_trait]
impl Driver for Owned {
    fn backend(&self) -> &'static str {
        self.0.backend()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        self.0.write(batch, attempt).await
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        self.0.describe(schema).await
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        self.0.settle(token).await
    }

    async fn close(&self) {
        Driver::close(&*self.0).await;
    }
}

/// Everything in one schedule but the flow, which may be dropped.
pub(crate) struct World {
    pub(crate) tables: [Table; 2],
    pub(crate) schemas: [Schema; 2],
    pub(crate) driver: Arc<Watched>,
    pub(crate) history: History,
    /// Each row's entry, by the marker that every row has.
    pub(crate) markers: Arc<Mutex<HashMap<i64, (EntryId, bool)>>>,
    /// What the dead-letter callback was told, by marker.
    pub(crate) letters: Arc<Mutex<Vec<(i64, RowError)>>>,
    /// The first broken bound that anyone saw.
    pub(crate) broken: Arc<Mutex<Option<String>>>,
    /// The most concurrency that the flow was ever given.
    pub(crate) concurrency: Arc<Mutex<usize>>,
    pub(crate) cancel: watch::Sender<bool>,
    bounds: (usize, usize),
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
        let (tables, schemas) = (tables(plan), schemas(plan));
        Self {
            driver: Arc::new(Probe::new(driver(plan, tables.clone()))),
            tables,
            schemas,
            history: History::new(),
            markers: Arc::default(),
            letters: Arc::default(),
            broken: Arc::default(),
            concurrency: Arc::new(Mutex::new(plan.concurrency)),
            cancel: watch::Sender::new(false),
            bounds: (plan.buffer_size, plan.buffer_bytes),
        }
    }

    pub(crate) fn flow(&self, plan: &Plan) -> BatchFlow {
        let nerves = |part| Nerves::new(plan.user_code_panics.then(|| plan.dice(part)));
        let letters = Arc::clone(&self.letters);
        let frayed = nerves(1);
        let sink = dead_letter::callback(move |letter| {
            let marker = letter.request().get("marker").unwrap().unwrap();
            letters.lock().unwrap().push((marker, letter.error().clone()));
            frayed.fray();
        });
        let mut cancelled = self.cancel.subscribe();
        let drain = !matches!(plan.ending, Ending::Cancel { drain: false });
        let flow = BatchFlow::builder(Owned(Arc::clone(&self.driver)))
            .flush_size(plan.flush_size)
            .flush_interval(plan.flush_interval)
            .buffer_size(plan.buffer_size)
            .buffer_bytes(plan.buffer_bytes)
            .concurrency(plan.concurrency)
            .timeout(plan.timeout)
            .retry(
                RetryPolicy::default()
                    .seed(plan.seed)
                    .give_up_after(plan.give_up_after)
                    .max_attempts(plan.max_attempts),
            )
            .merge(plan.merging)
            .grace(plan.grace)
            .drain_on_cancel(drain)
            .cancel_on(async move {
                if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
            .dead_letters(sink)
            .metrics(Listener(nerves(2)))
            .classifier(classifier(nerves(3)));
        let flow = if plan.own_coalescer { flow.coalescer(Plain(nerves(4))) } else { flow };
        flow.build().unwrap()
    }

    /// Looks at the flow's counts: promises 1 and 6.
    pub(crate) fn look(&self, stats: Stats) {
        let (rows, bytes) = self.bounds;
        let wrong = if !stats.is_conserved() {
            "promise 1: rows are not conserved"
        } else if stats.pending > rows as u64 {
            "promise 6: more rows than buffer_size"
        } else if stats.pending_bytes > bytes as u64 {
            "promise 6: more bytes than buffer_bytes"
        } else {
            return;
        };
        self.broken.lock().unwrap().get_or_insert_with(|| format!("{wrong}: {stats:?}"));
    }

    pub(crate) fn complain(&self, why: String) {
        self.broken.lock().unwrap().get_or_insert(why);
    }
}

fn tables(plan: &Plan) -> [Table; 2] {
    let id = match plan.keys {
        Keys::Integers => Column::new("id", ColumnKind::Integer),
        Keys::OpaqueText => Column::new("id", ColumnKind::Text).comparison(Comparison::Opaque),
        Keys::CaselessText => {
            Column::new("id", ColumnKind::Text).comparison(Comparison::PrintableNoCase)
        }
    };
    let counters = Table::new("counters")
        .column(id.not_null())
        .column(Column::new("marker", ColumnKind::Integer))
        .column(Column::new("hits", ColumnKind::Integer))
        .column(Column::new("note", ColumnKind::Text).default_value("none"))
        .column(Column::new("bad", ColumnKind::Integer))
        .column(Column::new("seen", ColumnKind::Timestamp))
        .unique(["id"]);
    let log = Table::new("log")
        .column(Column::new("id", ColumnKind::Integer))
        .column(Column::new("marker", ColumnKind::Integer))
        .column(Column::new("bad", ColumnKind::Integer));
    [counters, if plan.log_is_keyed { log.unique(["id"]) } else { log }]
}

fn schemas(plan: &Plan) -> [Schema; 2] {
    let mut counters = Schema::builder("counters")
        .columns(["id", "marker", "hits", "note", "bad", "seen"])
        .key(["id"])
        .on_conflict(plan.strategy);
    if plan.strategy == ConflictStrategy::Update {
        counters = counters.merge("hits", plan.hits);
    }
    if plan.touch {
        counters = counters.touch("seen");
    }
    let log = Schema::builder("log").columns(["id", "marker", "bad"]);
    let log = if plan.log_is_keyed { log.key(["id"]) } else { log };
    [counters.build().unwrap(), log.build().unwrap()]
}

fn driver(plan: &Plan, tables: [Table; 2]) -> FaultDriver<MemoryDriver> {
    let mut memory = MemoryDriver::with_tables(tables);
    if !plan.blames {
        memory = memory.without_blame();
    }
    if let Some(rows) = plan.max_rows {
        memory = memory.with_limits(Capabilities::none().with_max_rows(rows));
    }
    let driver = FaultDriver::new(memory);
    let driver = if plan.settles { driver.settling() } else { driver };
    let mut faults =
        RandomFaults::seeded(plan.seed).rate(plan.fault_rate).longest_delay(plan.longest_delay);
    if !plan.driver_panics {
        faults = faults.without_panics();
    }
    if !plan.orphans {
        faults = faults.without_orphans();
    }
    if !plan.lost_answers {
        faults = faults.without_lost_answers();
    }
    driver.random(faults);
    let mut dice = plan.dice(5);
    driver.script_describe((0..plan.describe_faults).map(|_| {
        let kinds = [ErrorKind::Connection, ErrorKind::Timeout, ErrorKind::Permission];
        kinds[dice.usize(..if plan.bad_rows { 3 } else { 2 })].into()
    }));
    let blame = [Blame::Nobody, Blame::First, Blame::Every, Blame::Wrong][dice.usize(..4)];
    driver.refuse(ErrorKind::Constraint, blame, is_bad);
    if let Some(rows) = plan.too_large_above {
        driver.too_large_above(rows);
    }
    driver
}

/// Whether the database refuses this row.
pub(crate) fn is_bad(row: &Request) -> bool {
    row.get::<i64>("bad").is_ok_and(|bad| bad == Some(1))
}

/// How long the actors may take for all they do, bounded by what a flow may take for a row.
pub(crate) const PATIENCE: Duration = Duration::from_secs(24 * 3_600);
