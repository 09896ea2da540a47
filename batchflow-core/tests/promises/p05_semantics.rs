//! Promise 5: merged in the queue or not, the same requests leave the same table. Random requests
//! against the reference model are the conformance kit's.

use std::sync::Arc;

use batchflow_core::testing::{Column, MemoryDriver, Table};
use batchflow_core::{
    BatchFlow, Coalescer, ColumnKind, Comparison, ConflictStrategy, Key, Merge, Merged, Request,
    Schema, Value,
};

use crate::support::HOUR;

async fn rows_of(table: Table, requests: &[Request], merging: bool) -> Vec<Vec<Value>> {
    let name = table.name().to_owned();
    let driver = Arc::new(MemoryDriver::with_tables([table]));
    let flow = BatchFlow::builder(driver.clone()).merge(merging).flush_interval(HOUR);
    let flow = flow.build().unwrap();
    assert_eq!(flow.submit_all(requests.to_vec()).await.unwrap(), requests.len());
    let summary = flow.close().await.unwrap();
    assert!(summary.all_written(), "{:?}", summary.stats);
    assert_eq!(summary.stats.superseded > 0, merging);
    driver.rows(&name)
}

fn counters(rule: Merge) -> (Table, Schema) {
    let table = Table::new("counters")
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("hits", ColumnKind::Integer))
        .column(Column::new("note", ColumnKind::Text).default_value("none"))
        .unique(["id"]);
    let schema = Schema::builder("counters")
        .columns(["id", "hits", "note"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .merge("hits", rule)
        .build()
        .unwrap();
    (table, schema)
}

#[tokio::test(start_paused = true)]
async fn promise_5_each_merge_rule_means_the_same_in_the_queue_and_in_the_table() {
    let expected = [
        (Merge::Set, Value::I64(2)),
        (Merge::Add, Value::I64(10)),
        (Merge::Max, Value::I64(5)),
        (Merge::Min, Value::I64(2)),
        (Merge::KeepExisting, Value::I64(3)),
    ];
    for (rule, hits) in expected {
        for merging in [true, false] {
            let (table, schema) = counters(rule);
            let row = || Request::new(&schema).set("id", 1_i64);
            let requests = [
                row().set_null("hits"),
                row().set("hits", 3_i64).set("note", "x"),
                row().set("hits", 5_i64).set_null("note"),
                row().set("hits", 2_i64),
            ];
            let rows = rows_of(table, &requests, merging).await;
            assert!(rows == [[1_i64.into(), hits.clone(), Value::Null]], "{rule:?}, {merging}");
        }
    }
}

/// One key in two spellings is one row, under the spelling that came first.
#[tokio::test(start_paused = true)]
async fn promise_5_keys_compare_as_the_column_compares() {
    for strategy in [ConflictStrategy::Ignore, ConflictStrategy::Replace, ConflictStrategy::Update]
    {
        for merging in [true, false] {
            let table = Table::new("names")
                .column(
                    Column::new("id", ColumnKind::Text)
                        .comparison(Comparison::PrintableNoCase)
                        .not_null(),
                )
                .column(Column::new("name", ColumnKind::Text))
                .unique(["id"]);
            let schema = Schema::new("names", strategy, ["id", "name"]).unwrap();
            let requests = [("Ada", "first"), ("ADA", "last")];
            let requests = requests.map(|row| schema.row(row).unwrap());
            let rows = rows_of(table, &requests, merging).await;
            let kept = if strategy == ConflictStrategy::Ignore { "first" } else { "last" };
            assert!(rows == [["Ada".into(), Value::from(kept)]], "{strategy:?}, {merging}");
        }
    }
}

/// Rows of a plain insert are never merged: a duplicate is its own row's error.
#[tokio::test(start_paused = true)]
async fn promise_5_fail_merges_nothing_and_keeps_the_order_of_submission() {
    let schema = Schema::new("log", ConflictStrategy::Fail, ["id", "line"]).unwrap();
    let driver = Arc::new(MemoryDriver::new());
    let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR).build().unwrap();
    for (id, line) in [(3_i64, "a"), (1, "b"), (3, "c"), (2, "d")] {
        flow.submit(schema.row((id, line)).unwrap()).await.unwrap();
    }
    let counts = flow.flush().await.unwrap();
    assert_eq!((counts.written, counts.superseded, counts.rejected), (3, 0, 1));
    let ids: Vec<Value> = driver.rows("log").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(ids, [Value::I64(3), Value::I64(1), Value::I64(2)]);
}

/// Rows are merged into what could never have been submitted.
#[derive(Debug)]
struct Wayward(fn(&mut Request));

impl Coalescer for Wayward {
    fn key(&self, row: &Request) -> Option<Key> {
        Some(Key::from(row.get::<i64>("id").unwrap().unwrap()))
    }

    fn merge(&self, kept: &mut Request, _: &Request) -> Merged {
        (self.0)(kept);
        Merged::Merged
    }
}

fn touching() -> Schema {
    Schema::builder("t")
        .columns(["id", "name", "at"])
        .key(["id"])
        .on_conflict(ConflictStrategy::Update)
        .touch("at")
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn promise_5_what_a_coalescer_makes_of_a_row_is_checked_like_a_row() {
    let elsewhere = |kept: &mut Request| {
        let other = Schema::new("u", ConflictStrategy::Update, ["id"]).unwrap();
        *kept = other.row((1_i64,)).unwrap();
    };
    let wayward: [fn(&mut Request); 2] =
        [|kept| _ = kept.merge_value(2, Some(Value::from("a touched column"))), elsewhere];
    for change in wayward {
        let driver = Arc::new(MemoryDriver::new());
        let flow = BatchFlow::builder(driver.clone()).flush_interval(HOUR);
        let flow = flow.coalescer(Wayward(change)).build().unwrap();
        for name in ["a", "b"] {
            flow.submit(touching().row((1_i64, name)).unwrap()).await.unwrap();
        }
        let counts = flow.flush().await.unwrap();
        assert_eq!((counts.written, counts.superseded), (2, 0));
    }
}
