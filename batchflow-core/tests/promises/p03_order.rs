//! Promise 3: order per key, whatever happens to the batches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use batchflow_core::testing::{Column, Fault, FaultDriver, Gate, MemoryDriver, Table};
use batchflow_core::{
    Attempt, Batch, BatchFlow, BatchWriter, Capabilities, ColumnInfo, ColumnKind, Comparison,
    ConflictStrategy, Driver, ErrorKind, Outcome, Report, RowError, Schema, TableInfo, Value,
    Verdict, WriteError,
};

use crate::support::{HOUR, MILLI, SECOND, memory, row, schema, settling, users, watched};

/// A row that is retried keeps its key: the later row of the key waits, rows of other keys do not.
#[tokio::test(start_paused = true)]
async fn promise_3_a_later_row_never_overtakes_a_retry_of_its_key() {
    let driver = watched();
    driver.inner().script((0..5).map(|_| Fault::fail(ErrorKind::Deadlock)));
    let flow = BatchFlow::builder(driver.clone()).build().unwrap();
    let old = flow.submit_tracked(row(&users(), 1, "old")).await.unwrap();
    tokio::time::sleep(MILLI / 10).await;
    let new = flow.submit_tracked(row(&users(), 1, "new")).await.unwrap();
    assert_eq!(old.await.unwrap(), Outcome::Written);
    assert_eq!(new.await.unwrap(), Outcome::Written);
    assert_eq!(memory(&driver).value("users", [1_i64], "name"), Some("new".into()));
    assert_eq!(driver.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn promise_3_a_stalled_key_holds_back_no_other() {
    let driver = watched();
    let gate = Gate::closed();
    driver.inner().script([Fault::Wait(gate.clone())]);
    let flow = BatchFlow::builder(driver.clone()).timeout(HOUR).build().unwrap();
    let stuck = flow.submit_tracked(row(&users(), 1, "stuck")).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let behind = flow.submit_tracked(row(&users(), 1, "behind")).await.unwrap();
    let other = flow.submit_tracked(row(&users(), 2, "other")).await.unwrap();
    assert_eq!(other.await.unwrap(), Outcome::Written);
    assert!(memory(&driver).value("users", [1_i64], "name").is_none());
    gate.open();
    assert_eq!(stuck.await.unwrap(), Outcome::Written);
    assert_eq!(behind.await.unwrap(), Outcome::Written);
    assert_eq!(memory(&driver).value("users", [1_i64], "name"), Some("behind".into()));
}

/// With merging off, rows of one key go out in as many batches, in order.
#[tokio::test(start_paused = true)]
async fn promise_3_without_merging_a_duplicate_key_goes_in_a_later_batch() {
    for strategy in [ConflictStrategy::Ignore, ConflictStrategy::Update, ConflictStrategy::Replace]
    {
        let driver = watched();
        let flow =
            BatchFlow::builder(driver.clone()).merge(false).flush_interval(HOUR).build().unwrap();
        let schema = schema("users", strategy);
        for name in ["a", "b", "c"] {
            flow.submit(row(&schema, 1, name)).await.unwrap();
            flow.submit(row(&schema, 2, name)).await.unwrap();
        }
        let counts = flow.flush().await.unwrap();
        assert_eq!((counts.written, counts.superseded), (6, 0));
        let last = if strategy == ConflictStrategy::Ignore { "a" } else { "c" };
        for id in [1_i64, 2] {
            assert_eq!(memory(&driver).value("users", [id], "name"), Some(last.into()));
        }
        assert_eq!(memory(&driver).batches().len(), 3);
        assert_eq!(driver.violations(), Vec::<String>::new());
    }
}

/// An attempt that outlives its cancellation keeps its key until the server says how it ended.
#[tokio::test(start_paused = true)]
async fn promise_3_an_orphan_is_seen_ended_before_its_key_is_free() {
    let driver = settling();
    driver.inner().script([Fault::Orphan { commit_after: Some(120 * SECOND) }]);
    let flow = BatchFlow::builder(driver.clone()).timeout(SECOND).build().unwrap();
    let orphan = flow.submit_tracked(row(&users(), 1, "orphan")).await.unwrap();
    tokio::time::sleep(10 * SECOND).await;
    let later = flow.submit_tracked(row(&users(), 1, "later")).await.unwrap();
    assert_eq!(orphan.await.unwrap(), Outcome::Written);
    assert_eq!(later.await.unwrap(), Outcome::Written);
    tokio::time::sleep(HOUR).await;
    assert_eq!(memory(&driver).value("users", [1_i64], "name"), Some("later".into()));
    assert_eq!(driver.attempts(), 2, "it was not sent again");
}

/// Where nobody can tell how it ended, its rows are unknown by their deadline at the latest.
#[tokio::test(start_paused = true)]
async fn promise_3_an_orphan_of_which_nobody_can_tell_leaves_its_rows_unknown() {
    for driver in [watched(), settling()] {
        driver.inner().script([Fault::Orphan { commit_after: None }]);
        let flow = BatchFlow::builder(driver.clone()).timeout(SECOND).build().unwrap();
        let start = tokio::time::Instant::now();
        let orphan = flow.submit_tracked(row(&users(), 1, "orphan")).await.unwrap();
        let Err(RowError::Unknown(error)) = orphan.await else { panic!("not unknown") };
        assert!(error.is_still_running());
        assert!(start.elapsed() < 400 * SECOND, "{:?}", start.elapsed());
        assert_eq!(driver.attempts(), 1, "it was not sent again");
        let later = flow.submit_tracked(row(&users(), 1, "later")).await.unwrap();
        assert_eq!(later.await.unwrap(), Outcome::Written);
    }
}

/// A split batch is sent in order: the halves of one key's rows do not change places.
#[tokio::test(start_paused = true)]
async fn promise_3_splits_keep_the_order_of_rows_that_only_the_database_can_compare() {
    use batchflow_core::testing::{Blame, Column, FaultDriver, MemoryDriver, Probe, Table};
    use batchflow_core::{ColumnKind, Comparison};
    let table = Table::new("names")
        .column(Column::new("id", ColumnKind::Text).comparison(Comparison::Opaque).not_null())
        .column(Column::new("name", ColumnKind::Text))
        .unique(["id"]);
    let driver = FaultDriver::new(MemoryDriver::with_tables([table]).without_blame());
    driver.refuse(ErrorKind::Constraint, Blame::Nobody, |row| {
        row.get::<String>("name").unwrap().unwrap() == "bad"
    });
    let driver = Arc::new(Probe::new(driver));
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    let names = schema("names", ConflictStrategy::Update);
    for (id, name) in [("k", "1"), ("a", "bad"), ("K", "2"), ("b", "x"), ("k", "3"), ("c", "bad")] {
        flow.submit(names.row((id, name)).unwrap()).await.unwrap();
    }
    let counts = flow.flush().await.unwrap();
    assert_eq!((counts.written, counts.rejected), (4, 2));
    let tables = driver.inner().inner();
    assert_eq!(tables.value("names", ["k"], "name"), Some("3".into()));
    assert_eq!(tables.value("names", ["k"], "id"), Some("k".into()));
}

/// A table whose key's collation changes with the first write, which only the driver sees.
#[derive(Debug, Default)]
struct Altered {
    described: AtomicUsize,
    attempts: AtomicUsize,
    batches: Mutex<Vec<usize>>,
}

#[async_trait]
impl Driver for Altered {
    fn backend(&self) -> &'static str {
        "altered"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none().with_describe().with_atomic()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            attempt.note_table(0);
            return Err(ErrorKind::Deadlock.into());
        }
        self.batches.lock().unwrap().push(batch.len());
        Ok(Report::all())
    }

    async fn describe(&self, _: &Schema) -> Result<TableInfo, WriteError> {
        let comparison = match self.described.fetch_add(1, Ordering::Relaxed) {
            0 => Comparison::Natural,
            _ => Comparison::AsciiNoCase,
        };
        let name = ColumnInfo::new(ColumnKind::Text).with_comparison(comparison);
        Ok(TableInfo::new(vec![name]))
    }
}

#[tokio::test(start_paused = true)]
async fn promise_3_keys_compare_as_the_table_does_that_the_driver_found_changed() {
    let names = Schema::new("names", ConflictStrategy::Ignore, ["name"]).unwrap();
    let name = |name: &str| names.row((name,)).unwrap();

    let driver = Arc::new(Altered::default());
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    flow.submit(name("first")).await.unwrap();
    assert_eq!(flow.flush().await.unwrap().written, 1);
    for again in ["Ada", "ADA"] {
        flow.submit(name(again)).await.unwrap();
    }
    let counts = flow.flush().await.unwrap();
    assert_eq!((counts.written, counts.superseded), (1, 1), "one key");

    let driver = Arc::new(Altered::default());
    let writer = BatchWriter::builder(driver.clone()).batch_size(2).build().unwrap();
    let rows = ["first", "second", "Ada", "ADA"].map(name);
    assert_eq!(writer.write(rows).await.unwrap().written(), 4);
    let batches = driver.batches.lock().unwrap().clone();
    assert_eq!(batches, [1, 1, 1, 1], "halved once, then one row a key");
}

/// Its table has changed by the first write, which also refuses the first of the rows; rows that
/// are sent by themselves wait for the gate.
#[derive(Debug)]
struct Changing {
    described: AtomicUsize,
    attempts: AtomicUsize,
    gate: Gate,
}

#[async_trait]
impl Driver for Changing {
    fn backend(&self) -> &'static str {
        "changing"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none().with_describe()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        attempt.note_table(0);
        match self.attempts.fetch_add(1, Ordering::Relaxed) {
            0 => {
                Ok(Report::each(vec![Verdict::Rejected(ErrorKind::Data.into()), Verdict::Written]))
            }
            1 => {
                assert_eq!(batch.len(), 1);
                self.gate.passed().await;
                Ok(Report::all())
            }
            _ => Ok(Report::all()),
        }
    }

    async fn describe(&self, _: &Schema) -> Result<TableInfo, WriteError> {
        let comparison = match self.described.fetch_add(1, Ordering::Relaxed) {
            0 => Comparison::Natural,
            _ => Comparison::AsciiNoCase,
        };
        let name = ColumnInfo::new(ColumnKind::Text).with_comparison(comparison);
        Ok(TableInfo::new(vec![name]))
    }
}

/// One row of a batch has its verdict, the others are still in flight: the rows submitted then are
/// compared as the table does that the batch found.
#[tokio::test(start_paused = true)]
async fn promise_3_a_verdict_is_told_after_the_change_of_its_table_is_known() {
    let names = Schema::new("names", ConflictStrategy::Ignore, ["name"]).unwrap();
    let name = |name: &str| names.row((name,)).unwrap();
    let gate = Gate::closed();
    let driver = Changing { described: 0.into(), attempts: 0.into(), gate: gate.clone() };
    let flow = BatchFlow::builder(driver).flush_interval(HOUR).timeout(HOUR).build().unwrap();
    for merged in 0..2 {
        flow.submit(name("a")).await.unwrap();
        assert_eq!(flow.stats().pending, merged + 1);
    }
    let receipt = flow.submit_tracked(name("b")).await.unwrap();
    assert_eq!(receipt.await.unwrap(), Outcome::Written);
    for again in ["Ada", "ADA"] {
        flow.submit(name(again)).await.unwrap();
    }
    let (counts, ()) = tokio::join!(flow.flush(), async {
        tokio::time::sleep(SECOND).await;
        gate.open();
    });
    let counts = counts.unwrap();
    assert_eq!((counts.written, counts.superseded), (3, 1), "one key");
}

/// Plain inserts of one key in batches that are too small for all of them: one that waits for its key
/// is not overtaken by the next, which was still in line when the batch was full.
#[tokio::test(start_paused = true)]
async fn promise_3_inserts_of_a_key_keep_their_order_over_many_small_batches() {
    let table = Table::new("logs")
        .column(Column::new("id", ColumnKind::Integer))
        .column(Column::new("name", ColumnKind::Text));
    for flush_size in 1..4 {
        let driver = Arc::new(FaultDriver::new(MemoryDriver::with_tables([table.clone()])));
        let slow = AtomicUsize::new(0);
        driver.each(move |_, _| {
            let first = slow.fetch_add(1, Ordering::Relaxed) == 1;
            let time = if first { SECOND } else { 10 * MILLI };
            Fault::Delay(time, Box::new(Fault::Pass))
        });
        let flow = BatchFlow::builder(driver.clone()).flush_size(flush_size).concurrency(2);
        let flow = flow.flush_interval(MILLI).build().unwrap();
        let logs = Schema::builder("logs").columns(["id", "name"]).key(["id"]);
        let logs = logs.on_conflict(ConflictStrategy::Fail).build().unwrap();
        let ids = [1_i64, 1, 2, 3, 1, 4, 1, 1, 2, 1, 5, 1];
        for (at, id) in ids.into_iter().enumerate() {
            flow.submit(row(&logs, id, &format!("{at:02}"))).await.unwrap();
        }
        assert!(flow.close().await.unwrap().all_written());
        let rows = driver.inner().rows("logs");
        for id in 1..=5_i64 {
            let own = rows.iter().filter(|row| row[0] == id.into());
            let own: Vec<Value> = own.map(|row| row[1].clone()).collect();
            let expected = ids.iter().enumerate().filter(|(_, own)| **own == id);
            let expected: Vec<Value> =
                expected.map(|(at, _)| Value::from(format!("{at:02}"))).collect();
            assert!(own == expected, "promise 3: key {id}, in batches of {flush_size}");
        }
    }
}
