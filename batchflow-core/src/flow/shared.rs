//! What a flow's handles, its pump and its batches share, and how rows are settled.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock};

use tokio::sync::watch;
use tokio::time::Instant;

use super::cancel::Cancel;
use super::lane::Held;
use super::queue::{Deadline, End, From, Phase, Queue, Refused, Settled};
use super::stats::Health;
use super::submit::{SubmitError, SubmitReason};
use super::tally::Tally;
use super::tune::Tune;
use crate::dead_letter::{DeadLetter, Hub};
use crate::driver::{ErrorKind, WriteError};
use crate::executor::{self, Classes, Slots};
use crate::metrics::{
    DeadLetterEvent, FlowReading, LetterStats, Probed, Reporter, Source, SubmitEvent,
};
use crate::outcome::{Outcome, RowError};
use crate::request::{Request, RequestError};
use crate::schema::Schema;

/// Of so many submits, one is timed.
const SAMPLED: u32 = 64;

pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) slots: Arc<Slots>,
    pub(super) letters: Hub,
    pub(super) cancel: Cancel,
    /// Turns true when attempts in flight must end.
    pub(super) stop: watch::Sender<bool>,
    /// Whether the pump has ended, and how.
    pub(super) ended: watch::Sender<Life>,
    /// What is done about errors.
    pub(super) classes: Classes,
    pub(super) terms: Terms,
    pub(super) reporter: Reporter,
    pub(super) tally: Tally,
    pub(super) probed: Arc<Probed>,
    tune: Mutex<Tune>,
    returned: Mutex<Vec<(u64, Request)>>,
    notes: Mutex<Notes>,
    /// Whose tables batches found changed; each schema once.
    altered: Mutex<Vec<u32>>,
    health: Arc<executor::Health>,
}

/// Who keeps the book on the stack's failures, who is told of everything, and who judges errors.
pub(super) struct Watchers {
    pub(super) health: Arc<executor::Health>,
    pub(super) reporter: Reporter,
    pub(super) classes: Classes,
}

/// What a flow does beside its pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) buffer_rows: usize,
    pub(super) buffer_bytes: usize,
    /// A cancelled flow still writes what it holds.
    pub(super) drain_on_cancel: bool,
    /// How long a cancelled or dropped flow still writes.
    pub(super) grace: Duration,
    pub(super) close_timeout: Duration,
    /// A batch in flight for longer has failed or hangs.
    pub(super) patience: Duration,
}

/// How far a flow's pump has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// Every row has its verdict, and what was to be closed is closed.
    Done,
    /// It was dropped half-way, with its runtime. Batches of its own may still be running.
    Stopped,
}

/// What the pump last saw, for [`Health`](super::stats::Health).
#[derive(Default)]
pub(super) struct Notes {
    pub(super) oldest: Option<Instant>,
    /// Tables that could not be described.
    pub(super) failed: Vec<Schema>,
    /// The schemas that have a batch in flight, and since when.
    pub(super) flying: Vec<(Instant, Schema)>,
    pub(super) last_error: Option<ErrorKind>,
}

impl Notes {
    /// The flow has ended: nothing is held any more.
    pub(super) fn clear(&mut self) {
        (self.oldest, self.failed, self.flying) = (None, Vec::new(), Vec::new());
    }
}

/// A submit that waits for room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    began: Option<Clock>,
    sampled: bool,
}

/// A row and its end.
pub(super) struct Ended {
    pub(super) held: Held,
    pub(super) end: End,
    pub(super) result: Result<Outcome, RowError>,
}

impl Shared {
    pub(super) fn new(
        queue: Queue,
        slots: Arc<Slots>,
        letters: Hub,
        cancel: Cancel,
        watchers: Watchers,
        terms: Terms,
        tune: Tune,
    ) -> Self {
        let Watchers { health, reporter, classes } = watchers;
        let probed = Probed::new::<Self>(reporter.backend);
        Self {
            queue,
            slots,
            letters,
            cancel,
            stop: watch::Sender::new(false),
            ended: watch::Sender::new(Life::Running),
            classes,
            terms,
            reporter,
            tally: Tally::default(),
            probed,
            tune: Mutex::new(tune),
            returned: Mutex::default(),
            notes: Mutex::default(),
            altered: Mutex::default(),
            health,
        }
    }

    /// Whether the flow has been cancelled; if so, it takes no more rows from now on.
    pub(super) fn is_cancelled(&self) -> bool {
        if !self.cancel.is_rung() || !self.cancel.check() {
            return false;
        }
        let drains = self.terms.drain_on_cancel;
        if self.queue.phase() == Phase::Open {
            self.end(if drains { Phase::Draining } else { Phase::Abandoning });
        }
        true
    }

    /// Takes no more rows. What is still held when the grace is over is abandoned.
    pub(super) fn end(&self, phase: Phase) {
        let deadline = Deadline { at: after(self.terms.grace), then: Phase::Abandoning };
        self.queue.close(phase, Some(deadline));
    }

    pub(super) fn tune(&self) -> Tune {
        *lock(&self.tune)
    }

    /// Changes the pace in one step, and tells the pump.
    pub(super) fn retune(&self, change: impl FnOnce(Tune) -> Tune) {
        let mut tune = lock(&self.tune);
        *tune = change(*tune);
        // Before anyone else may change it, so that all of them hold what was said last.
        self.slots.set(tune.concurrency);
        self.queue.set_wake(tune.flush_size, tune.flush_bytes);
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }

    /// A schema's table is not what was described.
    pub(super) fn note_altered(&self, slot: u32) {
        let mut altered = lock(&self.altered);
        if !altered.contains(&slot) {
            altered.push(slot);
        }
    }

    pub(super) fn take_altered(&self) -> Vec<u32> {
        std::mem::take(&mut *lock(&self.altered))
    }

    pub(super) fn note_error(&self, error: &WriteError) {
        self.notes().last_error = Some(error.kind());
    }

    pub(super) fn health(&self) -> Health {
        let now = Instant::now();
        let notes = self.notes();
        let oldest = notes.oldest.into_iter().chain(self.queue.since()).min();
        let late =
            notes.flying.iter().filter(|(started, _)| later(*started, self.terms.patience) <= now);
        let late = late.map(|(_, schema)| schema.table().to_string());
        let mut stalled: Vec<String> =
            late.chain(notes.failed.iter().map(|schema| schema.table().to_string())).collect();
        let failing = self.health.failing();
        let last = failing.iter().max_by_key(|(_, failure)| failure.last);
        let last_error = last.map(|(_, failure)| failure.kind).or(notes.last_error);
        drop(notes);
        stalled.extend(failing.iter().map(|(schema, _)| schema.table().to_string()));
        stalled.sort_unstable();
        stalled.dedup();
        Health {
            oldest_pending: oldest.map(|oldest| now.saturating_duration_since(oldest)),
            stalled,
            last_error,
            dead_letter_backlog: self.letters.backlog(),
        }
    }

    /// Whether a row may be queued at all.
    #[inline]
    pub(super) fn admits(&self, request: &Request) -> bool {
        request.is_sound() && request.size_bytes() <= self.terms.buffer_bytes
    }

    /// Why it may not.
    fn fault_of(&self, request: &Request) -> RequestError {
        request.fault().unwrap_or_else(|| RequestError::TooLarge {
            table: request.schema().table().to_string(),
            bytes: request.size_bytes(),
            limit: self.terms.buffer_bytes,
        })
    }

    /// A row was not queued.
    #[cold]
    pub(super) fn refuse(&self, request: Request, refused: Refused) -> SubmitError {
        let reason = match refused {
            Refused::Invalid => SubmitReason::Invalid(self.fault_of(&request)),
            Refused::Full => SubmitReason::Full,
            Refused::Closed => SubmitReason::Closed,
        };
        self.tally.refuse(&reason);
        SubmitError::new(request, reason)
    }

    /// When a submit begins that is to be timed: one in 64, where anybody listens.
    #[inline]
    pub(super) fn sample(&self) -> Option<Clock> {
        // Drawn at random: any rule would go wrong with programs that submit by one.
        (self.reporter.is_on() && fastrand::u32(..) < u32::MAX / SAMPLED).then(Clock::now)
    }

    /// A submit must wait for room; `sample` is when it began, if it is timed anyhow.
    #[cold]
    pub(super) fn begin_wait(&self, sample: Option<Clock>) -> Waiting {
        self.tally.wait();
        let began = sample.or_else(|| self.reporter.is_on().then(Clock::now));
        Waiting { began, sampled: sample.is_some() }
    }

    /// A submit's wait is over, and its row is queued.
    #[cold]
    pub(super) fn end_wait(&self, waiting: Waiting) {
        if let Some(began) = waiting.began {
            self.tell_submit(began, true, waiting.sampled);
        }
    }

    /// Tells of a submit that was timed.
    #[cold]
    pub(super) fn tell_submit(&self, began: Clock, waited: bool, sampled: bool) {
        let duration = began.elapsed();
        self.reporter.tell(|backend, metrics| {
            metrics.submit(&SubmitEvent { backend, duration, waited, sampled });
        });
    }

    /// The rows handed back so far, in submission order.
    pub(super) fn take_returned(&self) -> Vec<Request> {
        let mut returned = std::mem::take(&mut *lock(&self.returned));
        returned.sort_by_key(|(submission, _)| *submission);
        returned.into_iter().map(|(_, request)| request).collect()
    }

    /// How a row ends that was surely not applied: as the flow was told to end, or given up.
    pub(super) fn end_of_unapplied(&self) -> End {
        match self.queue.phase() {
            Phase::Returning => End::Returned,
            Phase::Abandoning => End::Abandoned,
            Phase::Open | Phase::Draining => End::Rejected,
        }
    }

    /// Settles rows of one schema: their letters are posted and their ends counted before anyone
    /// is told.
    pub(super) fn settle(&self, slot: u32, from: From, rows: Vec<Ended>) {
        let mut letters = Vec::new();
        let mut settled = Vec::with_capacity(rows.len());
        let mut replies = Vec::new();
        for Ended { mut held, end, result } in rows {
            settled.push(Settled { submission: held.submission, bytes: held.bytes, end });
            if let Err(error) = &result {
                self.note_error(error.error());
            }
            match (end, held.request.take(), &result) {
                (End::Rejected | End::Unknown, Some(request), Err(error)) => {
                    letters.push(DeadLetter::new(held.submission, request, error.clone()));
                }
                (End::Returned, Some(request), _) => {
                    lock(&self.returned).push((held.submission, request));
                }
                _ => {}
            }
            if let Some(reply) = held.reply {
                replies.push((reply, result));
            }
        }
        self.tell_letters(&letters);
        self.letters.push(letters);
        self.queue.settle(slot, from, &settled);
        for (reply, result) in replies {
            // A receipt that was dropped has no one to tell.
            let _ = reply.send(result);
        }
    }

    /// Tells of dead letters of one schema, those of one kind together.
    fn tell_letters(&self, letters: &[DeadLetter]) {
        if letters.is_empty() || !self.reporter.is_on() {
            return;
        }
        let why = |letter: &DeadLetter| (letter.error().as_str(), letter.error().error().kind());
        let mut kinds: Vec<((&'static str, ErrorKind), usize)> = Vec::new();
        for letter in letters {
            match kinds.iter_mut().find(|(kind, _)| *kind == why(letter)) {
                Some((_, rows)) => *rows += 1,
                None => kinds.push((why(letter), 1)),
            }
        }
        let table = letters[0].request().schema().table();
        for ((outcome, kind), rows) in kinds {
            self.reporter.tell(|backend, metrics| {
                metrics.dead_letters(&DeadLetterEvent { backend, table, rows, outcome, kind });
            });
        }
    }

    /// Settles rows that never left the flow, because it stops.
    pub(super) fn settle_unsent(&self, slot: u32, rows: impl IntoIterator<Item = Held>) {
        let end = match self.end_of_unapplied() {
            End::Rejected => End::Abandoned,
            end => end,
        };
        let error = WriteError::new(ErrorKind::Cancelled)
            .with_message("the flow stopped before the row was sent");
        let ended = rows.into_iter().map(|held| Ended {
            held,
            end,
            result: Err(RowError::NotSent(error.clone())),
        });
        self.settle(slot, From::Lanes, ended.collect());
    }
}

impl Source for Shared {
    fn reading(&self) -> FlowReading {
        let counts = self.letters.counts();
        let letters = LetterStats {
            delivered: counts.delivered,
            undeliverable: counts.undeliverable,
            logged: counts.logged,
            backlog: self.letters.backlog(),
        };
        let health = self.health();
        FlowReading {
            stats: self.queue.stats(),
            activity: self.tally.activity(),
            letters,
            oldest_pending: health.oldest_pending,
            stalled: health.stalled.len(),
            in_flight: self.tally.in_flight(),
            concurrency: self.slots.limit(),
            buffer_rows: self.terms.buffer_rows,
            buffer_bytes: self.terms.buffer_bytes,
            running: *self.ended.borrow() == Life::Running,
            ended: false,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.probed.end(self.reading());
    }
}

/// `wait` from now.
pub(super) fn after(wait: Duration) -> Instant {
    later(Instant::now(), wait)
}

/// `wait` after `from`; a year after it at the latest, since no clock reaches without end.
pub(super) fn later(from: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    from.checked_add(wait.min(YEAR)).unwrap_or(from)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchFlow").field("stats", &self.queue.stats()).finish_non_exhaustive()
    }
}
