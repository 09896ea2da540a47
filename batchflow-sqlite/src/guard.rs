//! The [`Guard`]: how long a statement may wait for a lock, and when it must stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::fate::Fate;

/// Virtual machine steps between two looks at whether to stop: some hundreds of rows.
const STEPS: i32 = 10_000;

/// The longest sleep between two tries for a lock, and so how late a cancellation is seen.
const NAP: Duration = Duration::from_millis(10);

/// What SQLite's busy and progress callbacks ask while a statement runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    wait_until: Option<Instant>,
    fate: Option<Arc<Fate>>,
}

impl Guard {
    /// Sets the connection's busy and progress callbacks.
    pub(crate) fn install(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let guard = self.clone();
        connection.busy_handler(Some(move |tries| guard.wait_for_lock(tries)))?;
        let guard = self.clone();
        connection.progress_handler(STEPS, Some(move || guard.is_stopped()))
    }

    /// Lets statements wait for a lock up to `timeout`, and up to a little before the batch's
    /// deadline.
    pub(crate) fn enter(&self, timeout: Duration, fate: Option<&Arc<Fate>>) {
        let now = Instant::now();
        let patience = match fate.and_then(|fate| fate.deadline()) {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(now);
                let spare = (left / 10).min(Duration::from_millis(250));
                timeout.min(left.saturating_sub(spare))
            }
            None => timeout,
        };
        let mut state = self.state();
        state.wait_until = now.checked_add(patience);
        state.fate = fate.cloned();
    }

    /// From here on nothing is stopped half-way: the commit or the rollback comes.
    pub(crate) fn finish(&self) {
        self.state().fate = None;
    }

    fn wait_for_lock(&self, tries: i32) -> bool {
        let left = {
            let state = self.state();
            if state.fate.as_ref().is_some_and(|fate| fate.is_stopped()) {
                return false;
            }
            state.wait_until.map(|until| until.saturating_duration_since(Instant::now()))
        };
        let nap = NAP.min(Duration::from_millis(u64::from(tries.unsigned_abs()) + 1));
        match left {
            Some(Duration::ZERO) => return false,
            Some(left) => std::thread::sleep(nap.min(left)),
            None => std::thread::sleep(nap),
        }
        true
    }

    fn is_stopped(&self) -> bool {
        self.state().fate.as_ref().is_some_and(|fate| fate.is_stopped())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
