//! What the queue's mutex guards: rows, shares of the buffer, waiters, counts.

use std::collections::BTreeMap;
use std::task::Waker;

use hashbrown::HashMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::inbox::{Inbox, Room};
use super::{Deadline, Entry, Limits, Phase, Reply, Settled};
use crate::flow::stats::Counts;
use crate::request::Request;
use crate::schema::Schema;

#[repr(C)]
pub(super) struct State {
    /// First, so that it lies beside the mutex.
    pub(super) inbox: Inbox,
    /// What was lent of the room, when it was.
    lent: Room,
    pub(super) entry_bytes: usize,
    pub(super) held_rows: usize,
    pub(super) held_bytes: usize,
    /// When the first row of the inbox was submitted.
    pub(super) since: Option<Instant>,
    pub(super) last_slot: u32,
    /// A waiter would fit its schema's share, but not the buffer: nobody may overtake it.
    pub(super) full: bool,
    pub(super) phase: Phase,
    /// Nobody is left to take rows back.
    pub(super) forsaken: bool,
    pub(super) limits: Limits,
    pub(super) slots: HashMap<Schema, u32>,
    pub(super) shares: Vec<Share>,
    pub(super) free_slots: Vec<u32>,
    pub(super) waiters: BTreeMap<u64, Waiter>,
    pub(super) next_ticket: u64,
    pub(super) deadline: Option<Deadline>,
    pub(super) pump: Pump,
    pub(super) counts: Counts,
    pub(super) in_lanes: usize,
    pub(super) in_flight: usize,
    pub(super) flushes: Vec<Flush>,
    pub(super) flush_upto: u64,
}

#[derive(Default)]
pub(super) struct Pump {
    pub(super) waker: Option<Waker>,
    pub(super) woken: bool,
    pub(super) urgent: bool,
    pub(super) tracked: bool,
}

/// What one schema holds of the buffer, room granted to waiters among it.
pub(super) struct Share {
    pub(super) schema: Schema,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) waiting: usize,
}

pub(super) struct Waiter {
    pub(super) slot: u32,
    pub(super) bytes: usize,
    pub(super) granted: bool,
    pub(super) waker: Waker,
}

pub(super) struct Flush {
    pub(super) upto: u64,
    pub(super) remaining: usize,
    pub(super) counts: Counts,
    pub(super) done: oneshot::Sender<Counts>,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            inbox: Inbox::new(),
            lent: Room::default(),
            entry_bytes: 0,
            held_rows: 0,
            held_bytes: 0,
            since: None,
            last_slot: 0,
            full: false,
            phase: Phase::Open,
            forsaken: false,
            limits,
            slots: HashMap::new(),
            shares: Vec::new(),
            free_slots: Vec::new(),
            waiters: BTreeMap::new(),
            next_ticket: 0,
            deadline: None,
            pump: Pump::default(),
            counts: Counts::default(),
            in_lanes: 0,
            in_flight: 0,
            flushes: Vec::new(),
            flush_upto: 0,
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.inbox.len() + self.in_lanes + self.in_flight
    }

    /// Counts the rows that took lent room, and ends the loan.
    pub(super) fn reckon(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        if lent == Room::default() {
            return;
        }
        let (left, slot) = self.inbox.take_back();
        let (rows, bytes) = ((lent.rows - left.rows) as usize, lent.bytes - left.bytes);
        self.held_rows += rows;
        self.held_bytes += bytes;
        self.entry_bytes += bytes;
        let share = self.share_mut(slot);
        share.rows += rows;
        share.bytes += bytes;
    }

    /// Lends the schema of a row that just entered the room that its next rows could take anyhow,
    /// up to the row that wakes the pump.
    pub(super) fn lend(&mut self, slot: u32) {
        let (share, limits) = (self.share(slot), self.limits);
        let least = |buffer: usize, held: usize, own: usize, wake: usize, queued: usize| {
            let room = buffer.saturating_sub(held).min(Limits::share(buffer).saturating_sub(own));
            // Past the row that woke the pump, no row wakes it.
            if queued < wake { room.min(wake - 1 - queued) } else { room }
        };
        let rows = least(
            limits.buffer_rows,
            self.held_rows,
            share.rows,
            limits.wake_rows,
            self.inbox.len(),
        );
        let bytes = least(
            limits.buffer_bytes,
            self.held_bytes,
            share.bytes,
            limits.wake_bytes,
            self.entry_bytes,
        );
        let room = Room { rows: u32::try_from(rows).unwrap_or(u32::MAX), bytes };
        if room.rows > 0 {
            self.lent = room;
            let schema = &self.shares[slot as usize].schema;
            self.inbox.lend(schema, slot, room);
        }
    }

    /// The schema's slot, made if need be.
    #[inline]
    pub(super) fn slot(&mut self, schema: &Schema) -> u32 {
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
    pub(super) fn add_slot(&mut self, schema: &Schema) -> u32 {
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
    pub(super) fn share(&self, slot: u32) -> &Share {
        &self.shares[slot as usize]
    }

    #[inline]
    pub(super) fn share_mut(&mut self, slot: u32) -> &mut Share {
        &mut self.shares[slot as usize]
    }

    /// Whether the row fits the buffer and its schema's share of it. A schema that holds nothing
    /// may exceed its share with a single row.
    #[inline]
    pub(super) fn fits(&self, slot: u32, bytes: usize) -> bool {
        self.fits_buffer(bytes) && self.fits_share(slot, bytes)
    }

    #[inline]
    pub(super) fn fits_buffer(&self, bytes: usize) -> bool {
        self.held_rows < self.limits.buffer_rows
            && self.held_bytes + bytes <= self.limits.buffer_bytes
    }

    #[inline]
    pub(super) fn fits_share(&self, slot: u32, bytes: usize) -> bool {
        let share = self.share(slot);
        share.rows == 0
            || (share.rows < Limits::share(self.limits.buffer_rows)
                && share.bytes + bytes <= Limits::share(self.limits.buffer_bytes))
    }

    /// Whether a schema's rows may hold so many bytes more.
    pub(super) fn grows(&self, slot: u32, bytes: usize) -> bool {
        let whole = self.limits.buffer_bytes;
        self.held_bytes.saturating_add(bytes) <= whole
            && self.share(slot).bytes.saturating_add(bytes) <= Limits::share(whole)
    }

    #[inline]
    pub(super) fn hold(&mut self, slot: u32, bytes: usize) {
        self.held_rows += 1;
        self.held_bytes += bytes;
        let share = self.share_mut(slot);
        share.rows += 1;
        share.bytes += bytes;
    }

    pub(super) fn release(&mut self, slot: u32, rows: usize, bytes: usize) {
        self.held_rows = self.held_rows.saturating_sub(rows);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        let share = self.share_mut(slot);
        share.rows = share.rows.saturating_sub(rows);
        share.bytes = share.bytes.saturating_sub(bytes);
    }

    /// Puts a row, whose room is held, into the queue.
    #[inline]
    pub(super) fn enter(
        &mut self,
        request: Request,
        reply: Option<Reply>,
        slot: u32,
        bytes: usize,
    ) -> (u64, Option<Waker>) {
        let tracked = reply.is_some();
        if tracked {
            self.pump.tracked = true;
        }
        let submission = self.inbox.push(Entry { request, reply, slot });
        self.entry_bytes += bytes;
        let first = self.since.is_none();
        if first {
            self.since = Some(Instant::now());
        }
        let full =
            self.inbox.len() == self.limits.wake_rows || self.entry_bytes >= self.limits.wake_bytes;
        let waker = if first || full || tracked { self.wake_pump(false) } else { None };
        (submission, waker)
    }

    /// Goes on to a phase; rows that nobody is left to take back are abandoned.
    pub(super) fn enter_phase(&mut self, phase: Phase) {
        let gives_back = phase == Phase::Returning;
        self.phase = if gives_back && self.forsaken { Phase::Abandoning } else { phase };
    }

    pub(super) fn wake_pump(&mut self, urgent: bool) -> Option<Waker> {
        self.pump.urgent |= urgent;
        if std::mem::replace(&mut self.pump.woken, true) {
            return None;
        }
        self.pump.waker.take()
    }

    pub(super) fn add_waiter(&mut self, slot: u32, bytes: usize, waker: Waker) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.full |= self.fits_share(slot, bytes) && self.share(slot).waiting == 0;
        self.waiters.insert(ticket, Waiter { slot, bytes, granted: false, waker });
        self.share_mut(slot).waiting += 1;
        ticket
    }

    #[must_use]
    pub(super) fn remove_waiter(&mut self, ticket: u64) -> Vec<Waker> {
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
    pub(super) fn grant(&mut self) -> Vec<Waker> {
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

    pub(super) fn count_flushes(
        &mut self,
        rows: &[Settled],
    ) -> Vec<(oneshot::Sender<Counts>, Counts)> {
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
