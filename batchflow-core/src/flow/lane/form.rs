//! From waiting rows to a batch, and back when it has landed.

use tokio::time::Instant;

use super::row::Row;
use super::{Allowance, BatchLimits, ClaimNumber, FlightNumber, Formed, Held, Lane};
use crate::batch::Batch;
use crate::request::Request;
use crate::schema::ConflictStrategy;

impl Lane {
    /// Forms a batch of a shape that is due; `None` where every row of it must wait.
    pub(in crate::flow) fn form(&mut self, shape: usize, limits: &BatchLimits) -> Option<Formed> {
        let flight = self.flight();
        let mut picked = if self.serial.is_some() {
            self.pick_serial(limits)
        } else {
            self.pick(shape, flight, limits)
        };
        let columns = self.request(*picked.first()?)?.set_columns().collect();
        let fails = self.schema.strategy() == ConflictStrategy::Fail;
        let distinct = !fails && self.serial.is_none();
        if distinct {
            self.sort_by_key(&mut picked);
        }
        let mut since: Option<Instant> = None;
        let mut requests = Vec::with_capacity(picked.len());
        let mut rows = Vec::with_capacity(picked.len());
        for at in picked {
            let Some(row) = self.rows[at as usize].take() else { continue };
            self.free.push(at);
            self.waiting -= 1;
            self.shapes[row.shape as usize].members -= 1;
            since = Some(since.map_or(row.since, |oldest| oldest.min(row.since)));
            let Some((request, sent)) = row.send() else { continue };
            requests.push(request);
            rows.push(sent);
        }
        if self.coalescer.is_some() {
            self.merge_keys.retain(|_, at| self.rows[*at as usize].is_some());
        }
        self.flights += 1;
        Some(Formed {
            batch: Batch::assemble(self.schema.clone(), columns, requests, distinct),
            rows,
            since: since?,
            flight,
        })
    }

    /// A number that no batch in flight has.
    fn flight(&mut self) -> FlightNumber {
        self.next_flight = self.next_flight.wrapping_add(1);
        FlightNumber::new(self.next_flight).unwrap_or(FlightNumber::MIN)
    }

    fn request(&self, at: u32) -> Option<&Request> {
        self.rows[at as usize].as_ref()?.request()
    }

    fn sort_by_key(&self, picked: &mut [u32]) {
        let compare = |a: &u32, b: &u32| match (self.request(*a), self.request(*b)) {
            (Some(a), Some(b)) => self.rules.compare(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        if !picked.is_sorted_by(|a, b| compare(a, b).is_le()) {
            picked.sort_by(compare);
        }
    }

    fn pick(&mut self, shape: usize, flight: FlightNumber, limits: &BatchLimits) -> Vec<u32> {
        let expected = self.shapes[shape].rows.min(limits.rows);
        let mut picked = Vec::with_capacity(expected);
        let mut room = Room::new(limits);
        let parameters = self.shapes[shape].columns.count();
        let mut held_back = false;
        while let Some((at, turn)) = self.shapes[shape].line.pop_front() {
            let Some(row) = self.in_place(at, turn, shape) else { continue };
            if self.is_held(row, flight) {
                self.hold_back(at);
                held_back = true;
                continue;
            }
            let (size, tracked, claim) = (row.size(), row.tracked, row.claim);
            let line = &mut self.shapes[shape];
            if !room.take(size, parameters) {
                line.line.push_front((at, turn));
                break;
            }
            line.rows -= 1;
            line.bytes -= size;
            line.tracked -= usize::from(tracked);
            if let Some(claim) = claim.and_then(|number| self.claims.get_mut(number)) {
                claim.ready -= 1;
                claim.flight = Some(flight);
                claim.leave(at);
            }
            picked.push(at);
        }
        if held_back {
            self.hold_back_all(shape, flight);
        }
        picked
    }

    /// Whether another batch has the row's key.
    fn is_held(&self, row: &Row, flight: FlightNumber) -> bool {
        let fails = self.schema.strategy() == ConflictStrategy::Fail;
        let claim = row.claim.and_then(|number| self.claims.get(number));
        let other = claim.and_then(|claim| claim.flight);
        other.is_some_and(|other| !(fails && other == flight))
    }

    /// Moves a row that was taken out of its line to the chain of its key.
    fn hold_back(&mut self, at: u32) {
        let rows = &self.rows;
        let Some(row) = &rows[at as usize] else { return };
        let line = &mut self.shapes[row.shape as usize];
        line.rows -= 1;
        line.bytes -= row.size();
        line.tracked -= usize::from(row.tracked);
        let Some(claim) = row.claim.and_then(|number| self.claims.get_mut(number)) else { return };
        claim.ready -= 1;
        let chain = claim.chain();
        let place = chain.partition_point(|&at| {
            let other = rows[at as usize].as_ref();
            other.is_some_and(|other| other.deciding.submission < row.deciding.submission)
        });
        chain.insert(place, at);
    }

    /// Moves all such rows of a line: none stays there before which another of its key waits in a
    /// chain.
    fn hold_back_all(&mut self, shape: usize, flight: FlightNumber) {
        let mut line = std::mem::take(&mut self.shapes[shape].line);
        line.retain(|&(at, turn)| {
            let Some(row) = self.in_place(at, turn, shape) else { return false };
            let held = self.is_held(row, flight);
            if held {
                self.hold_back(at);
            }
            !held
        });
        self.shapes[shape].line = line;
    }

    fn pick_serial(&mut self, limits: &BatchLimits) -> Vec<u32> {
        let mut picked = Vec::new();
        let mut room = Room::new(limits);
        let Some(line) = &mut self.serial else { return picked };
        let mut shape = None;
        while let Some(&at) = line.front() {
            if let Some(row) = self.rows[at as usize].as_ref() {
                let parameters = self.shapes[row.shape as usize].columns.count();
                let fits = *shape.get_or_insert(row.shape) == row.shape;
                if !fits || !room.take(row.size(), parameters) {
                    break;
                }
                picked.push(at);
            }
            line.pop_front();
        }
        picked
    }

    /// A batch has landed: its keys are free, and the next rows of each may line up.
    pub(in crate::flow) fn land(&mut self, flight: FlightNumber, claims: &[ClaimNumber]) {
        self.flights -= 1;
        let mut released: Vec<u32> = Vec::new();
        let fails = self.schema.strategy() == ConflictStrategy::Fail;
        for &number in claims {
            // Other rows of the key, in the same batch, may have ended the claim.
            let claim = self.claims.get_mut(number);
            let Some(claim) = claim.filter(|claim| claim.flight == Some(flight)) else { continue };
            claim.flight = None;
            if claim.ready == 0 && claim.has_chain() {
                while let Some(&at) = claim.chain().front() {
                    let Some(row) = &self.rows[at as usize] else {
                        claim.chain().pop_front();
                        continue;
                    };
                    let follows = fails && claim.shape == row.shape;
                    if claim.ready > 0 && !follows {
                        break;
                    }
                    claim.ready += 1;
                    claim.shape = row.shape;
                    released.push(at);
                    claim.chain().pop_front();
                }
            }
            self.claims.end(number);
        }
        // They are older than those in line, and keep their own order.
        released
            .sort_by_key(|&at| self.rows[at as usize].as_ref().map(|row| row.deciding.submission));
        for at in released.into_iter().rev() {
            self.enter_line(at, true);
        }
        if self.is_idle() {
            self.serial = None;
            self.merge_keys.clear();
        }
    }

    /// Batches were aborted: they will not land.
    pub(in crate::flow) fn abandon_flights(&mut self) {
        self.flights = 0;
    }

    /// Takes every waiting row out, in submission order: the flow stops.
    pub(in crate::flow) fn sweep(&mut self) -> Vec<Held> {
        let rows = std::mem::take(&mut self.rows).into_iter().flatten();
        let mut held: Vec<Held> = rows
            .flat_map(|row| {
                let others = row.merges.into_iter().flat_map(|merges| merges.into_others());
                others.chain([row.deciding])
            })
            .collect();
        held.sort_by_key(|held| held.submission);
        self.free.clear();
        self.shapes.clear();
        self.claims.clear();
        self.merge_keys.clear();
        self.serial = None;
        self.waiting = 0;
        held
    }

    /// Takes every waiting row out, to be added again to a lane that knows the table better. Only
    /// while nothing is in flight, since the claims go.
    pub(in crate::flow) fn reopen(&mut self, allowance: Allowance<'_>) -> Vec<(Held, Instant)> {
        let mut combined = 0;
        for row in self.rows.iter_mut().flatten() {
            let bytes = row.combined_bytes();
            row.deciding.bytes -= bytes;
            combined += bytes;
        }
        if combined > 0 {
            allowance.shrink(combined);
        }
        let oldest = self.rows.iter().flatten().map(|row| row.since).min();
        let held = self.sweep();
        held.into_iter().filter_map(|held| Some((held, oldest?))).collect()
    }
}

/// What is left of a batch's limits.
struct Room {
    rows: usize,
    bytes: usize,
    parameters: usize,
    empty: bool,
}

impl Room {
    fn new(limits: &BatchLimits) -> Self {
        let BatchLimits { rows, bytes, parameters } = *limits;
        Self { rows, bytes, parameters, empty: true }
    }

    /// Takes a row in; a row larger than a whole batch may be, goes alone.
    fn take(&mut self, bytes: usize, parameters: usize) -> bool {
        let fits = self.rows > 0 && bytes <= self.bytes && parameters <= self.parameters;
        if !fits && !self.empty {
            return false;
        }
        self.empty = false;
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.parameters = self.parameters.saturating_sub(parameters);
        true
    }
}
