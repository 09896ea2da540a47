//! The [`Hub`]: one flow's dead letters on their way to the sink.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{DeadLetter, DeadLetterError, DeadLetterSink};
use crate::unwind::{self, Panicked};

/// Letters offered to the sink at once.
const GROUP: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Holds one flow's letters until the sink has them.
///
/// Its memory is bounded by who pushes: no new batch is started, and no row refused for its table,
/// while [`backlog`](Self::backlog) is above zero; so at most the rows that were then under way are
/// here.
/// Dropping it ends its task; what the sink then has not taken is logged and counted.
#[derive(Debug)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

/// What became of the letters that are no longer in the backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LetterCounts {
    /// Taken by the sink.
    pub(crate) delivered: u64,
    /// Not taken: the sink was gone or refused them, or the time was over.
    pub(crate) undeliverable: u64,
    /// Logged, because there is no sink.
    pub(crate) logged: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Letters that the sink has not taken; changed under the lock of `state`.
    backlog: watch::Sender<usize>,
    /// When the hub is to be done, once it was told.
    closing: watch::Sender<Option<Instant>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<DeadLetter>,
    counts: LetterCounts,
    stage: Stage,
    /// Whether the task runs.
    task: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    NoSink,
    Delivering,
    /// The sink takes no more: whatever comes now is undeliverable.
    Ended,
}

impl Hub {
    /// Starts delivering to `sink` on `runtime`.
    pub(crate) fn start(sink: Option<Arc<dyn DeadLetterSink>>, runtime: &Handle) -> Self {
        let task = sink.is_some();
        let stage = if task { Stage::Delivering } else { Stage::NoSink };
        let shared = Arc::new(Shared {
            state: Mutex::new(State { stage, task, ..State::default() }),
            backlog: watch::Sender::new(0),
            closing: watch::Sender::new(None),
        });
        if let Some(sink) = sink {
            let courier =
                Courier { shared: Arc::clone(&shared), group: VecDeque::new(), offered: 0 };
            runtime.spawn(courier.run(sink));
        }
        Self { shared }
    }

    /// Takes letters over. Never blocks, loses none.
    pub(crate) fn push(&self, letters: Vec<DeadLetter>) {
        if letters.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        match state.stage {
            Stage::NoSink => {
                state.counts.logged += letters.len() as u64;
                drop(state);
                letters.iter().for_each(log_without_sink);
            }
            Stage::Delivering => {
                self.shared.backlog.send_modify(|backlog| *backlog += letters.len());
                state.waiting.extend(letters);
            }
            Stage::Ended => {
                state.counts.undeliverable += letters.len() as u64;
                drop(state);
                letters.iter().for_each(log_undeliverable);
            }
        }
    }

    /// How many letters the sink has not taken yet.
    pub(crate) fn backlog(&self) -> usize {
        *self.shared.backlog.borrow()
    }

    /// Waits until there is no backlog. Cancel safe.
    pub(crate) async fn emptied(&self) {
        let mut backlog = self.shared.backlog.subscribe();
        // The sender lives in `self.shared`.
        let _ = backlog.wait_for(|backlog| *backlog == 0).await;
    }

    /// Delivers what is here until `deadline` at the latest, and ends the task. What the sink has
    /// not taken by then is logged without its values and counted as undeliverable.
    pub(crate) async fn drain(&self, deadline: Instant) -> LetterCounts {
        self.shared.close_by(deadline);
        let mut closing = self.shared.closing.subscribe();
        while self.shared.lock().task {
            // The task's end touches `closing`.
            if closing.changed().await.is_err() {
                break;
            }
        }
        self.counts()
    }

    pub(crate) fn counts(&self) -> LetterCounts {
        self.shared.lock().counts
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.close_by(Instant::now());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_by(&self, deadline: Instant) {
        self.closing.send_modify(|closing| {
            *closing = Some(closing.map_or(deadline, |earlier| earlier.min(deadline)));
        });
    }
}

/// The task's side. However it ends, every letter is accounted for.
struct Courier {
    shared: Arc<Shared>,
    /// What is offered to the sink, which removes what it has taken.
    group: VecDeque<DeadLetter>,
    /// The group's length when it was last counted.
    offered: usize,
}

/// What to do after an offer.
enum Next {
    Go,
    Pause,
    Stop,
}

impl Courier {
    async fn run(mut self, sink: Arc<dyn DeadLetterSink>) {
        let mut backlog = self.shared.backlog.subscribe();
        let mut closing = self.shared.closing.subscribe();
        let mut over = pin!(over(closing.clone()));
        let mut pause = FIRST_PAUSE;
        loop {
            if self.group.is_empty() {
                tokio::select! {
                    biased;
                    _ = backlog.wait_for(|backlog| *backlog > 0) => self.take_group(),
                    _ = closing.wait_for(Option::is_some) => break,
                }
            }
            let offer = unwind::catch_async(sink.deliver(&mut self.group));
            let result = tokio::select! {
                biased;
                result = offer => result,
                () = &mut over => break,
            };
            let taken = self.count_taken();
            if taken > 0 {
                pause = FIRST_PAUSE;
            }
            match self.judge(result, taken) {
                Next::Go => {}
                Next::Pause => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                        () = &mut over => break,
                    }
                }
                Next::Stop => break,
            }
        }
        self.give_up_all();
        tokio::select! {
            biased;
            result = unwind::catch_async(sink.close()) => if result.is_err() {
                tracing::error!("the dead-letter sink panicked while closing");
            },
            () = self::over(closing) => {}
        }
    }

    fn judge(
        &mut self,
        result: Result<Result<(), DeadLetterError>, Panicked>,
        taken: usize,
    ) -> Next {
        match result {
            Ok(Ok(())) if self.group.is_empty() || taken > 0 => Next::Go,
            Ok(Ok(())) => Next::Pause,
            Ok(Err(DeadLetterError::Closed)) => Next::Stop,
            Ok(Err(error @ DeadLetterError::Refused { .. })) => {
                tracing::error!(%error, "the dead-letter sink refused a letter");
                self.give_up_first();
                Next::Go
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, waiting = self.group.len(), "dead letters wait");
                Next::Pause
            }
            Err(Panicked) => {
                tracing::error!("the dead-letter sink panicked");
                if taken == 0 {
                    self.give_up_first();
                }
                Next::Go
            }
        }
    }

    fn take_group(&mut self) {
        let mut state = self.shared.lock();
        let count = state.waiting.len().min(GROUP);
        self.group.extend(state.waiting.drain(..count));
        self.offered = self.group.len();
    }

    /// Counts what the sink has removed from the group since this was last asked.
    fn count_taken(&mut self) -> usize {
        let taken = self.offered.saturating_sub(self.group.len());
        self.offered = self.group.len();
        let mut state = self.shared.lock();
        state.counts.delivered += taken as u64;
        self.shared.backlog.send_modify(|backlog| *backlog = backlog.saturating_sub(taken));
        taken
    }

    fn give_up_first(&mut self) {
        if let Some(letter) = self.group.pop_front() {
            self.offered = self.group.len();
            let mut state = self.shared.lock();
            state.counts.undeliverable += 1;
            self.shared.backlog.send_modify(|backlog| *backlog = backlog.saturating_sub(1));
            drop(state);
            log_undeliverable(&letter);
        }
    }

    fn give_up_all(&mut self) {
        self.count_taken();
        let mut lost = std::mem::take(&mut self.group);
        self.offered = 0;
        let mut state = self.shared.lock();
        state.stage = Stage::Ended;
        lost.append(&mut state.waiting);
        state.counts.undeliverable += lost.len() as u64;
        self.shared.backlog.send_replace(0);
        drop(state);
        lost.iter().for_each(log_undeliverable);
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.give_up_all();
        self.shared.lock().task = false;
        // Wakes who waits in `drain`.
        self.shared.closing.send_modify(|_| {});
    }
}

/// Waits until the time given to close is over.
async fn over(mut closing: watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *closing.borrow_and_update();
        let time = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = time => return,
            changed = closing.changed() => if changed.is_err() { return },
        }
    }
}

pub(crate) fn log_without_sink(letter: &DeadLetter) {
    log(letter, "a row was not written, and there is no dead-letter sink");
}

pub(crate) fn log_undeliverable(letter: &DeadLetter) {
    log(letter, "a row was not written, and its dead letter could not be delivered");
}

fn log(letter: &DeadLetter, message: &'static str) {
    let error = letter.error();
    tracing::warn!(
        table = %letter.request().schema().table(),
        submission = letter.submission(),
        outcome = error.as_str(),
        kind = error.error().kind().as_str(),
        "{message}"
    );
}
