//! The queue: where submitted rows wait for the pump, and where every row is counted.
//!
//! One mutex guards it all, so that a snapshot is consistent. Submitting takes it once; the pump
//! takes it once a turn and once a batch. Nothing of a user's runs inside it.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use hashbrown::HashMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::stats::{Counts, Stats};
use super::sync::Mutex;
use crate::outcome::{Outcome, RowError};
use crate::request::Request;
use crate::schema::Schema;

/// Where a tracked row's verdict goes.
pub(super) type Reply = oneshot::Sender<Result<Outcome, RowError>>;

/// A row as it was submitted.
pub(super) struct Entry {
    pub(super) request: Request,
    pub(super) reply: Option<Reply>,
    /// The schema's place in the queue's and the pump's tables.
    pub(super) slot: u32,
}

/// The rows that the pump took out, in submission order.
pub(super) struct Taken {
    pub(super) first_submission: u64,
    /// When the oldest of them was submitted.
    pub(super) since: Instant,
}

/// Why a row was not queued; the request goes back.
pub(super) enum Refused {
    Full(Request),
    Closed(Request),
}

/// How much may be held, and when the pump is woken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) buffer_rows: usize,
    pub(super) buffer_bytes: usize,
    pub(super) wake_rows: usize,
    pub(super) wake_bytes: usize,
}

impl Limits {
    /// The most that one schema may hold, so that a stalled one leaves room to the others.
    fn share(whole: usize) -> usize {
        whole - whole / 4
    }
}

/// How the queue ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// No row is taken any more; those held are written.
    Draining,
    /// What is still held goes back to whoever closes.
    Returning,
    /// What is still held is abandoned.
    Abandoning,
}

/// When a draining queue stops, and what happens to what it then holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    pub(super) then: Phase,
}

pub(super) struct Queue {
    state: Mutex<State>,
}

struct State {
    entries: Vec<Entry>,
    entry_bytes: usize,
    /// When the first of `entries` was submitted.
    since: Option<Instant>,
    next_submission: u64,
    limits: Limits,
    slots: HashMap<Schema, u32>,
    shares: Vec<Share>,
    free_slots: Vec<u32>,
    last_slot: u32,
    held_rows: usize,
    held_bytes: usize,
    waiters: BTreeMap<u64, Waiter>,
    next_ticket: u64,
    /// A waiter would fit its schema's share, but not the buffer: nobody may overtake it.
    full: bool,
    phase: Phase,
    deadline: Option<Deadline>,
    pump: Pump,
    counts: Counts,
    in_lanes: usize,
    in_flight: usize,
    flushes: Vec<Flush>,
    flush_upto: u64,
}

#[derive(Default)]
struct Pump {
    waker: Option<Waker>,
    woken: bool,
    urgent: bool,
    tracked: bool,
}

/// What one schema holds of the buffer, room granted to waiters among it.
struct Share {
    schema: Schema,
    rows: usize,
    bytes: usize,
    waiting: usize,
}

struct Waiter {
    slot: u32,
    bytes: usize,
    granted: bool,
    waker: Waker,
}

struct Flush {
    upto: u64,
    remaining: usize,
    counts: Counts,
    done: oneshot::Sender<Counts>,
}

/// What the pump finds when it looks.
pub(super) struct Look {
    pub(super) phase: Phase,
    pub(super) deadline: Option<Deadline>,
    pub(super) flush_upto: u64,
    pub(super) pressure: bool,
    /// When the first of the rows still in the queue was submitted.
    pub(super) since: Option<Instant>,
    /// The queued rows are to be taken now.
    pub(super) urgent: bool,
    /// Someone awaits a queued row: it may go as soon as a batch may start.
    pub(super) tracked: bool,
}

/// A row's end, as the queue counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Written,
    Superseded,
    Rejected,
    Unknown,
    Returned,
    Abandoned,
}

/// One settled row.
pub(super) struct Settled {
    pub(super) submission: u64,
    pub(super) bytes: usize,
    pub(super) end: End,
}

/// Where settled rows were held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Lanes,
    Flight,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                entries: Vec::new(),
                entry_bytes: 0,
                since: None,
                next_submission: 0,
                limits,
                slots: HashMap::new(),
                shares: Vec::new(),
                free_slots: Vec::new(),
                last_slot: 0,
                held_rows: 0,
                held_bytes: 0,
                waiters: BTreeMap::new(),
                next_ticket: 0,
                full: false,
                phase: Phase::Open,
                deadline: None,
                pump: Pump::default(),
                counts: Counts::default(),
                in_lanes: 0,
                in_flight: 0,
                flushes: Vec::new(),
                flush_upto: 0,
            }),
        }
    }

    /// Queues a row if there is room and nobody waits for it already; returns its submission
    /// number, or the row and whoever awaits it.
    #[inline]
    pub(super) fn try_push(
        &self,
        request: Request,
        reply: Option<Reply>,
    ) -> Result<u64, (Refused, Option<Reply>)> {
        let bytes = request.size_bytes();
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err((Refused::Closed(request), reply));
        }
        let slot = state.slot(request.schema());
        if state.full || state.share(slot).waiting > 0 || !state.fits(slot, bytes) {
            return Err((Refused::Full(request), reply));
        }
        state.hold(slot, bytes);
        let (submission, waker) = state.enter(request, reply, slot, bytes);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(submission)
    }

    /// Waits for room, then queues the row. `ticket` is the waiter's place in the line, and must
    /// be given back with [`leave`](Self::leave) if the wait is given up.
    pub(super) fn poll_push(
        &self,
        ticket: &mut Option<u64>,
        request: &mut Option<Request>,
        reply: &mut Option<Reply>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, Refused>> {
        let Some(row) = request.take() else {
            return Poll::Pending;
        };
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            let wakers = ticket.take().map(|ticket| state.remove_waiter(ticket));
            drop(state);
            wake_all(wakers.into_iter().flatten());
            return Poll::Ready(Err(Refused::Closed(row)));
        }
        let bytes = row.size_bytes();
        let Some(number) = *ticket else {
            let slot = state.slot(row.schema());
            let fits = state.fits(slot, bytes);
            if fits && !state.full && state.share(slot).waiting == 0 {
                state.hold(slot, bytes);
                let (submission, waker) = state.enter(row, reply.take(), slot, bytes);
                drop(state);
                wake_all(waker);
                return Poll::Ready(Ok(submission));
            }
            *ticket = Some(state.add_waiter(slot, bytes, cx.waker().clone()));
            *request = Some(row);
            let waker = state.wake_pump(true);
            drop(state);
            wake_all(waker);
            return Poll::Pending;
        };
        match state.waiters.get_mut(&number) {
            Some(waiter) if waiter.granted => {
                let slot = waiter.slot;
                state.waiters.remove(&number);
                *ticket = None;
                let (submission, waker) = state.enter(row, reply.take(), slot, bytes);
                drop(state);
                wake_all(waker);
                Poll::Ready(Ok(submission))
            }
            Some(waiter) => {
                waiter.waker.clone_from(cx.waker());
                *request = Some(row);
                Poll::Pending
            }
            // The queue forgets a waiter only when it closes, which was looked at above.
            None => Poll::Ready(Err(Refused::Closed(row))),
        }
    }

    /// Gives a waiter's place up, and the room if it was granted.
    pub(super) fn leave(&self, ticket: u64) {
        let mut state = self.state.lock();
        let wakers = state.remove_waiter(ticket);
        drop(state);
        wake_all(wakers);
    }

    /// Waits until there is something for the pump to look at.
    pub(super) fn poll_woken(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.pump.woken) {
            return Poll::Ready(());
        }
        match &mut state.pump.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// What the pump must know for its next turn.
    pub(super) fn look(&self) -> Look {
        let mut state = self.state.lock();
        let many = state.entries.len() >= state.limits.wake_rows
            || state.entry_bytes >= state.limits.wake_bytes;
        Look {
            phase: state.phase,
            deadline: state.deadline,
            flush_upto: state.flush_upto,
            pressure: !state.waiters.is_empty(),
            since: state.since,
            urgent: std::mem::take(&mut state.pump.urgent) || many || state.phase != Phase::Open,
            tracked: state.pump.tracked,
        }
    }

    /// Takes every queued row, leaving the emptied `room` for the next.
    pub(super) fn take(&self, room: &mut Vec<Entry>) -> Option<Taken> {
        let mut state = self.state.lock();
        let since = state.since.take()?;
        std::mem::swap(&mut state.entries, room);
        state.entry_bytes = 0;
        state.pump.tracked = false;
        state.in_lanes += room.len();
        Some(Taken { first_submission: state.next_submission - room.len() as u64, since })
    }

    /// Rows went from the lanes into a batch.
    pub(super) fn launch(&self, rows: usize) {
        let mut state = self.state.lock();
        state.in_lanes = state.in_lanes.saturating_sub(rows);
        state.in_flight += rows;
    }

    /// Counts settled rows of one schema and gives their room to those who wait.
    pub(super) fn settle(&self, slot: u32, from: From, rows: &[Settled]) {
        if rows.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let held = match from {
            From::Lanes => &mut state.in_lanes,
            From::Flight => &mut state.in_flight,
        };
        *held = held.saturating_sub(rows.len());
        for row in rows {
            state.counts.add(row.end);
        }
        let bytes = rows.iter().map(|row| row.bytes).sum();
        state.release(slot, rows.len(), bytes);
        let flushed = state.count_flushes(rows);
        let wakers = state.grant();
        drop(state);
        for (done, counts) in flushed {
            // A flush that nobody waits for any more has no one to tell.
            let _ = done.send(counts);
        }
        wake_all(wakers);
    }

    /// Forgets a schema of which nothing is held. Returns whether it did.
    pub(super) fn forget(&self, slot: u32) -> bool {
        let mut state = self.state.lock();
        let Some(share) = state.shares.get(slot as usize) else {
            return true;
        };
        if share.rows > 0 || share.waiting > 0 {
            return false;
        }
        let schema = share.schema.clone();
        state.slots.remove(&schema);
        state.free_slots.push(slot);
        state.last_slot = u32::MAX;
        true
    }

    /// Asks for everything submitted so far to be settled; `None` where nothing is pending.
    pub(super) fn flush(&self) -> Option<oneshot::Receiver<Counts>> {
        let mut state = self.state.lock();
        let remaining = state.pending();
        if remaining == 0 {
            return None;
        }
        let (done, receiver) = oneshot::channel();
        let upto = state.next_submission;
        state.flushes.retain(|flush| !flush.done.is_closed());
        state.flushes.push(Flush { upto, remaining, counts: Counts::default(), done });
        state.flush_upto = upto;
        let waker = state.wake_pump(true);
        drop(state);
        wake_all(waker);
        Some(receiver)
    }

    /// Closes the queue, or hastens its close. Waiting submitters get their requests back.
    pub(super) fn close(&self, phase: Phase, deadline: Option<Deadline>) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open | Phase::Draining) {
            state.phase = phase;
        }
        if let Some(new) = deadline {
            state.deadline = Some(match state.deadline {
                None => new,
                // Whoever closes is there to take rows back; who dropped or cancelled is not.
                Some(old) => Deadline {
                    at: old.at.min(new.at),
                    then: if old.then == Phase::Returning { old.then } else { new.then },
                },
            });
        }
        let mut wakers: Vec<Waker> = Vec::new();
        let waiters = std::mem::take(&mut state.waiters);
        for waiter in waiters.into_values() {
            if waiter.granted {
                state.release(waiter.slot, 1, waiter.bytes);
            } else {
                state.share_mut(waiter.slot).waiting -= 1;
            }
            wakers.push(waiter.waker);
        }
        state.full = false;
        wakers.extend(state.wake_pump(true));
        drop(state);
        wake_all(wakers);
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    pub(super) fn set_wake(&self, rows: usize, bytes: usize) {
        let mut state = self.state.lock();
        state.limits.wake_rows = rows;
        state.limits.wake_bytes = bytes;
        let waker = state.wake_pump(true);
        drop(state);
        wake_all(waker);
    }

    /// How long the oldest row still in the queue has waited.
    pub(super) fn since(&self) -> Option<Instant> {
        self.state.lock().since
    }

    /// Every count and every row held, at one moment.
    pub(super) fn stats(&self) -> Stats {
        let state = self.state.lock();
        Stats {
            submitted: state.next_submission,
            written: state.counts.written,
            superseded: state.counts.superseded,
            rejected: state.counts.rejected,
            unknown: state.counts.unknown,
            returned: state.counts.returned,
            abandoned: state.counts.abandoned,
            pending: state.pending() as u64,
            pending_bytes: state.held_bytes as u64,
        }
    }
}

impl State {
    fn pending(&self) -> usize {
        self.entries.len() + self.in_lanes + self.in_flight
    }

    /// The schema's slot, made if need be.
    #[inline]
    fn slot(&mut self, schema: &Schema) -> u32 {
        if let Some(share) = self.shares.get(self.last_slot as usize)
            && share.schema == *schema
        {
            return self.last_slot;
        }
        let slot = match self.slots.get(schema) {
            Some(&slot) => slot,
            None => self.add_slot(schema),
        };
        self.last_slot = slot;
        slot
    }

    #[cold]
    fn add_slot(&mut self, schema: &Schema) -> u32 {
        let share = Share { schema: schema.clone(), rows: 0, bytes: 0, waiting: 0 };
        let slot = match self.free_slots.pop() {
            Some(slot) => {
                self.shares[slot as usize] = share;
                slot
            }
            None => {
                self.shares.push(share);
                (self.shares.len() - 1) as u32
            }
        };
        self.slots.insert(schema.clone(), slot);
        slot
    }

    #[inline]
    fn share(&self, slot: u32) -> &Share {
        &self.shares[slot as usize]
    }

    #[inline]
    fn share_mut(&mut self, slot: u32) -> &mut Share {
        &mut self.shares[slot as usize]
    }

    /// Whether the row fits the buffer and its schema's share of it. A schema that holds nothing
    /// may exceed its share with a single row.
    #[inline]
    fn fits(&self, slot: u32, bytes: usize) -> bool {
        self.fits_buffer(bytes) && self.fits_share(slot, bytes)
    }

    #[inline]
    fn fits_buffer(&self, bytes: usize) -> bool {
        self.held_rows < self.limits.buffer_rows
            && self.held_bytes + bytes <= self.limits.buffer_bytes
    }

    #[inline]
    fn fits_share(&self, slot: u32, bytes: usize) -> bool {
        let share = self.share(slot);
        share.rows == 0
            || (share.rows < Limits::share(self.limits.buffer_rows)
                && share.bytes + bytes <= Limits::share(self.limits.buffer_bytes))
    }

    #[inline]
    fn hold(&mut self, slot: u32, bytes: usize) {
        self.held_rows += 1;
        self.held_bytes += bytes;
        let share = self.share_mut(slot);
        share.rows += 1;
        share.bytes += bytes;
    }

    fn release(&mut self, slot: u32, rows: usize, bytes: usize) {
        self.held_rows = self.held_rows.saturating_sub(rows);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        let share = self.share_mut(slot);
        share.rows = share.rows.saturating_sub(rows);
        share.bytes = share.bytes.saturating_sub(bytes);
    }

    /// Puts a row, whose room is held, into the queue.
    #[inline]
    fn enter(
        &mut self,
        request: Request,
        reply: Option<Reply>,
        slot: u32,
        bytes: usize,
    ) -> (u64, Option<Waker>) {
        let submission = self.next_submission;
        self.next_submission += 1;
        let tracked = reply.is_some();
        self.pump.tracked |= tracked;
        self.entries.push(Entry { request, reply, slot });
        self.entry_bytes += bytes;
        let first = self.since.is_none();
        if first {
            self.since = Some(Instant::now());
        }
        let full = self.entries.len() == self.limits.wake_rows
            || self.entry_bytes >= self.limits.wake_bytes;
        let waker = if first || full || tracked { self.wake_pump(false) } else { None };
        (submission, waker)
    }

    fn wake_pump(&mut self, urgent: bool) -> Option<Waker> {
        self.pump.urgent |= urgent;
        if std::mem::replace(&mut self.pump.woken, true) {
            return None;
        }
        self.pump.waker.take()
    }

    fn add_waiter(&mut self, slot: u32, bytes: usize, waker: Waker) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.full |= self.fits_share(slot, bytes) && self.share(slot).waiting == 0;
        self.waiters.insert(ticket, Waiter { slot, bytes, granted: false, waker });
        self.share_mut(slot).waiting += 1;
        ticket
    }

    #[must_use]
    fn remove_waiter(&mut self, ticket: u64) -> Vec<Waker> {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return Vec::new();
        };
        if waiter.granted {
            self.release(waiter.slot, 1, waiter.bytes);
        } else {
            self.share_mut(waiter.slot).waiting -= 1;
        }
        self.grant()
    }

    /// Gives free room to waiters, first come first served within a schema and across those that
    /// have room in their share. Returns whom to wake.
    #[must_use]
    fn grant(&mut self) -> Vec<Waker> {
        self.full = false;
        let mut wakers = Vec::new();
        if self.waiters.is_empty() {
            return wakers;
        }
        let mut waiters = std::mem::take(&mut self.waiters);
        let mut stuck: Vec<u32> = Vec::new();
        for waiter in waiters.values_mut().filter(|waiter| !waiter.granted) {
            if stuck.contains(&waiter.slot) {
                continue;
            }
            if !self.fits_share(waiter.slot, waiter.bytes) {
                stuck.push(waiter.slot);
            } else if self.fits_buffer(waiter.bytes) {
                waiter.granted = true;
                self.hold(waiter.slot, waiter.bytes);
                self.share_mut(waiter.slot).waiting -= 1;
                wakers.push(waiter.waker.clone());
            } else {
                self.full = true;
                break;
            }
        }
        self.waiters = waiters;
        wakers
    }

    fn count_flushes(&mut self, rows: &[Settled]) -> Vec<(oneshot::Sender<Counts>, Counts)> {
        for flush in &mut self.flushes {
            for row in rows.iter().filter(|row| row.submission < flush.upto) {
                flush.counts.add(row.end);
                flush.remaining = flush.remaining.saturating_sub(1);
            }
        }
        let mut done = Vec::new();
        let mut at = 0;
        while at < self.flushes.len() {
            if self.flushes[at].remaining == 0 {
                let flush = self.flushes.swap_remove(at);
                done.push((flush.done, flush.counts));
            } else {
                at += 1;
            }
        }
        done
    }
}

fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
