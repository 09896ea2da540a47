//! Which rows can no longer be tried without breaking the order of their key.

use std::collections::HashSet;

use crate::batch::Batch;
use crate::driver::{TableInfo, Verdict};
use crate::key::{KeyRules, RowKey};
use crate::schema::ConflictStrategy;

/// Takes out of `again`, which ascends, the rows that may not be sent once more.
///
/// Only a batch that may hold two rows of one key, written by a driver that applies some rows
/// and not others, has any: an earlier row must not follow a later one of its key that may have
/// been applied, and nothing may overtake an attempt that may still be running.
pub(crate) fn keep_in_order(batch: &Batch, verdicts: &[Verdict], again: &mut Vec<usize>) {
    if again.is_empty() || again.len() == verdicts.len() || batch.has_distinct_keys() {
        return;
    }
    if verdicts.iter().any(is_still_running) {
        again.clear();
        return;
    }
    let schema = batch.schema();
    if schema.key().is_empty() {
        return;
    }
    // Keys stand undeclared in a plain insert's batch, where values compare by their own kinds;
    // in any other batch because only the database can compare them.
    let opaque = schema.strategy() != ConflictStrategy::Fail;
    let mut rules = KeyRules::new(schema, &TableInfo::unchecked(schema));
    let mut later = HashSet::new();
    let mut later_opaque = false;
    let mut candidates = again.iter().rev().copied().peekable();
    let mut overtaken = HashSet::new();
    for row in (0..batch.len()).rev() {
        let key = match batch.request(row) {
            Some(request) if !opaque => rules.key_of(request),
            _ => RowKey::Opaque,
        };
        if candidates.next_if_eq(&row).is_some() {
            let passed = match key {
                RowKey::None => false,
                RowKey::Hash(hash) => later_opaque || later.contains(&hash),
                RowKey::Opaque => later_opaque || !later.is_empty(),
            };
            if passed {
                overtaken.insert(row);
            }
        } else if matches!(verdicts[row], Verdict::Written | Verdict::Unknown(_)) {
            match key {
                RowKey::None => {}
                RowKey::Hash(hash) => drop(later.insert(hash)),
                RowKey::Opaque => later_opaque = true,
            }
        }
    }
    again.retain(|row| !overtaken.contains(row));
}

pub(super) fn is_still_running(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unknown(error) if error.is_still_running())
}
