//! Judges a [`History`](super::History): is there an order of the applied rows that explains what
//! the table holds?

use std::collections::BTreeMap;

use crate::request::Request;
use crate::schema::Schema;
use crate::testing::Table;
use crate::testing::store::{identity, store};
use crate::value::Value;

use super::history::{Entry, Violation};
use super::model::Model;
use super::search::{Doubt, check_key, doubt, same_rows};
use super::show::{describe, unexplained};

type Row = Vec<Value>;
type KeyBytes = Vec<Vec<u8>>;

/// Submission numbers follow the order of the submits.
pub(super) fn check_numbers(entries: &[Entry]) -> Result<(), Violation> {
    let mut numbered: Vec<(usize, &Entry)> =
        entries.iter().enumerate().filter(|(_, entry)| entry.submission.is_some()).collect();
    numbered.sort_by_key(|(_, entry)| entry.submission);
    for pair in numbered.windows(2) {
        let [(a, earlier), (b, later)] = pair else { continue };
        let twice = earlier.submission == later.submission;
        if twice || later.queued.is_some_and(|queued| queued < earlier.began) {
            let shown = describe(*a, earlier) + &describe(*b, later);
            let why = "promise 3: submission numbers do not follow the submits";
            return Err(Violation::new(format!("{why}\n{shown}")));
        }
    }
    Ok(())
}

/// Some order of the applied rows explains the table.
pub(super) fn check_table(entries: &[Entry], table: &Table, rows: &[Row]) -> Result<(), Violation> {
    let mut keys: BTreeMap<KeyBytes, (Vec<usize>, Vec<&Row>)> = BTreeMap::new();
    let mut keyless = (Vec::new(), Vec::new());
    let Some(first) = entries.iter().find(|entry| is_of(entry, table)) else {
        return if rows.is_empty() { Ok(()) } else { Err(unexplained(entries, &[], rows.iter())) };
    };
    let key = key_positions(first.request.schema(), table);
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| is_of(entry, table)) {
        match request_key(&entry.request, table) {
            Some(key) => keys.entry(key).or_default().0.push(at),
            None => keyless.0.push(at),
        }
    }
    for row in rows {
        match row_key(row, &key, table) {
            Some(key) => keys.entry(key).or_default().1.push(row),
            None => keyless.1.push(row),
        }
    }
    for (of_key, found) in keys.values() {
        check_key(entries, of_key, table, found)?;
    }
    check_keyless(entries, &keyless.0, table, &keyless.1)
}

fn is_of(entry: &Entry, table: &Table) -> bool {
    entry.request.schema().table().to_string() == table.name()
}

fn key_positions(schema: &Schema, table: &Table) -> Vec<Option<usize>> {
    schema.key().iter().map(|&at| table.position(schema.column(at))).collect()
}

fn request_key(request: &Request, table: &Table) -> Option<KeyBytes> {
    let schema = request.schema();
    let mut parts = Vec::with_capacity(schema.key().len());
    for &at in schema.key() {
        let column = &table.columns()[table.position(schema.column(at))?];
        let stored = store(column, request.value(at)?).ok()?;
        parts.push(identity(column.compares(), &stored)?);
    }
    (!parts.is_empty()).then_some(parts)
}

fn row_key(row: &Row, key: &[Option<usize>], table: &Table) -> Option<KeyBytes> {
    let part = |at: &Option<usize>| identity(table.columns()[(*at)?].compares(), &row[(*at)?]);
    let parts: Option<KeyBytes> = key.iter().map(part).collect();
    parts.filter(|parts| !parts.is_empty())
}

/// Rows without a key are each inserted once: as many alike as were written, and at most as many
/// more as are in doubt.
fn check_keyless(
    entries: &[Entry],
    keyless: &[usize],
    table: &Table,
    found: &[&Row],
) -> Result<(), Violation> {
    let mut left: Vec<&Row> = found.to_vec();
    let mut take = |entry: &Entry| -> bool {
        let mut model = Model::new(table);
        if model.apply(&entry.request).is_err() {
            return false;
        }
        let wanted = model.into_rows();
        let at = left
            .iter()
            .position(|row| same_rows(&wanted, std::slice::from_ref(*row), &[entry], table));
        at.map(|at| left.swap_remove(at)).is_some()
    };
    for applied in [Doubt::Applied, Doubt::Perhaps, Doubt::PerhapsLate] {
        for &at in keyless.iter().filter(|&&at| doubt(&entries[at]) == applied) {
            if !take(&entries[at]) && applied == Doubt::Applied {
                let none: [&Row; 0] = [];
                return Err(unexplained(entries, &[at], none.into_iter()));
            }
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(unexplained(entries, keyless, left.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::super::history::{Fate, History};
    use super::*;
    use crate::driver::ErrorKind;
    use crate::schema::{ConflictStrategy, Merge};

    fn counter() -> Schema {
        Schema::builder("t")
            .columns(["id", "name", "hits"])
            .key(["id"])
            .on_conflict(ConflictStrategy::Update)
            .merge("hits", Merge::Add)
            .build()
            .unwrap()
    }

    /// Names and fates, the row that the table holds, whether the one explains the other.
    type Case = (&'static [(&'static str, Fate)], Option<(&'static str, i64)>, bool);

    /// Submits of key 1 one after the other, each with a name and its fate.
    fn history(rows: &[(&str, Fate)]) -> History {
        let history = History::new();
        for (name, fate) in rows {
            let entry = history.begin(&counter().row((1_i64, *name, 1_i64)).unwrap());
            history.queued(entry, None);
            history.settled(entry, *fate);
        }
        history
    }

    #[test]
    fn promise_3_a_table_is_explained_by_the_verdicts_or_the_history_is_broken() {
        use Fate::{NotSent, Rejected, Returned, StillRunning, Superseded, Unknown, Written};
        const REFUSED: Fate = Rejected(ErrorKind::Data);
        let cases: [Case; 15] = [
            (&[("a", Written), ("b", Written)], Some(("b", 2)), true),
            (&[("a", Written), ("b", Written)], Some(("a", 2)), false),
            (&[("a", Superseded), ("b", Written)], Some(("b", 1)), false),
            (&[("a", Written), ("b", REFUSED)], Some(("a", 1)), true),
            (&[("a", Written), ("b", REFUSED)], Some(("b", 2)), false),
            (&[("a", Written), ("b", Unknown)], Some(("a", 1)), true),
            (&[("a", Written), ("b", Unknown)], Some(("b", 2)), true),
            (&[("a", Unknown), ("b", Written)], Some(("a", 2)), false),
            (&[("a", StillRunning), ("b", Written)], Some(("a", 2)), true),
            (&[("a", StillRunning), ("b", Written)], Some(("b", 2)), true),
            (&[("a", StillRunning), ("b", Written)], Some(("a", 1)), false),
            (&[("a", Written)], None, false),
            (&[("a", NotSent), ("b", Returned)], None, true),
            (&[("a", NotSent)], Some(("a", 1)), false),
            (&[("a", Written), ("b", Written)], Some(("b", 3)), false),
        ];
        for (rows, found, clean) in cases {
            let row = |(name, hits)| vec![Value::I64(1), Value::from(name), Value::I64(hits)];
            let table: Vec<Row> = found.map(row).into_iter().collect();
            let judged = history(rows).check_table(&Table::of(&counter()), &table);
            assert_eq!(judged.is_ok(), clean, "{rows:?} {found:?} {judged:?}");
        }
    }

    #[test]
    fn overlapping_submits_may_be_applied_in_either_order() {
        let history = History::new();
        let row = |name| counter().row((1_i64, name, 1_i64)).unwrap();
        let (a, b) = (history.begin(&row("a")), history.begin(&row("b")));
        for entry in [b, a] {
            history.queued(entry, None);
            history.settled(entry, Fate::Written);
        }
        for name in ["a", "b"] {
            let found = [vec![Value::I64(1), Value::from(name), Value::I64(2)]];
            assert_eq!(history.check_table(&Table::of(&counter()), &found), Ok(()));
        }
    }

    #[test]
    fn promise_2_a_missing_or_second_verdict_is_told_with_its_row() {
        let lost = History::new();
        let entry = lost.begin(&counter().row((7_i64, "lost", 1_i64)).unwrap());
        lost.queued(entry, Some(1));
        let violation = lost.check_verdicts().unwrap_err().to_string();
        assert!(violation.contains("no verdict") && violation.contains("id=7"), "{violation}");
        lost.settled(entry, Fate::Written);
        assert_eq!(lost.check_verdicts(), Ok(()));
        lost.settled(entry, Fate::Written);
        assert!(lost.check_verdicts().is_err());
    }

    #[test]
    fn rows_without_a_key_are_counted() {
        let log = Schema::builder("log").columns(["line"]).build().unwrap();
        let history = History::new();
        for fate in [Fate::Written, Fate::Written, Fate::Unknown, Fate::NotSent] {
            let entry = history.begin(&log.row(("x",)).unwrap());
            history.queued(entry, None);
            history.settled(entry, fate);
        }
        for rows in 0..6 {
            let found = vec![vec![Value::from("x")]; rows];
            let judged = history.check_table(&Table::of(&log), &found);
            assert_eq!(judged.is_ok(), (2..=3).contains(&rows), "{rows}");
        }
    }
}
