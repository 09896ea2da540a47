//! Merging a new row into one of its key that still waits.

use super::{Allowance, ClaimNumber, Held, Lane, Merges};
use crate::coalesce::{Coalescer, Key, Merged};
use crate::flow::merge::Plan;
use crate::request::Request;
use crate::unwind::catch;

/// So many places more than twice its rows a line may have, before the void ones are cleared.
const VOIDS: usize = 64;

impl Lane {
    pub(super) fn own_key(&self, request: &Request) -> Option<Key> {
        let coalescer = self.coalescer.as_ref().filter(|_| self.merging)?;
        catch(|| coalescer.key(request)).ok().flatten()
    }

    /// Merges the row into a waiting one of its key; gives it back where that cannot be.
    pub(super) fn merge(
        &mut self,
        claim: Option<ClaimNumber>,
        mut held: Held,
        own_key: Option<Key>,
        allowance: Allowance<'_>,
    ) -> Option<(Held, Option<Key>)> {
        let candidate = if self.coalescer.is_some() {
            own_key.as_ref().and_then(|key| self.merge_keys.get(key).copied())
        } else {
            claim.and_then(|claim| self.newest(claim))
        };
        let Some(at) = candidate.filter(|_| self.merging) else { return Some((held, own_key)) };
        let (Some(row), Some(newer)) = (self.rows[at as usize].as_ref(), held.request.as_ref())
        else {
            return Some((held, own_key));
        };
        let Some(kept) = row.request() else { return Some((held, own_key)) };
        let plan = match &self.coalescer {
            // An older row of the key may only stand for a newer one if none stands between.
            Some(_)
                if claim.is_some_and(|own| row.claim != claim || self.newest(own) != Some(at)) =>
            {
                Plan::Separate
            }
            Some(coalescer) => self.ask(&**coalescer, kept, newer),
            None if !self.rules.same(kept, newer) => Plan::Separate,
            None => self.merger.plan(kept, newer),
        };
        let (before, after) = match &plan {
            Plan::Keep | Plan::Separate => (0, 0),
            Plan::Replace => (row.combined_bytes(), 0),
            Plan::Combine(request) => (row.combined_bytes(), request.size_bytes()),
        };
        if after > before && !allowance.grow(after - before) {
            return Some((held, own_key));
        }
        let shape = match &plan {
            Plan::Separate => return Some((held, own_key)),
            Plan::Keep => None,
            Plan::Replace => held.request.take().map(|request| {
                let shape = self.shape(&request);
                held.request = Some(request);
                shape
            }),
            Plan::Combine(request) => Some(self.shape(request)),
        };
        self.absorb(at, held, plan, shape);
        if before > after {
            allowance.shrink(before - after);
        }
        None
    }

    /// The newest waiting row of a key.
    fn newest(&self, claim: ClaimNumber) -> Option<u32> {
        self.claims.get(claim)?.newest()
    }

    fn ask(&self, coalescer: &dyn Coalescer, kept: &Request, newer: &Request) -> Plan {
        let mut merged = kept.clone();
        let answer = catch(|| coalescer.merge(&mut merged, newer));
        match answer {
            Ok(Merged::Keep) => Plan::Keep,
            Ok(Merged::Replace) => Plan::Replace,
            // A row that changed its key would take another row's place in the order, and one that
            // could not have been submitted would be refused with the rest of its batch.
            Ok(Merged::Merged)
                if merged.schema() == kept.schema()
                    && merged.fault().is_none()
                    && self.rules.same(kept, &merged) =>
            {
                Plan::Combine(merged)
            }
            _ => Plan::Separate,
        }
    }

    /// Changes the waiting row at `at` to stand for itself and for `held`.
    fn absorb(&mut self, at: u32, mut held: Held, plan: Plan, shape: Option<usize>) {
        let (in_line, turn) = (self.in_line(at), self.turn());
        let Some(row) = self.rows[at as usize].as_mut() else { return };
        let (old_size, old_shape, was_tracked) = (row.size(), row.shape as usize, row.tracked);
        row.tracked |= held.reply.is_some();
        let (combined, other) = match plan {
            Plan::Keep | Plan::Separate => (None, held),
            Plan::Replace => {
                row.deciding.bytes -= row.combined_bytes();
                row.merges.iter_mut().for_each(|merges| merges.combined = None);
                (None, std::mem::replace(&mut row.deciding, held))
            }
            Plan::Combine(request) => {
                row.deciding.bytes -= row.combined_bytes();
                held.bytes += request.size_bytes();
                (Some(request), std::mem::replace(&mut row.deciding, held))
            }
        };
        match &mut row.merges {
            Some(merges) => {
                merges.more.push(other);
                merges.combined = combined.or(merges.combined.take());
            }
            none => *none = Some(Box::new(Merges { combined, first: other, more: Vec::new() })),
        }
        let shape = shape.unwrap_or(old_shape);
        row.shape = shape as u32;
        let (size, tracked, claim) = (row.size(), row.tracked, row.claim);
        let moved = shape != old_shape;
        if moved {
            row.turn = turn;
            self.shapes[old_shape].members -= 1;
            self.shapes[shape].members += 1;
        }
        if !in_line {
            return;
        }
        let old = &mut self.shapes[old_shape];
        old.rows -= 1;
        old.bytes -= old_size;
        old.tracked -= usize::from(was_tracked);
        if !moved {
            old.rows += 1;
            old.bytes += size;
            old.tracked += usize::from(tracked);
            return;
        }
        if old.line.len() > 2 * old.rows + VOIDS {
            self.clear_line(old_shape);
        }
        if let Some(claim) = claim.and_then(|number| self.claims.get_mut(number)) {
            claim.shape = shape as u32;
        }
        self.enter_line(at, true);
    }

    /// Forgets the places of rows that have left a shape's line.
    fn clear_line(&mut self, shape: usize) {
        let mut line = std::mem::take(&mut self.shapes[shape].line);
        line.retain(|&(at, turn)| self.in_place(at, turn, shape).is_some());
        self.shapes[shape].line = line;
    }

    /// Whether a waiting row stands in line rather than in its key's chain.
    fn in_line(&self, at: u32) -> bool {
        let claim = self.rows[at as usize].as_ref().and_then(|row| row.claim);
        let claim = claim.and_then(|number| self.claims.get(number));
        claim.is_none_or(|claim| !claim.is_in_chain(at))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use crate::driver::TableInfo;
    use crate::schema::{ConflictStrategy, Schema};

    use super::*;

    #[test]
    fn promise_6_rows_that_take_on_more_columns_leave_no_places_behind() {
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "a", "b"]).unwrap();
        let mut lane = Lane::new(schema.clone(), &TableInfo::unchecked(&schema), true, None);
        let mut submission = 0;
        for id in 0..5_000_i64 {
            for column in ["a", "b"] {
                let request = Request::new(&schema).set("id", id).set(column, 1_i64);
                let (key, bytes) = (lane.key_of(&request), request.size_bytes());
                let held = Held { request: Some(request), reply: None, submission, bytes };
                lane.add(held, key, Instant::now(), Allowance::Free);
                submission += 1;
            }
        }
        let rows: usize = lane.shapes.iter().map(|shape| shape.rows).sum();
        let places: usize = lane.shapes.iter().map(|shape| shape.line.len()).sum();
        assert_eq!((rows, lane.shapes.len()), (5_000, 2));
        assert!(places <= 2 * rows + 2 * VOIDS, "{places}");
        assert_eq!(lane.shapes.iter().filter(|shape| shape.line.len() <= VOIDS).count(), 1);
    }
}
