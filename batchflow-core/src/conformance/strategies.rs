//! Promise 5: the same requests leave the same table as the reference model.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::driver::ColumnKind;
use crate::request::Request;
use crate::schema::{ConflictStrategy, Merge, Schema};
use crate::testing::{Column, Table};
use crate::value::Value;

use super::harness::{Harness, fresh};
use super::history::Fate;
use super::model::{Model, TOUCHED};
use super::run::Run;

/// A schema, a pace, and rows.
#[derive(Clone, Debug)]
struct Case {
    strategy: ConflictStrategy,
    hits: Merge,
    once: Merge,
    update_all: bool,
    touch: bool,
    merging: bool,
    flush_size: usize,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Row(Row),
    Flush,
}

#[derive(Clone, Debug)]
struct Row {
    id: i64,
    name: Cell<String>,
    hits: Cell<i64>,
    amount: Cell<i16>,
    once: Cell<i64>,
    level: Cell<i64>,
}

#[derive(Clone, Debug)]
enum Cell<T> {
    Unset,
    Null,
    Is(T),
}

impl<T> Cell<T> {
    /// The request with this cell, its value made by `make`.
    fn set<V: Into<Value>>(self, row: Request, column: &str, make: impl Fn(T) -> V) -> Request {
        match self {
            Self::Unset => row,
            Self::Null => row.set_null(column),
            Self::Is(value) => row.set(column, make(value)),
        }
    }
}

fn cell<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Cell<T>> {
    prop_oneof![2 => Just(Cell::Unset), 1 => Just(Cell::Null), 4 => value.prop_map(Cell::Is)]
        .boxed()
}

/// Rows of few keys, and of levels below zero and missing where `faulty`.
fn row(faulty: bool) -> impl Strategy<Value = Row> {
    let good = (0..9_i64).prop_map(Cell::Is);
    let bad = prop_oneof![Just(Cell::Unset), Just(Cell::Null), (-3..0_i64).prop_map(Cell::Is)];
    let level = if faulty { prop_oneof![1 => bad, 3 => good].boxed() } else { good.boxed() };
    (0..6_i64, cell("[a-z]{0,3}"), cell(-5..9_i64), cell(any::<i16>()), cell(0..9_i64), level)
        .prop_map(|(id, name, hits, amount, once, level)| Row {
            id,
            name,
            hits,
            amount,
            once,
            level,
        })
}

fn case(faulty: bool) -> impl Strategy<Value = Case> {
    let strategy = prop_oneof![
        1 => Just(ConflictStrategy::Fail),
        1 => Just(ConflictStrategy::Ignore),
        1 => Just(ConflictStrategy::Replace),
        3 => Just(ConflictStrategy::Update),
    ];
    let rule = prop::sample::select(vec![
        Merge::Set,
        Merge::Add,
        Merge::Max,
        Merge::Min,
        Merge::KeepExisting,
    ]);
    let step = prop_oneof![8 => row(faulty).prop_map(Step::Row), 1 => Just(Step::Flush)];
    (
        strategy,
        rule.clone(),
        rule,
        any::<[bool; 3]>(),
        1..12_usize,
        prop::collection::vec(step, 1..40),
    )
        .prop_map(
            move |(strategy, hits, once, [update_all, touch, merging], flush_size, steps)| {
                // A row that is refused by itself may be accepted when merged: with faulty rows,
                // nothing is merged.
                let merging = merging && !faulty;
                Case { strategy, hits, once, update_all, touch, merging, flush_size, steps }
            },
        )
}

fn table() -> Table {
    Table::new(fresh("strategies"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("name", ColumnKind::Text).default_value("nobody"))
        .column(Column::new("hits", ColumnKind::Integer))
        .column(Column::new("amount", ColumnKind::Float64))
        .column(Column::new("once", ColumnKind::Integer).default_value(4_i64))
        .column(Column::new("level", ColumnKind::Integer).not_null().at_least(0))
        .column(Column::new("seen", ColumnKind::Timestamp))
        .column(Column::new("other", ColumnKind::Text).default_value("untouched"))
        .unique(["id"])
}

fn schema(case: &Case, table: &Table) -> Schema {
    let columns = ["id", "name", "hits", "amount", "once", "level", "seen"];
    let mut schema =
        Schema::builder(table.name()).columns(columns).key(["id"]).on_conflict(case.strategy);
    if case.strategy == ConflictStrategy::Update {
        if !case.update_all {
            schema = schema.update(["hits", "amount", "once", "level"]);
        }
        schema = schema.merge("hits", case.hits).merge("once", case.once);
        if case.hits == Merge::Add {
            schema = schema.merge("amount", Merge::Add);
        }
    }
    if case.touch { schema.touch("seen") } else { schema }.build().unwrap()
}

fn request(row: Row, schema: &Schema) -> Request {
    let request = Request::new(schema).set("id", row.id);
    let request = row.name.set(request, "name", Value::from);
    let request = row.hits.set(request, "hits", Value::from);
    // Halves of small integers: their sums are exact in any order.
    let request = row.amount.set(request, "amount", |v| f64::from(v) / 2.0);
    let request = row.once.set(request, "once", Value::from);
    row.level.set(request, "level", Value::from)
}

/// Runs one case: the rows that it left, or how it differs from the model.
async fn run(harness: &dyn Harness, case: &Case) -> Result<Vec<Vec<Value>>, String> {
    let table = table();
    let schema = schema(case, &table);
    let mut run = Run::new(harness, table.clone(), |flow| {
        flow.flush_size(case.flush_size)
            .merge(case.merging)
            .flush_interval(Duration::from_millis(5))
    })
    .await;
    let mut model = Model::new(&table);
    let mut expected = Vec::new();
    for step in &case.steps {
        match step {
            Step::Flush => drop(run.flow.flush().await),
            Step::Row(row) => {
                let request = request(row.clone(), &schema);
                expected.push((model.apply(&request), run.submit(request).await));
            }
        }
    }
    run.settle().await;
    for (wanted, entry) in expected {
        let fate = run.history.fate(entry);
        let agrees = match wanted {
            Ok(()) => matches!(fate, Some(Fate::Written | Fate::Superseded)),
            Err(kind) => fate == Some(Fate::Rejected(kind)),
        };
        if !agrees {
            return Err(format!("{entry:?} came to {fate:?}, and the model says {wanted:?}"));
        }
    }
    let rows = run.rows().await;
    run.history.check_table(&table, &rows).map_err(|violation| violation.to_string())?;
    drop(run.flow.close().await);
    Ok(rows)
}

/// Runs one case on several databases; the error says how one differs from the model, or from the
/// first.
async fn run_on_all(harnesses: &[&dyn Harness], case: &Case) -> Result<(), String> {
    let mut first: Option<Vec<Vec<Value>>> = None;
    for (at, harness) in harnesses.iter().enumerate() {
        let rows = run(*harness, case).await.map_err(|why| format!("database {at}: {why}"))?;
        let rows: Vec<Vec<Value>> = rows.into_iter().map(timeless).collect();
        match &first {
            None => first = Some(rows),
            Some(first) if *first == rows => {}
            Some(first) => {
                return Err(format!("database {at} holds {rows:?}, and the first {first:?}"));
            }
        }
    }
    Ok(())
}

/// A row without the moment it was touched at, which no two servers share.
fn timeless(row: Vec<Value>) -> Vec<Value> {
    let touched = |value| if matches!(value, Value::Timestamp(_)) { TOUCHED } else { value };
    row.into_iter().map(touched).collect()
}

/// Runs a case for each seed; one that fails is shrunk before it is told.
async fn run_seeds(
    seeds: impl IntoIterator<Item = u64>,
    faulty: bool,
    run: impl AsyncFn(&Case) -> Result<(), String>,
) {
    for seed in seeds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mut tree = case(faulty).new_tree(&mut runner).unwrap();
        let Err(mut why) = run(&tree.current()).await else { continue };
        let mut smallest = tree.current();
        for _ in 0..500 {
            if !tree.simplify() {
                break;
            }
            loop {
                if let Err(still) = run(&tree.current()).await {
                    (why, smallest) = (still, tree.current());
                    break;
                }
                if !tree.complicate() {
                    break;
                }
            }
        }
        panic!("promise 5, seed {seed}: {why}\n{smallest:#?}");
    }
}

/// Promise 5: random rows, some partial, some with NULLs, under each strategy and merge rule,
/// leave the table that the model says. A case a seed.
///
/// Needs [`Harness::has_constraints`]. Returns whether it ran.
pub async fn strategies_match_the_model(
    harness: &dyn Harness,
    seeds: impl IntoIterator<Item = u64>,
) -> bool {
    if !harness.has_constraints() {
        return false;
    }
    run_seeds(seeds, false, async |case| run(harness, case).await.map(drop)).await;
    true
}

/// Promises 4 and 5: among random rows, those that the model refuses are rejected, for the
/// model's reason, and all others are written. A case a seed.
///
/// Needs [`Harness::has_constraints`]. Returns whether it ran.
pub async fn refusals_match_the_model(
    harness: &dyn Harness,
    seeds: impl IntoIterator<Item = u64>,
) -> bool {
    if !harness.has_constraints() {
        return false;
    }
    run_seeds(seeds, true, async |case| run(harness, case).await.map(drop)).await;
    true
}

/// Promise 5: the same random requests, some of them refused, leave the same rows in each of these
/// databases, and those that the model says. A case a seed; half of them hold rows that are
/// refused.
pub async fn the_same_rows(harnesses: &[&dyn Harness], seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        run_seeds([seed], seed % 2 == 1, async |case| run_on_all(harnesses, case).await).await;
    }
}
