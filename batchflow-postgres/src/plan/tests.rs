//! What plans allow, and how many are kept.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use batchflow_core::{ErrorKind, Request, SchemaBuilder};

use super::*;
use crate::types::TypeKind;
use crate::unit::table;

/// So many columns, `c0` and on, make more sets than are remembered.
const COLUMNS: usize = 8;

fn wide() -> Table {
    let names: Vec<String> = (0..COLUMNS).map(|at| format!("c{at}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (&**name, "bigint", TypeKind::Int8)).collect();
    table("public.wide", &columns)
}

fn schema(name: &str, of: impl FnOnce(SchemaBuilder) -> SchemaBuilder) -> Schema {
    let names: Vec<String> = (0..COLUMNS).map(|at| format!("c{at}")).collect();
    of(Schema::builder(name).columns(names)).build().unwrap()
}

fn plain(name: &str) -> Schema {
    schema(name, |schema| schema.on_conflict(ConflictStrategy::Fail))
}

/// A row that sets the columns whose bits are set.
fn batch(schema: &Schema, bits: usize) -> Batch {
    let mut row = Request::new(schema);
    for at in (0..COLUMNS).filter(|at| bits & (1 << at) != 0) {
        row = row.set(&format!("c{at}"), 1_i64);
    }
    Batch::from_requests(vec![row]).unwrap()
}

fn get(plans: &Plans, batch: &Batch) -> Arc<Plan> {
    plans.get(batch).unwrap().unwrap()
}

fn counts(plans: &Plans) -> (usize, usize) {
    let known = plans.known.lock().unwrap();
    (known.len(), known.values().map(|known| known.shapes.len()).max().unwrap_or(0))
}

#[test]
fn promise_6_a_schemas_plans_are_bounded_and_the_latest_kept() {
    let (plans, schema) = (Plans::new(), plain("wide"));
    assert!(plans.get(&batch(&schema, 1)).is_none(), "its table was not looked up");
    plans.learn(&schema, wide());
    let first = get(&plans, &batch(&schema, 0b1));
    for bits in 0b1..1 << COLUMNS {
        let plan = get(&plans, &batch(&schema, bits));
        assert_eq!(plan.columns.len(), bits.count_ones() as usize);
        assert!(Arc::ptr_eq(&plan, &get(&plans, &batch(&schema, bits))), "{bits}: made once");
        assert!(counts(&plans).1 <= MAX_SHAPES, "{bits}");
    }
    assert_eq!(counts(&plans), (1, MAX_SHAPES));
    let again = get(&plans, &batch(&schema, 0b1));
    assert!(!Arc::ptr_eq(&first, &again), "it was forgotten");
    assert_eq!((&first.unnest, &first.columns), (&again.unnest, &again.columns));
}

#[test]
fn promise_6_the_schemas_that_are_known_are_bounded() {
    let plans = Plans::new();
    for number in 0..MAX_SCHEMAS + 10 {
        let schema = plain(&format!("wide{number}"));
        plans.learn(&schema, wide());
        get(&plans, &batch(&schema, 1));
        assert!(counts(&plans).0 <= MAX_SCHEMAS, "{number}");
    }
    assert!(plans.looked_up(&plain("wide0")).is_none());
    assert!(plans.looked_up(&plain(&format!("wide{}", MAX_SCHEMAS + 9))).is_some());
}

#[test]
fn plans_are_kept_for_a_table_that_has_not_changed() {
    let (plans, schema) = (Plans::new(), plain("wide"));
    plans.learn(&schema, wide());
    let plan = get(&plans, &batch(&schema, 0b11));
    plans.learn(&schema, wide());
    assert!(Arc::ptr_eq(&plan, &get(&plans, &batch(&schema, 0b11))));
    let mut altered = wide();
    altered.columns[1].ty.sql = "integer".to_owned();
    plans.learn(&schema, altered);
    let other = get(&plans, &batch(&schema, 0b11));
    assert!(!Arc::ptr_eq(&plan, &other));
    assert_eq!(counts(&plans), (1, 1));
}

#[test]
fn what_a_plan_allows_is_what_the_table_and_the_strategy_do() {
    use ConflictStrategy::{Fail, Ignore};
    type Change = fn(&mut Table);
    type Case = (&'static str, ConflictStrategy, usize, Change, (bool, bool));
    let same: Change = |_| {};
    let cases: &[Case] = &[
        ("a plain insert", Fail, 0b11, same, (true, true)),
        ("an upsert", Ignore, 0b11, same, (false, true)),
        ("no columns", Fail, 0, same, (false, false)),
        ("a view", Fail, 0b11, |table| table.may_copy = false, (false, true)),
        ("no right to temporary tables", Fail, 0b11, |t| t.may_stage = false, (true, false)),
        (
            "a column that only the server numbers",
            Fail,
            0b11,
            |table| table.columns[1].identity = Identity::Always,
            (false, true),
        ),
        (
            "such a column, unset",
            Fail,
            0b01,
            |table| table.columns[1].identity = Identity::Always,
            (true, true),
        ),
        (
            "a type without a binary form",
            Fail,
            0b11,
            |table| table.columns[1].ty.kind = TypeKind::Other,
            (false, true),
        ),
    ];
    for (what, strategy, bits, change, expected) in cases {
        let plans = Plans::new();
        let schema = schema("wide", |schema| match strategy {
            Fail => schema.on_conflict(Fail),
            other => schema.key(["c0"]).on_conflict(*other),
        });
        let mut table = wide();
        change(&mut table);
        plans.learn(&schema, table);
        let plan = get(&plans, &batch(&schema, *bits));
        assert_eq!((plan.may_copy(), plan.stage.is_some()), *expected, "{what}");
        assert_eq!(plan.parameters.len(), plan.columns.len(), "{what}");
        // The server has the last word.
        plan.no_copy.store(true, Ordering::Relaxed);
        assert!(!plan.may_copy(), "{what}");
    }
}

#[test]
fn a_touched_column_is_not_copied() {
    let plans = Plans::new();
    let schema = schema("wide", |schema| schema.on_conflict(ConflictStrategy::Fail).touch("c7"));
    let mut table = wide();
    table.columns[7].ty.kind = TypeKind::Timestamptz(6);
    plans.learn(&schema, table);
    let plan = get(&plans, &batch(&schema, 0b11));
    assert!(plan.copy.is_none() && plan.stage.is_some());
}

#[test]
fn a_column_that_is_computed_is_refused_each_time() {
    let (plans, schema) = (Plans::new(), plain("wide"));
    let mut table = wide();
    table.columns[1].generated = true;
    plans.learn(&schema, table);
    for _ in 0..2 {
        let error = plans.get(&batch(&schema, 0b11)).unwrap().unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("c1")));
    }
    assert!(plans.get(&batch(&schema, 0b01)).unwrap().is_ok());
    assert_eq!(counts(&plans), (1, 1), "what is refused is not remembered");
}
