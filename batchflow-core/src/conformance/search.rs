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

/// Beyond so many states at once a history is too tangled to judge: the test has too many rows of
/// one key in doubt.
const MOST_STATES: usize = 200_000;

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

/// Searches, applied row by applied row, all states that the rows of one key may have led to.
pub(super) fn check_key(
    entries: &[Entry],
    of_key: &[usize],
    table: &Table,
    found: &[&Row],
) -> Result<(), Violation> {
    let expected: Vec<Row> = found.iter().map(|row| (*row).clone()).collect();
    let ops: Vec<&Entry> =
        of_key.iter().map(|&at| &entries[at]).filter(|entry| doubt(entry) != Doubt::Not).collect();
    let before: Vec<Vec<usize>> = ops.iter().map(|op| predecessors(op, &ops)).collect();
    let start = State { done: vec![0; ops.len().div_ceil(64)], rows: Vec::new() };
    let mut states = HashSet::from([Fingerprint::of(start)]);
    for _ in 0..ops.len() {
        let mut next = HashSet::new();
        for state in &states {
            for (at, op) in ops.iter().enumerate() {
                let free = !state.0.has(at) && before[at].iter().all(|&other| state.0.has(other));
                if free {
                    successors(&state.0, at, op, table, &mut next);
                }
            }
        }
        states = next;
        if states.len() > MOST_STATES {
            return Err(Violation("too many rows of one key are in doubt to judge".to_owned()));
        }
    }
    if states.iter().any(|state| same_rows(&state.0.rows, &expected, &ops, table)) {
        return Ok(());
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

struct State {
    done: Vec<u64>,
    rows: Vec<Row>,
}

impl State {
    fn has(&self, at: usize) -> bool {
        self.done[at / 64] >> (at % 64) & 1 == 1
    }
}

/// A state that compares by what is done and by what the rows are to the table.
struct Fingerprint(State, Vec<Option<Vec<u8>>>);

impl Fingerprint {
    fn of(state: State) -> Self {
        let cells = state.rows.iter().flatten();
        let cells = cells.map(|value| identity(Comparison::Natural, value)).collect();
        Self(state, cells)
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.done == other.0.done && self.1 == other.1
    }
}

impl Eq for Fingerprint {}

impl std::hash::Hash for Fingerprint {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.done.hash(state);
        self.1.hash(state);
    }
}

fn successors(
    state: &State,
    at: usize,
    op: &Entry,
    table: &Table,
    next: &mut HashSet<Fingerprint>,
) {
    let mut done = state.done.clone();
    done[at / 64] |= 1 << (at % 64);
    let mut model = Model::with_rows(table, state.rows.clone());
    let applied = model.apply(&op.request);
    if applied.is_ok() {
        let rows = model.into_rows();
        next.insert(Fingerprint::of(State { done: done.clone(), rows }));
    }
    if doubt(op) != Doubt::Applied {
        next.insert(Fingerprint::of(State { done, rows: state.rows.clone() }));
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
