//! The queue: where submitted rows wait for the pump, and where every row is counted.
//!
//! One mutex guards it all, so that a snapshot is consistent. Submitting takes it once; the pump
//! takes it once a turn and once a batch. Nothing of a user's runs inside it.

mod inbox;
mod state;

use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;
use tokio::time::Instant;

use state::{Flush, State};

use super::stats::{Counts, Stats};
use super::sync::{Mutex, MutexGuard};
use crate::outcome::{Outcome, RowError};
use crate::request::Request;

/// Where a tracked row's verdict goes. Boxed, because every other row carries room for it.
pub(in crate::flow) type Reply = Box<oneshot::Sender<Result<Outcome, RowError>>>;

/// A row as it was submitted.
pub(in crate::flow) struct Entry {
    pub(in crate::flow) request: Request,
    pub(in crate::flow) reply: Option<Reply>,
    /// The schema's place in the queue's and the pump's tables.
    pub(in crate::flow) slot: u32,
}

/// The rows that the pump took out, in submission order.
pub(in crate::flow) struct Taken {
    pub(in crate::flow) first_submission: u64,
    /// When the oldest of them was submitted.
    pub(in crate::flow) since: Instant,
}

/// Why a row was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Refused {
    /// The row itself cannot be written; the queue never says so.
    Invalid,
    Full,
    Closed,
}

/// How much may be held, and when the pump is woken.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Limits {
    pub(in crate::flow) buffer_rows: usize,
    pub(in crate::flow) buffer_bytes: usize,
    pub(in crate::flow) wake_rows: usize,
    pub(in crate::flow) wake_bytes: usize,
}

impl Limits {
    /// The most that one schema may hold, so that a stalled one leaves room to the others.
    fn share(whole: usize) -> usize {
        whole - whole / 4
    }
}

/// How the queue ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Phase {
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
pub(in crate::flow) struct Deadline {
    pub(in crate::flow) at: Instant,
    pub(in crate::flow) then: Phase,
}

#[repr(align(64))]
pub(in crate::flow) struct Queue {
    state: Mutex<State>,
}

/// What the pump finds when it looks.
pub(in crate::flow) struct Look {
    pub(in crate::flow) phase: Phase,
    pub(in crate::flow) deadline: Option<Deadline>,
    pub(in crate::flow) flush_upto: u64,
    pub(in crate::flow) pressure: bool,
    /// When the first of the rows still in the queue was submitted.
    pub(in crate::flow) since: Option<Instant>,
    /// The queued rows are to be taken now.
    pub(in crate::flow) urgent: bool,
    /// There are rows, or bytes, for a whole batch.
    pub(in crate::flow) many: (bool, bool),
    /// Someone awaits a queued row: it may go as soon as a batch may start.
    pub(in crate::flow) tracked: bool,
}

/// A row's end, as the queue counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum End {
    Written,
    Superseded,
    Rejected,
    Unknown,
    Returned,
    Abandoned,
}

/// One settled row.
pub(in crate::flow) struct Settled {
    pub(in crate::flow) submission: u64,
    pub(in crate::flow) bytes: usize,
    pub(in crate::flow) end: End,
}

/// Where settled rows were held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum From {
    Lanes,
    Flight,
}

impl Queue {
    pub(in crate::flow) fn new(limits: Limits) -> Self {
        Self { state: Mutex::new(State::new(limits)) }
    }

    /// Queues a row if there is room and nobody waits for it already; returns its submission
    /// number. Where it is refused, the row and whoever awaits it are left.
    #[inline]
    pub(in crate::flow) fn try_push(
        &self,
        row: &mut Option<Request>,
        reply: &mut Option<Reply>,
    ) -> Result<u64, Refused> {
        let Some(request) = row else { return Err(Refused::Closed) };
        let bytes = request.size_bytes();
        let mut state = self.state.lock();
        if reply.is_none()
            && let Some(submission) = state.inbox.push_lent(row, bytes)
        {
            return Ok(submission);
        }
        push_counted(state, row, reply, bytes)
    }

    /// The state, with every row counted.
    fn reckoned(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.reckon();
        state
    }

    /// Waits for room, then queues the row. `ticket` is the waiter's place in the line, and must
    /// be given back with [`leave`](Self::leave) if the wait is given up.
    pub(in crate::flow) fn poll_push(
        &self,
        ticket: &mut Option<u64>,
        request: &mut Option<Request>,
        reply: &mut Option<Reply>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, Refused>> {
        let Some(row) = request.as_ref() else {
            return Poll::Pending;
        };
        let bytes = row.size_bytes();
        let mut state = self.reckoned();
        if state.phase != Phase::Open {
            let wakers = ticket.take().map(|ticket| state.remove_waiter(ticket));
            drop(state);
            wake_all(wakers.into_iter().flatten());
            return Poll::Ready(Err(Refused::Closed));
        }
        let Some(number) = *ticket else {
            let slot = state.slot(row.schema());
            let fits = state.fits(slot, bytes);
            if fits && !state.full && state.share(slot).waiting == 0 {
                let Some(row) = request.take() else { return Poll::Pending };
                state.hold(slot, bytes);
                let (submission, waker) = state.enter(row, reply.take(), slot, bytes);
                drop(state);
                wake_all(waker);
                return Poll::Ready(Ok(submission));
            }
            *ticket = Some(state.add_waiter(slot, bytes, cx.waker().clone()));
            let waker = state.wake_pump(true);
            drop(state);
            wake_all(waker);
            return Poll::Pending;
        };
        match state.waiters.get_mut(&number) {
            Some(waiter) if waiter.granted => {
                let slot = waiter.slot;
                let Some(row) = request.take() else { return Poll::Pending };
                state.waiters.remove(&number);
                *ticket = None;
                let (submission, waker) = state.enter(row, reply.take(), slot, bytes);
                drop(state);
                wake_all(waker);
                Poll::Ready(Ok(submission))
            }
            Some(waiter) => {
                waiter.waker.clone_from(cx.waker());
                Poll::Pending
            }
            // The queue forgets a waiter only when it closes, which was looked at above.
            None => Poll::Ready(Err(Refused::Closed)),
        }
    }

    /// Gives a waiter's place up, and the room if it was granted.
    pub(in crate::flow) fn leave(&self, ticket: u64) {
        let mut state = self.reckoned();
        let wakers = state.remove_waiter(ticket);
        drop(state);
        wake_all(wakers);
    }

    /// Waits until there is something for the pump to look at.
    pub(in crate::flow) fn poll_woken(&self, cx: &mut Context<'_>) -> Poll<()> {
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
    pub(in crate::flow) fn look(&self) -> Look {
        let mut state = self.reckoned();
        let many = (
            state.inbox.len() >= state.limits.wake_rows,
            state.entry_bytes >= state.limits.wake_bytes,
        );
        Look {
            phase: state.phase,
            deadline: state.deadline,
            flush_upto: state.flush_upto,
            pressure: !state.waiters.is_empty(),
            since: state.since,
            urgent: std::mem::take(&mut state.pump.urgent)
                || many.0
                || many.1
                || state.phase != Phase::Open,
            many,
            tracked: state.pump.tracked,
        }
    }

    /// Takes every queued row, leaving the emptied `room` for the next.
    pub(in crate::flow) fn take(&self, room: &mut Vec<Entry>) -> Option<Taken> {
        let mut state = self.reckoned();
        let since = state.since.take()?;
        let first_submission = state.inbox.swap(room);
        state.entry_bytes = 0;
        state.pump.tracked = false;
        state.in_lanes += room.len();
        Some(Taken { first_submission, since })
    }

    /// Rows went from the lanes into a batch.
    pub(in crate::flow) fn launch(&self, rows: usize) {
        let mut state = self.state.lock();
        state.in_lanes = state.in_lanes.saturating_sub(rows);
        state.in_flight += rows;
    }

    /// Counts settled rows of one schema and gives their room to those who wait.
    pub(in crate::flow) fn settle(&self, slot: u32, from: From, rows: &[Settled]) {
        if rows.is_empty() {
            return;
        }
        // Summed before the lock is taken, so that submitters wait for less.
        let bytes = rows.iter().map(|row| row.bytes).sum();
        let mut counts = Counts::default();
        for row in rows {
            counts.add(row.end);
        }
        let mut state = self.reckoned();
        let held = match from {
            From::Lanes => &mut state.in_lanes,
            From::Flight => &mut state.in_flight,
        };
        *held = held.saturating_sub(rows.len());
        state.counts.add_all(&counts);
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

    /// Holds more bytes for a schema's rows, if there is room.
    pub(in crate::flow) fn grow(&self, slot: u32, bytes: usize) -> bool {
        let mut state = self.reckoned();
        let fits = state.grows(slot, bytes);
        if fits {
            state.held_bytes += bytes;
            state.share_mut(slot).bytes += bytes;
        }
        fits
    }

    /// Holds fewer bytes for a schema's rows, and gives their room to those who wait.
    pub(in crate::flow) fn shrink(&self, slot: u32, bytes: usize) {
        let mut state = self.reckoned();
        state.release(slot, 0, bytes);
        let wakers = state.grant();
        drop(state);
        wake_all(wakers);
    }

    /// Forgets a schema of which nothing is held. Returns whether it did.
    pub(in crate::flow) fn forget(&self, slot: u32) -> bool {
        let mut state = self.reckoned();
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
    pub(in crate::flow) fn flush(&self) -> Option<oneshot::Receiver<Counts>> {
        let mut state = self.state.lock();
        let remaining = state.pending();
        if remaining == 0 {
            return None;
        }
        let (done, receiver) = oneshot::channel();
        let upto = state.inbox.next_submission();
        state.flushes.retain(|flush| !flush.done.is_closed());
        state.flushes.push(Flush { upto, remaining, counts: Counts::default(), done });
        state.flush_upto = upto;
        let waker = state.wake_pump(true);
        drop(state);
        wake_all(waker);
        Some(receiver)
    }

    /// Closes the queue, or hastens its close. Waiting submitters get their requests back.
    pub(in crate::flow) fn close(&self, phase: Phase, deadline: Option<Deadline>) {
        let mut state = self.reckoned();
        if matches!(state.phase, Phase::Open | Phase::Draining) {
            state.enter_phase(phase);
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

    /// Nobody is left to take rows back.
    pub(in crate::flow) fn forsake(&self) {
        let mut state = self.state.lock();
        state.forsaken = true;
        let phase = state.phase;
        state.enter_phase(phase);
    }

    pub(in crate::flow) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    pub(in crate::flow) fn set_wake(&self, rows: usize, bytes: usize) {
        let mut state = self.reckoned();
        state.limits.wake_rows = rows;
        state.limits.wake_bytes = bytes;
        let waker = state.wake_pump(true);
        drop(state);
        wake_all(waker);
    }

    /// How long the oldest row still in the queue has waited.
    pub(in crate::flow) fn since(&self) -> Option<Instant> {
        self.state.lock().since
    }

    /// Counts a row as written that there never was.
    #[cfg(feature = "testing")]
    pub(in crate::flow) fn miscount(&self) {
        self.reckoned().counts.add(End::Written);
    }

    /// Every count and every row held, at one moment.
    pub(in crate::flow) fn stats(&self) -> Stats {
        let state = self.reckoned();
        Stats {
            submitted: state.inbox.next_submission(),
            written: state.counts.written,
            superseded: state.counts.superseded,
            rejected: state.counts.rejected,
            unknown: state.counts.unknown,
            returned: state.counts.returned,
            abandoned: state.counts.abandoned,
            pending: state.pending() as u64,
            pending_bytes: state.held_bytes as u64,
            queued: state.inbox.len() as u64,
            in_flight: state.in_flight as u64,
        }
    }
}

/// Queues a row that takes no lent room.
fn push_counted(
    mut state: MutexGuard<'_, State>,
    row: &mut Option<Request>,
    reply: &mut Option<Reply>,
    bytes: usize,
) -> Result<u64, Refused> {
    state.reckon();
    if state.phase != Phase::Open {
        return Err(Refused::Closed);
    }
    let Some(request) = row else { return Err(Refused::Closed) };
    let slot = state.slot(request.schema());
    if state.full || state.share(slot).waiting > 0 || !state.fits(slot, bytes) {
        return Err(Refused::Full);
    }
    let Some(request) = row.take() else { return Err(Refused::Closed) };
    state.hold(slot, bytes);
    let (submission, waker) = state.enter(request, reply.take(), slot, bytes);
    state.lend(slot);
    drop(state);
    wake_all(waker);
    Ok(submission)
}

fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
