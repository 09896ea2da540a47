//! The pump: the one task of a flow that takes rows from the queue, forms batches and starts
//! them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::fleet::{Event, Fleet, Landed};
use super::flight::Flight;
use super::lane::{Allowance, Due, Held, Lane, Sent};
use super::preview::Previews;
use super::queue::{End, Entry, From, Look, Phase};
use super::shared::{Ended, Life, Shared, after, later};
use super::station::{Rules, Station, Table, limits};
use crate::driver::{Attempt, Capabilities, Driver, ErrorKind};
use crate::executor::{Executor, GRACE};
use crate::key::RowKey;
use crate::metrics::{FlushEvent, LaunchEvent, Trigger};
use crate::outcome::RowError;
use crate::unwind::catch_async;

/// Schemas of which nothing is held are forgotten beyond this many.
const IDLE_STATIONS: usize = 1_024;

/// The [`grace`](super::FlowBuilder::grace) of a flow that was not told another.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// A batch of at most so many rows, one of them awaited, is small.
const SMALL: usize = 8;

/// No batch of more bytes is small.
const SMALL_BYTES: usize = 64 << 10;

/// How long batches may take to end once they have been told to: longer than the executor gives a
/// cancelled attempt to return and then one question about its commit to be answered.
const LANDING: Duration = GRACE.saturating_mul(3);

pub(super) struct Pump {
    pub(super) shared: Arc<Shared>,
    /// Gone once the last batch has landed.
    pub(super) executor: Option<Arc<dyn Executor>>,
    pub(super) driver: Option<Arc<dyn Driver>>,
    pub(super) previews: Arc<Previews>,
    pub(super) capabilities: Capabilities,
    pub(super) rules: Rules,
    pub(super) stations: Vec<Option<Station>>,
    pub(super) fleet: Fleet,
    pub(super) held_back: HeldBack,
    pub(super) room: Vec<Entry>,
    pub(super) keys: Vec<RowKey>,
    /// When batches in flight are no longer waited for, once they have been told to end.
    pub(super) landing: Option<Instant>,
    pub(super) aborted: bool,
}

/// What keeps rows from being sent, as one turn found it: to be woken by its end, the pump must have
/// looked once, not once to decide and once more to listen.
#[derive(Clone, Copy, Default)]
pub(super) struct HeldBack {
    /// There are rows, and there was no slot to send them in.
    by_slots: bool,
    /// Dead letters wait for their sink.
    by_letters: bool,
}

impl Pump {
    pub(super) async fn run(mut self) {
        loop {
            let next = self.turn();
            if self.is_over() {
                break;
            }
            self.wait(next).await;
            // A driver that answers at once gives no other reason to let go of the thread.
            consume_budget().await;
        }
        let grace = self.patience();
        // What holds the driver as well, goes first.
        (self.executor, self.rules.describer) = (None, None);
        if let Some(driver) = self.driver.take() {
            let backend = driver.backend();
            // One that nobody polls any more ends when it is dropped.
            if tokio::time::timeout(grace.min(GRACE), self.previews.end()).await.is_err() {
                tracing::warn!(backend, "a preview did not end before its driver was closed");
            }
            let closed = tokio::time::timeout(grace, catch_async(async { driver.let_go().await }));
            if !matches!(closed.await, Ok(Ok(()))) {
                tracing::warn!(backend, "the driver did not close in time");
            }
        }
        self.shared.letters.drain(after(grace)).await;
        self.shared.ended.send_replace(Life::Done);
    }

    /// How long the driver may take to close, and the last dead letters to be delivered: as long as a
    /// flow that was dropped or cancelled may take; after a close no less than by default.
    fn patience(&self) -> Duration {
        let grace = self.shared.terms.grace;
        let deadline = self.shared.queue.look().deadline;
        let was_closed = deadline.is_some_and(|deadline| deadline.then == Phase::Returning);
        if was_closed { grace.max(DEFAULT_GRACE) } else { grace }
    }

    /// One look around. Returns when the next is needed at the latest.
    fn turn(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.shared.is_cancelled();
        let look = self.shared.queue.look();
        let look = self.obey(look, now);
        let interval = self.shared.tune().flush_interval;
        let aged = |since: Instant| later(since, interval) <= now;
        let may_start = self.shared.slots.available() > 0;
        self.held_back = HeldBack {
            by_slots: look.since.is_some() && !may_start,
            by_letters: self.shared.letters.backlog() > 0,
        };
        let lane_aged = || {
            let lanes = self.stations.iter().flatten().filter_map(Station::lane);
            lanes.filter_map(Lane::oldest_startable).any(aged)
        };
        if look.urgent
            || look.since.is_some_and(aged)
            || (look.since.is_some() && may_start && (look.tracked || lane_aged()))
        {
            self.take(&look);
        }
        if look.phase == Phase::Open || look.phase == Phase::Draining {
            self.note_altered();
            self.describe(now);
            self.start_batches(&look, now);
        } else {
            self.sweep(&look);
        }
        self.note();
        self.forget_idle();
        self.next_turn(&look, interval)
    }

    /// Ends what must end: the close's deadline is over, or the flow abandons its rows.
    fn obey(&mut self, look: Look, now: Instant) -> Look {
        let over = look.deadline.filter(|deadline| deadline.at <= now);
        let look = match over {
            Some(deadline) if look.phase == Phase::Draining => {
                self.shared.queue.close(deadline.then, None);
                Look { phase: deadline.then, ..look }
            }
            _ => look,
        };
        let stops = matches!(look.phase, Phase::Returning | Phase::Abandoning);
        if stops && self.landing.is_none() {
            self.shared.stop.send_replace(true);
            self.landing = Some(now + LANDING);
        }
        if self.landing.is_some_and(|landing| landing <= now) && !self.aborted {
            self.aborted = true;
            self.fleet.abort();
            // Whose rows are settled as each of them ends.
            self.stations.iter_mut().flatten().for_each(Station::abandon_tasks);
        }
        look
    }

    /// Moves the queue's rows to their stations.
    fn take(&mut self, look: &Look) {
        let shared = Arc::clone(&self.shared);
        let mut room = std::mem::take(&mut self.room);
        let Some(taken) = self.shared.queue.take(&mut room) else {
            self.room = room;
            return;
        };
        let began = self.shared.reporter.is_on().then(|| (Instant::now(), schemas(&room)));
        let count = room.len();
        // All keys first: the rows lie in the caches of those who submitted them, and here the
        // processor fetches several at a time.
        let mut keys = std::mem::take(&mut self.keys);
        keys.extend(room.iter().map(|entry| self.station(entry).key_of(&entry.request)));
        let rows = (taken.first_submission..).zip(room.drain(..)).zip(keys.drain(..));
        for ((submission, entry), key) in rows {
            let bytes = entry.request.size_bytes();
            let allowance = Allowance::Of(&shared.queue, entry.slot);
            let station = self.station(&entry);
            let held = Held { request: Some(entry.request), reply: entry.reply, submission, bytes };
            station.add(held, key, taken.since, allowance);
        }
        self.keys = keys;
        self.room = room;
        if let Some((began, schemas)) = began {
            self.shared.reporter.tell(|backend, metrics| {
                metrics.flush(&FlushEvent {
                    backend,
                    trigger: look.trigger(taken.first_submission),
                    rows: count,
                    schemas,
                    waited: began.saturating_duration_since(taken.since),
                    merging: began.elapsed(),
                });
            });
        }
    }

    /// The row's station, made if need be.
    #[inline]
    fn station(&mut self, entry: &Entry) -> &mut Station {
        let at = entry.slot as usize;
        if self.stations.len() <= at {
            self.stations.resize_with(at + 1, || None);
        }
        let schema = || entry.request.schema().clone();
        self.stations[at].get_or_insert_with(|| Station::new(schema(), &self.rules))
    }

    /// Closes the lanes of tables that changed. After the rows are taken, so that none of them goes
    /// by what the table was before it was submitted.
    fn note_altered(&mut self) {
        for slot in self.shared.take_altered() {
            if let Some(Some(station)) = self.stations.get_mut(slot as usize) {
                station.alter(&self.rules);
            }
        }
    }

    /// Asks for the tables that are not known yet; not while dead letters wait for their sink, as
    /// the rows of a table that is not there would join them.
    fn describe(&mut self, now: Instant) {
        let Some(describer) = &self.rules.describer else { return };
        if self.held_back.by_letters {
            return;
        }
        for (slot, station) in self.stations.iter_mut().enumerate() {
            let Some(station) = station else { continue };
            let allowance = Allowance::Of(&self.shared.queue, slot as u32);
            if !station.wants_describing(now, allowance) {
                continue;
            }
            station.table = Table::Asking;
            let (describer, schema) = (describer.clone(), station.schema.clone());
            let attempt = Attempt::with_parent(Some(self.shared.stop.subscribe()));
            self.fleet.describe(slot as u32, async move {
                tokio::select! {
                    biased;
                    described = describer.describe(&schema) => described,
                    () = attempt.cancelled() => {
                        Err(RowError::NotSent(ErrorKind::Cancelled.into()))
                    }
                }
            });
        }
    }

    /// Starts batches, the oldest first, while there are slots.
    fn start_batches(&mut self, look: &Look, now: Instant) {
        let Some(executor) = self.executor.clone() else { return };
        let tune = self.shared.tune();
        let due = Due {
            before: now.checked_sub(tune.flush_interval),
            flush_upto: look.flush_upto,
            all: look.phase != Phase::Open || look.pressure,
            closes: look.phase != Phase::Open,
            limits: limits(tune.flush_size, tune.flush_bytes, &self.capabilities),
        };
        // While dead letters wait for their sink, new batches wait for it too.
        while !self.held_back.by_letters {
            if self.shared.slots.available() == 0 {
                let mut lanes = self.stations.iter().flatten().filter_map(Station::lane);
                self.held_back.by_slots |= lanes.any(|lane| lane.oldest_startable().is_some());
                break;
            }
            let stations = self.stations.iter().enumerate();
            let oldest = stations
                .filter_map(|(slot, station)| {
                    let (since, shape) = station.as_ref()?.lane()?.due(&due)?;
                    Some((since, slot, shape))
                })
                .min();
            let Some((_, slot, shape)) = oldest else { break };
            let Some(permit) = self.shared.slots.try_acquire() else {
                self.held_back.by_slots = true;
                break;
            };
            let Some(station) = self.stations[slot].as_mut() else { break };
            let Some(lane) = station.lane_mut() else { break };
            let trigger = lane.trigger(shape, &due);
            let began = self.shared.reporter.is_on().then(Instant::now);
            let Some(formed) = lane.form(shape, &due.limits) else {
                // Every row of the shape waits for a key in flight.
                continue;
            };
            let rows: usize = formed.rows.iter().map(Sent::len).sum();
            let formed_rows = formed.rows.len();
            let merged = rows - formed_rows;
            station.flights.push((formed.flight, formed.since, now));
            self.shared.queue.launch(rows);
            self.shared.tally.launch(trigger, merged);
            if let Some(began) = began {
                let assembling = began.elapsed();
                self.shared.reporter.tell(|backend, metrics| {
                    metrics.launch(&LaunchEvent {
                        backend,
                        table: formed.batch.schema().table(),
                        trigger,
                        rows: formed_rows,
                        merged,
                        waited: now.saturating_duration_since(formed.since),
                        assembling,
                    });
                });
            }
            let attempt =
                Attempt::with_parent(Some(self.shared.stop.subscribe())).with_permit(permit);
            let is_small = trigger == Trigger::Tracked
                && self.capabilities.is_nonblocking()
                && formed_rows <= SMALL
                && formed.batch.size_bytes() <= SMALL_BYTES;
            let claims = formed.rows.iter().filter_map(Sent::claim).collect();
            let landed = Landed { slot: slot as u32, flight: formed.flight, claims };
            let flight = Flight::new(
                Arc::clone(&self.shared),
                Arc::clone(&executor),
                attempt,
                slot as u32,
                station.described,
                formed.batch,
                formed.rows,
            );
            let fly = async move {
                // Its rows are settled as it is dropped.
                let _ = catch_async(flight.fly()).await;
                landed
            };
            self.fleet.fly(fly, is_small);
        }
    }

    /// Settles every row that never left the flow.
    fn sweep(&mut self, look: &Look) {
        self.take(look);
        for (slot, station) in self.stations.iter_mut().enumerate() {
            let held = station.as_mut().map(Station::sweep).unwrap_or_default();
            if !held.is_empty() {
                self.shared.settle_unsent(slot as u32, held);
            }
        }
    }

    /// Tells [`Health`](super::stats::Health) what is seen here.
    fn note(&self) {
        let stations = || self.stations.iter().flatten();
        let mut notes = self.shared.notes();
        notes.oldest = stations().filter_map(Station::oldest).min();
        notes.failed.clear();
        let failed = stations().filter(|station| matches!(station.table, Table::Failed(_)));
        notes.failed.extend(failed.map(|station| station.schema.clone()));
        notes.flying.clear();
        notes.flying.extend(stations().filter_map(|station| {
            let started = station.flights.iter().map(|(_, _, started)| *started).min()?;
            Some((started, station.schema.clone()))
        }));
    }

    fn forget_idle(&mut self) {
        if self.stations.len() <= IDLE_STATIONS {
            return;
        }
        let known = self.stations.iter().flatten().count();
        let idle = (0..self.stations.len())
            .filter(|&slot| self.stations[slot].as_ref().is_some_and(Station::is_idle));
        let surplus: Vec<usize> = idle.take(known.saturating_sub(IDLE_STATIONS)).collect();
        for slot in surplus {
            if self.shared.queue.forget(slot as u32) {
                self.stations[slot] = None;
            }
        }
    }

    fn next_turn(&self, look: &Look, interval: Duration) -> Option<Instant> {
        let queued = self.shared.queue.since().map(|since| later(since, interval));
        let HeldBack { by_slots, by_letters } = self.held_back;
        let may_start = !(by_slots || by_letters);
        let stations = self.stations.iter().flatten();
        let turn = |station: &Station| station.next_turn(interval, may_start, !by_letters);
        let lanes = stations.filter_map(turn).min();
        let deadline = look.deadline.map(|deadline| deadline.at);
        let deadline = deadline.filter(|_| look.phase == Phase::Draining);
        let landing = self.landing.filter(|_| !self.aborted);
        [queued, lanes, deadline, landing].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        self.shared.queue.phase() != Phase::Open
            && self.fleet.is_empty()
            && self.shared.queue.since().is_none()
            && self.stations.iter().flatten().all(Station::is_idle)
    }

    /// Waits for the next thing to do.
    async fn wait(&mut self, next: Option<Instant>) {
        let shared = Arc::clone(&self.shared);
        let open = shared.queue.phase() == Phase::Open;
        let woken = poll_fn(|cx| {
            if open && shared.cancel.watch(cx.waker()) {
                return Poll::Ready(());
            }
            shared.queue.poll_woken(cx)
        });
        let timer = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        let HeldBack { by_slots, by_letters } = self.held_back;
        tokio::select! {
            biased;
            event = self.fleet.next() => {
                self.handle(event);
                while let Some(event) = self.fleet.try_next() {
                    self.handle(event);
                }
            }
            () = woken => {}
            () = shared.slots.freed().notified(), if by_slots => {}
            () = shared.letters.emptied(), if by_letters => {}
            () = timer => {}
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Landed(landed) => self.land(&landed),
            Event::Described(slot, described) => {
                let Some(Some(station)) = self.stations.get_mut(slot as usize) else { return };
                let allowance = Allowance::Of(&self.shared.queue, slot);
                match described {
                    Ok(table) => station.open(&table, &self.rules, allowance),
                    Err(error) if self.shared.letters.backlog() > 0 => {
                        self.shared.note_error(error.error());
                        station.ask_later(Instant::now());
                    }
                    Err(error) => {
                        let held = station.fail(Instant::now());
                        self.refuse(slot, held, &error);
                    }
                }
            }
            Event::Aborted => {}
        }
    }

    fn land(&mut self, landed: &Landed) {
        let Some(Some(station)) = self.stations.get_mut(landed.slot as usize) else { return };
        station.land(landed.flight, &landed.claims);
    }

    /// Settles rows whose table could not be described.
    fn refuse(&self, slot: u32, held: Vec<Held>, error: &RowError) {
        let end = match error {
            RowError::NotSent(_) => self.shared.end_of_unapplied(),
            _ => End::Rejected,
        };
        let ended = held.into_iter().map(|held| Ended { held, end, result: Err(error.clone()) });
        self.shared.settle(slot, From::Lanes, ended.collect());
    }
}

impl Look {
    /// Why the queued rows, of which this is the first, are taken.
    fn trigger(&self, first_submission: u64) -> Trigger {
        let (rows, bytes) = self.many;
        if rows {
            Trigger::Full
        } else if bytes {
            Trigger::Bytes
        } else if self.phase != Phase::Open {
            Trigger::Close
        } else if first_submission < self.flush_upto {
            Trigger::Flush
        } else if self.pressure {
            Trigger::Room
        } else if self.tracked {
            Trigger::Tracked
        } else {
            Trigger::Age
        }
    }
}

/// Of how many schemas these rows are.
fn schemas(entries: &[Entry]) -> usize {
    let mut slots: Vec<u32> = entries.iter().map(|entry| entry.slot).collect();
    slots.dedup();
    slots.sort_unstable();
    slots.dedup();
    slots.len()
}

/// However the pump ends, every row has its verdict and nobody waits for it any more.
impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.queue.close(Phase::Abandoning, None);
        let look = self.shared.queue.look();
        self.sweep(&look);
        self.shared.notes().clear();
        self.shared.ended.send_if_modified(|life| {
            let stopped = *life == Life::Running;
            if stopped {
                *life = Life::Stopped;
            }
            stopped
        });
    }
}
