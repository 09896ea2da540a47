//! A lane: the waiting rows of one schema, in order, merged by key, ready to become batches.
//!
//! Every key that waits or is in flight has a *claim*. At most one batch in flight holds a key;
//! a row whose key is held, or that must follow another row of its key, waits in the claim's
//! chain until it is its turn. A lane whose keys only the database can compare is *serial*: one
//! batch at a time, in submission order.

use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroU64};

mod absorb;
mod claims;
mod form;
mod row;

pub(super) use claims::ClaimNumber;
pub(super) use row::{Held, Sent};

use hashbrown::HashMap;
use tokio::time::Instant;

use super::merge::Merger;
use super::queue::Queue;
use crate::batch::Batch;
use crate::coalesce::{Coalescer, Key};
use crate::driver::TableInfo;
use crate::key::{KeyRules, RowKey};
use crate::metrics::Trigger;
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use claims::Claims;
use row::{Merges, Row};

/// Where a lane gets room for the rows that it makes of others.
#[derive(Clone, Copy)]
pub(super) enum Allowance<'a> {
    /// From a schema's share of the buffer.
    Of(&'a Queue, u32),
    /// There is no bound: the rows are not held for long.
    Free,
}

impl Allowance<'_> {
    fn grow(self, bytes: usize) -> bool {
        match self {
            Self::Of(queue, slot) => queue.grow(slot, bytes),
            Self::Free => true,
        }
    }

    fn shrink(self, bytes: usize) {
        if let Self::Of(queue, slot) = self {
            queue.shrink(slot, bytes);
        }
    }
}

/// The hash of a key. Rows of one key have one; two keys with one hash only wait for each other.
pub(super) type KeyHash = NonZeroU64;

/// A batch in flight, by its number in its lane.
pub(super) type FlightNumber = NonZeroU32;

/// A batch about to fly.
pub(super) struct Formed {
    pub(super) batch: Batch,
    pub(super) rows: Vec<Sent>,
    pub(super) since: Instant,
    pub(super) flight: FlightNumber,
}

/// The most that a batch may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) parameters: usize,
}

/// What makes a batch due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// Rows at least this old go; `None`: none is so old.
    pub(super) before: Option<Instant>,
    /// Rows submitted before this number go.
    pub(super) flush_upto: u64,
    /// Everything goes: the flow closes, or submitters wait for room.
    pub(super) all: bool,
    /// The flow closes.
    pub(super) closes: bool,
    pub(super) limits: BatchLimits,
}

impl Due {
    /// Whether a row of this age goes.
    fn is_old(&self, since: Instant) -> bool {
        self.before.is_some_and(|before| since <= before)
    }
}

/// Rows that set the same columns, in the order they may go.
struct Shape {
    columns: Columns,
    line: VecDeque<(u32, u32)>,
    /// Rows in line, their bytes, and how many of them are tracked.
    rows: usize,
    bytes: usize,
    tracked: usize,
    /// Rows of this shape, in line or in chains.
    members: usize,
    /// The line's first row may not be its oldest.
    disordered: bool,
}

/// Which columns a row sets, as bits.
#[derive(Clone, Debug)]
struct Columns {
    low: u64,
    high: Box<[u64]>,
}

impl PartialEq for Columns {
    fn eq(&self, other: &Self) -> bool {
        // Few schemas have more than 64 columns: the others need not compare two empty slices.
        self.low == other.low
            && self.high.len() == other.high.len()
            && (self.high.is_empty() || self.high == other.high)
    }
}

impl Columns {
    fn of(request: &Request) -> Self {
        let low = request.first_set();
        let mut high = vec![0; request.schema().width().saturating_sub(1) / 64];
        if !high.is_empty() {
            for column in request.set_columns().filter(|column| *column >= 64) {
                high[column / 64 - 1] |= 1 << (column % 64);
            }
        }
        Self { low, high: high.into() }
    }

    fn count(&self) -> usize {
        let words = self.high.iter().chain([&self.low]);
        words.map(|word| word.count_ones() as usize).sum()
    }
}

pub(super) struct Lane {
    schema: Schema,
    rules: KeyRules,
    merger: Merger,
    merging: bool,
    coalescer: Option<std::sync::Arc<dyn Coalescer>>,
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    shapes: Vec<Shape>,
    last_shape: usize,
    claims: Claims,
    /// Waiting rows by the coalescer's own keys.
    merge_keys: HashMap<Key, u32>,
    /// Submission order, where only the database can compare the keys.
    serial: Option<VecDeque<u32>>,
    flights: usize,
    next_flight: u32,
    /// Every place in a line has a number of its own, so that a void one is never taken for that
    /// of a row which has come to the same slot since.
    next_turn: u32,
    waiting: usize,
}

impl Lane {
    pub(super) fn new(
        schema: Schema,
        table: &TableInfo,
        merging: bool,
        coalescer: Option<std::sync::Arc<dyn Coalescer>>,
    ) -> Self {
        Self {
            rules: KeyRules::new(&schema, table),
            merger: Merger::new(&schema, table),
            merging: merging && schema.strategy() != ConflictStrategy::Fail,
            schema,
            coalescer,
            rows: Vec::new(),
            free: Vec::new(),
            shapes: Vec::new(),
            last_shape: 0,
            claims: Claims::default(),
            merge_keys: HashMap::new(),
            serial: None,
            flights: 0,
            next_flight: 0,
            next_turn: 0,
            waiting: 0,
        }
    }

    /// Whether nothing waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0 && self.flights == 0
    }

    /// The key of the next row in submission order.
    #[inline]
    pub(super) fn key_of(&mut self, request: &Request) -> RowKey {
        self.rules.key_of(request)
    }

    /// Adds the next row in submission order.
    pub(super) fn add(
        &mut self,
        held: Held,
        key: RowKey,
        since: Instant,
        allowance: Allowance<'_>,
    ) {
        let Some(request) = &held.request else { return };
        if self.serial.is_some() || key == RowKey::Opaque {
            return self.add_serial(held, since);
        }
        let own_key = self.own_key(request);
        let claim = match key {
            RowKey::Hash(hash) => Some(self.claims.of(KeyHash::new(hash).unwrap_or(KeyHash::MIN))),
            RowKey::None | RowKey::Opaque => None,
        };
        let Some((held, own_key)) = self.merge(claim, held, own_key, allowance) else { return };
        let at = self.insert(held, claim, since);
        if let Some(key) = own_key {
            self.merge_keys.insert(key, at);
        }
        self.line_up(at);
    }

    fn insert(&mut self, held: Held, claim: Option<ClaimNumber>, since: Instant) -> u32 {
        let shape = held.request.as_ref().map_or(0, |request| self.shape(request));
        let turn = self.turn();
        let row = Row {
            tracked: held.reply.is_some(),
            deciding: held,
            merges: None,
            claim,
            since,
            shape: shape as u32,
            turn,
        };
        self.waiting += 1;
        self.shapes[shape].members += 1;
        match self.free.pop() {
            Some(at) => {
                self.rows[at as usize] = Some(row);
                at
            }
            None => {
                self.rows.push(Some(row));
                (self.rows.len() - 1) as u32
            }
        }
    }

    fn turn(&mut self) -> u32 {
        self.next_turn = self.next_turn.wrapping_add(1);
        self.next_turn
    }

    /// The place of the request's shape, made if need be in one that no row has any more.
    fn shape(&mut self, request: &Request) -> usize {
        let columns = Columns::of(request);
        let known = |shape: &Shape| shape.columns == columns;
        if self.shapes.get(self.last_shape).is_some_and(known) {
            return self.last_shape;
        }
        let fresh = Shape {
            columns: columns.clone(),
            line: VecDeque::new(),
            rows: 0,
            bytes: 0,
            tracked: 0,
            members: 0,
            disordered: false,
        };
        self.last_shape = if let Some(at) = self.shapes.iter().position(known) {
            at
        } else if let Some(at) = self.shapes.iter().position(|shape| shape.members == 0) {
            self.shapes[at] = fresh;
            at
        } else {
            self.shapes.push(fresh);
            self.shapes.len() - 1
        };
        self.last_shape
    }

    /// Puts a new row in line, or in the chain of its key.
    fn line_up(&mut self, at: u32) {
        let Some(row) = &self.rows[at as usize] else { return };
        let (shape, claim) = (row.shape, row.claim);
        let Some(claim) = claim.and_then(|number| self.claims.get_mut(number)) else {
            return self.enter_line(at, false);
        };
        let fails = self.schema.strategy() == ConflictStrategy::Fail;
        claim.set_newest(at);
        let unchained = !claim.has_chain();
        let first = claim.ready == 0 && claim.flight.is_none();
        let follows = fails && claim.ready > 0 && claim.shape == shape;
        if unchained && (first || follows) {
            claim.ready += 1;
            claim.shape = shape;
            self.enter_line(at, false);
        } else {
            claim.chain().push_back(at);
        }
    }

    /// Puts a row in its shape's line: at its end, or at its front if it was there before.
    fn enter_line(&mut self, at: u32, front: bool) {
        let Some(row) = &self.rows[at as usize] else { return };
        let disordered = front
            && self
                .front(row.shape as usize)
                .is_some_and(|other| other.first_submission() < row.first_submission());
        let shape = &mut self.shapes[row.shape as usize];
        shape.rows += 1;
        shape.bytes += row.size();
        shape.tracked += usize::from(row.tracked);
        shape.disordered = disordered || (shape.disordered && shape.rows > 1);
        let place = (at, row.turn);
        if front { shape.line.push_front(place) } else { shape.line.push_back(place) }
    }

    /// From here on only the database can tell rows apart: those that wait form one line.
    fn add_serial(&mut self, held: Held, since: Instant) {
        if self.serial.is_none() {
            let mut line: Vec<u32> = (0..self.rows.len() as u32)
                .filter(|&at| self.rows[at as usize].is_some())
                .collect();
            line.sort_by_key(|&at| {
                self.rows[at as usize].as_ref().map(|row| row.deciding.submission)
            });
            for shape in &mut self.shapes {
                (shape.rows, shape.bytes, shape.tracked) = (0, 0, 0);
                shape.line.clear();
            }
            self.claims.clear();
            self.merge_keys.clear();
            self.serial = Some(line.into());
        }
        let at = self.insert(held, None, since);
        if let Some(line) = &mut self.serial {
            line.push_back(at);
        }
    }

    /// The time of the oldest row that may go.
    pub(super) fn oldest(&self) -> Option<Instant> {
        if let Some(line) = &self.serial {
            let front = line.front().and_then(|&at| self.rows[at as usize].as_ref());
            return front.map(|row| row.since);
        }
        (0..self.shapes.len())
            .filter_map(|shape| self.oldest_of(shape))
            .map(|(since, _)| since)
            .min()
    }

    /// The time of the oldest row that a batch could start with now.
    pub(super) fn oldest_startable(&self) -> Option<Instant> {
        if self.serial.is_some() && self.flights > 0 { None } else { self.oldest() }
    }

    /// The time and the submission number of the oldest row in a shape's line.
    fn oldest_of(&self, shape: usize) -> Option<(Instant, u64)> {
        let age = |row: &Row| (row.since, row.first_submission());
        if !self.shapes[shape].disordered {
            return self.front(shape).map(age);
        }
        let ages = self.in_line_of(shape).map(age);
        ages.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
    }

    fn front(&self, shape: usize) -> Option<&Row> {
        self.in_line_of(shape).next()
    }

    fn in_line_of(&self, shape: usize) -> impl Iterator<Item = &Row> {
        let line = self.shapes[shape].line.iter();
        line.filter_map(move |&(at, turn)| self.in_place(at, turn, shape))
    }

    fn in_place(&self, at: u32, turn: u32, shape: usize) -> Option<&Row> {
        let row = self.rows[at as usize].as_ref()?;
        (row.turn == turn && row.shape as usize == shape).then_some(row)
    }

    /// The oldest of the shapes that are due, with its age. Asked when a batch may start, so that
    /// a shape with a tracked row is always due.
    pub(super) fn due(&self, due: &Due) -> Option<(Instant, usize)> {
        if let Some(line) = &self.serial {
            let row = |&at: &u32| self.rows[at as usize].as_ref();
            let front = line.front().and_then(row)?;
            let is_due = due.all
                || line.len() >= due.limits.rows
                || due.is_old(front.since)
                || front.first_submission() < due.flush_upto
                || line.iter().filter_map(row).any(|row| row.tracked);
            return (is_due && self.flights == 0).then_some((front.since, 0));
        }
        let mut oldest: Option<(Instant, usize)> = None;
        for (at, shape) in self.shapes.iter().enumerate() {
            let Some((since, submission)) = self.oldest_of(at) else { continue };
            let full = shape.rows >= due.limits.rows || shape.bytes >= due.limits.bytes;
            let is_due = due.all
                || full
                || shape.tracked > 0
                || due.is_old(since)
                || submission < due.flush_upto;
            if is_due && oldest.is_none_or(|(oldest, _)| since < oldest) {
                oldest = Some((since, at));
            }
        }
        oldest
    }

    /// What makes a shape that is due, due.
    pub(super) fn trigger(&self, shape: usize, due: &Due) -> Trigger {
        let (rows, bytes, submission) = match &self.serial {
            Some(line) => {
                let front = line.front().and_then(|&at| self.rows[at as usize].as_ref());
                (line.len(), 0, front.map(Row::first_submission))
            }
            None => {
                let (rows, bytes) = (self.shapes[shape].rows, self.shapes[shape].bytes);
                (rows, bytes, self.oldest_of(shape).map(|(_, submission)| submission))
            }
        };
        let since = match &self.serial {
            Some(_) => self.oldest(),
            None => self.oldest_of(shape).map(|(since, _)| since),
        };
        if rows >= due.limits.rows {
            Trigger::Full
        } else if bytes >= due.limits.bytes {
            Trigger::Bytes
        } else if due.closes {
            Trigger::Close
        } else if submission.is_some_and(|submission| submission < due.flush_upto) {
            Trigger::Flush
        } else if since.is_some_and(|since| due.is_old(since)) {
            Trigger::Age
        } else if due.all {
            Trigger::Room
        } else {
            Trigger::Tracked
        }
    }
}
