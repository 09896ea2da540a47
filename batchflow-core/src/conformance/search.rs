//! Searches the orders in which the rows of one key may have been applied.

use std::collections::HashSet;

use crate::driver::Comparison;
use crate::testing::Table;
use crate::testing::store::identity;
use crate::value::Value;

use super::history::{Entry, Fate, Violation};
use super::model::{Model, TOUCHED};
use super::show::unexplained;

type Row = Vec<Value>;

/// Beyond so many states a history is too tangled to judge: the test has too many rows of one key
/// in doubt.
const MOST_STATES: usize = 50_000;

/// What must, may and must not have been applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    Applied,
    /// Applied in its turn, or not at all.
    Perhaps,
    /// Applied in its turn, later, or not at all.
    PerhapsLate,
    Not,
}

pub(super) fn doubt(entry: &Entry) -> Doubt {
    match (entry.queued, entry.fate) {
        (_, Some(Fate::Written | Fate::Superseded | Fate::Applied)) => Doubt::Applied,
        (None, _) | (_, Some(Fate::Rejected(_) | Fate::NotSent | Fate::Returned)) => Doubt::Not,
        (_, Some(Fate::StillRunning)) => Doubt::PerhapsLate,
        (_, Some(Fate::Unknown | Fate::Abandoned) | None) => Doubt::Perhaps,
    }
}

/// Searches for an order of one key's rows that leaves what was found.
pub(super) fn check_key(
    entries: &[Entry],
    of_key: &[usize],
    table: &Table,
    found: &[&Row],
) -> Result<(), Violation> {
    let expected: Vec<Row> = found.iter().map(|row| (*row).clone()).collect();
    let mut ops: Vec<&Entry> =
        of_key.iter().map(|&at| &entries[at]).filter(|entry| doubt(entry) != Doubt::Not).collect();
    let mut before: Vec<Vec<usize>> = ops.iter().map(|op| predecessors(op, &ops)).collect();
    // Applied, its answer lost, a row that may be repeated is; and the repetition may be late.
    for at in 0..ops.len() {
        let op = ops[at];
        if doubt(op) == Doubt::PerhapsLate && op.request.schema().is_idempotent() {
            ops.push(op);
            before.push(vec![at]);
        }
    }
    let mut seen = HashSet::new();
    // The next to look at stands last: depth first, the likeliest first.
    let mut todo = vec![State { done: vec![0; ops.len().div_ceil(64)], model: Model::new(table) }];
    while let Some(state) = todo.pop() {
        if !seen.insert(state.fingerprint()) {
            continue;
        }
        if seen.len() > MOST_STATES {
            return Err(Violation::undecided("too many rows of one key are in doubt to judge"));
        }
        let left = |at: &usize| !state.has(*at);
        let over = (0..ops.len()).filter(left).all(|at| doubt(ops[at]) == Doubt::PerhapsLate);
        if over && same_rows(state.model.rows(), &expected, &ops, table) {
            return Ok(());
        }
        let free = |at: &usize| before[*at].iter().all(|&other| state.has(other));
        let (late, in_turn): (Vec<usize>, Vec<usize>) = (0..ops.len())
            .filter(left)
            .filter(free)
            .partition(|&at| doubt(ops[at]) == Doubt::PerhapsLate);
        for at in late.into_iter().chain(in_turn.into_iter().rev()) {
            if doubt(ops[at]) == Doubt::Perhaps {
                todo.push(state.with(at));
            }
            let mut applied = state.with(at);
            if applied.model.apply(&ops[at].request).is_ok() {
                todo.push(applied);
            }
        }
    }
    Err(unexplained(entries, of_key, expected.iter()))
}

/// The rows that must have been done with before this one: of its schema, submitted before, and
/// not perhaps late.
fn predecessors(op: &Entry, ops: &[&Entry]) -> Vec<usize> {
    let earlier = ops.iter().enumerate().filter(|(_, other)| {
        other.request.schema() == op.request.schema()
            && other.queued.is_some_and(|queued| queued < op.began)
            && doubt(other) != Doubt::PerhapsLate
    });
    earlier.map(|(at, _)| at).collect()
}

/// Which rows are done with, and what they left.
#[derive(Clone)]
struct State {
    done: Vec<u64>,
    model: Model,
}

/// What makes two states one: what is done, and what the rows are to the table.
type Fingerprint = (Vec<u64>, Vec<Option<Vec<u8>>>);

impl State {
    fn has(&self, at: usize) -> bool {
        self.done[at / 64] >> (at % 64) & 1 == 1
    }

    /// The same rows, and one more done with.
    fn with(&self, at: usize) -> Self {
        let mut next = self.clone();
        next.done[at / 64] |= 1 << (at % 64);
        next
    }

    fn fingerprint(&self) -> Fingerprint {
        let cells = self.model.rows().iter().flatten();
        let cells = cells.map(|value| identity(Comparison::Natural, value));
        (self.done.clone(), cells.collect())
    }
}

/// Whether the model's rows and the table's are the same but for the server's clock.
pub(super) fn same_rows(model: &[Row], table_rows: &[Row], ops: &[&Entry], table: &Table) -> bool {
    let touched: HashSet<usize> = ops
        .iter()
        .filter_map(|op| {
            let schema = op.request.schema();
            table.position(schema.column(schema.touch()?))
        })
        .collect();
    let same = |(at, (a, b)): (usize, (&Value, &Value))| {
        let clock = touched.contains(&at) && *a == TOUCHED && !b.is_null();
        clock || a.is_null() && b.is_null() || {
            let (a, b) = (identity(Comparison::Natural, a), identity(Comparison::Natural, b));
            a.is_some() && a == b
        }
    };
    model.len() == table_rows.len()
        && model
            .iter()
            .zip(table_rows)
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).enumerate().all(same))
}
