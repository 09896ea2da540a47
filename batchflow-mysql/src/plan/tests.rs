//! How many plans are kept, and for which server.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use batchflow_core::{ConflictStrategy, ErrorKind, Request};

use super::*;
use crate::server::Family;
use crate::types::TypeKind;
use crate::unit::table;

/// So many columns, `c0` and on, make more sets than are remembered.
const COLUMNS: usize = 8;

const MARIADB: Server = Server {
    family: Family::MariaDb,
    version: (10, 11, 6),
    max_allowed_packet: 1 << 24,
    local_infile: false,
    last_second: 2_147_483_647,
    logs_rows: true,
};

fn names() -> Vec<String> {
    (0..COLUMNS).map(|at| format!("c{at}")).collect()
}

fn wide() -> Table {
    let names = names();
    let int = TypeKind::Int { bytes: 8, unsigned: false };
    let columns: Vec<_> = names.iter().map(|name| (&**name, "bigint", int.clone())).collect();
    table("wide", &columns)
}

fn schema(name: &str) -> Schema {
    let schema = Schema::builder(name).columns(names()).on_conflict(ConflictStrategy::Fail);
    schema.build().unwrap()
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
    let known = plans.known();
    (known.len(), known.values().map(|known| known.shapes.len()).max().unwrap_or(0))
}

#[test]
fn promise_6_a_schemas_plans_are_bounded_and_the_latest_kept() {
    let (plans, schema) = (Plans::default(), schema("wide"));
    assert!(plans.get(&batch(&schema, 1)).is_none(), "its table was not looked up");
    plans.learn(&schema, wide(), &MARIADB);
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
    assert_eq!((&first.texts.row, &first.columns), (&again.texts.row, &again.columns));
    assert_eq!(first.fingerprint, again.fingerprint);
}

#[test]
fn promise_6_the_schemas_that_are_known_are_bounded() {
    let plans = Plans::default();
    for number in 0..MAX_SCHEMAS + 10 {
        let schema = schema(&format!("wide{number}"));
        plans.learn(&schema, wide(), &MARIADB);
        get(&plans, &batch(&schema, 1));
        assert!(counts(&plans).0 <= MAX_SCHEMAS, "{number}");
    }
    assert!(plans.looked_up(&schema("wide0")).is_none());
    let last = schema(&format!("wide{}", MAX_SCHEMAS + 9));
    assert!(plans.looked_up(&last).is_some());
}

#[test]
fn plans_are_kept_for_a_table_that_has_not_changed() {
    let (plans, schema) = (Plans::default(), schema("wide"));
    plans.learn(&schema, wide(), &MARIADB);
    let plan = get(&plans, &batch(&schema, 0b11));
    plans.learn(&schema, wide(), &MARIADB);
    assert!(Arc::ptr_eq(&plan, &get(&plans, &batch(&schema, 0b11))));
    let mut altered = wide();
    altered.columns[1].ty.sql = "int".to_owned();
    plans.learn(&schema, altered, &MARIADB);
    let other = get(&plans, &batch(&schema, 0b11));
    assert!(!Arc::ptr_eq(&plan, &other));
    assert_eq!(counts(&plans), (1, 1));
}

#[test]
fn a_plan_is_one_for_the_server_that_it_is_sent_to() {
    let (plans, schema) = (Plans::default(), schema("wide"));
    plans.learn(&schema, wide(), &MARIADB);
    let batch = batch(&schema, 0b11);
    let plan = get(&plans, &batch);
    let with = |change: fn(&mut Server)| {
        let mut server = MARIADB;
        change(&mut server);
        server
    };
    let larger = with(|server| server.max_allowed_packet *= 2);
    assert!(plan.suits(&MARIADB) && plan.suits(&larger));
    for other in [
        with(|server| server.family = Family::MySql),
        with(|server| server.version = (11, 4, 1)),
        with(|server| server.max_allowed_packet /= 2),
        with(|server| server.local_infile = true),
        with(|server| server.last_second *= 2),
    ] {
        let plan = get(&plans, &batch);
        assert!(!plan.suits(&other), "{other:?}");
        let adapted = plans.adapt(&batch, &plan, &other).unwrap();
        assert!(adapted.suits(&other) && Arc::ptr_eq(&adapted.table, &plan.table));
        assert!(get(&plans, &batch).suits(&other), "the next ones are as it is");
        plans.adapt(&batch, &plan, &MARIADB).unwrap();
    }
}

#[test]
fn what_may_not_be_loaded_is_loaded_by_no_plan_of_its_schema() {
    let loads = |version| Server { version, local_infile: true, ..MARIADB };
    let (first, second) = (loads((10, 11, 6)), loads((11, 4, 1)));
    let (plans, schema) = (Plans::default(), schema("wide"));
    plans.learn(&schema, wide(), &first);
    let rows = batch(&schema, 0b11);
    let plan = get(&plans, &rows);
    let other = plans.adapt(&rows, &plan, &second).unwrap();
    assert!(plan.may_load(1) && other.may_load(1));
    assert!(plan.forbid_load() && !plan.forbid_load(), "it is said once");
    assert!(!other.may_load(1), "in use");
    assert!(!plans.adapt(&rows, &plan, &second).unwrap().may_load(1), "adapted");
    assert!(!get(&plans, &batch(&schema, 0b1)).may_load(1), "of other columns");
    plans.learn(&schema, wide(), &first);
    assert!(!get(&plans, &rows).may_load(1), "looked up by another server");
}

#[test]
fn a_column_that_is_computed_is_refused_each_time() {
    let (plans, schema) = (Plans::default(), schema("wide"));
    let mut table = wide();
    table.columns[1].generated = true;
    plans.learn(&schema, table, &MARIADB);
    for _ in 0..2 {
        let error = plans.get(&batch(&schema, 0b11)).unwrap().unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("c1")));
    }
    assert!(plans.get(&batch(&schema, 0b01)).unwrap().is_ok());
    assert_eq!(counts(&plans), (1, 1), "what is refused is not remembered");
}
