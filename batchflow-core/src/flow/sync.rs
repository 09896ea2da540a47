//! The mutex of the queue: the standard library's, or the model checker's.

#[cfg(not(batchflow_loom))]
use std::sync::{self, PoisonError};

#[cfg(batchflow_loom)]
use {loom::sync, std::sync::PoisonError};

pub(super) use sync::MutexGuard;

/// How often a thread that found the mutex locked pauses before it looks again, at first and at
/// most; each time it pauses twice as long.
#[cfg(not(batchflow_loom))]
const PAUSES: (u32, u32) = (64, 1_024);

pub(super) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Locks. Nothing panics while it is held, so a poisoned lock is still sound.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(not(batchflow_loom))]
        if let Some(guard) = self.try_lock().or_else(|| self.stand_back()) {
            return guard;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(not(batchflow_loom))]
    #[inline]
    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(sync::TryLockError::WouldBlock) => None,
        }
    }

    /// Leaves the mutex alone for a while, and longer each time.
    ///
    /// A submit holds it for less time than its cache line takes to travel between cores. Whoever
    /// looks at it all the while takes the line away, and whoever sleeps has to be woken: either
    /// way every row pays for it. One that stands back lets the other submit a few dozen rows.
    #[cfg(not(batchflow_loom))]
    #[cold]
    fn stand_back(&self) -> Option<MutexGuard<'_, T>> {
        let (mut pauses, most) = PAUSES;
        while pauses <= most {
            for _ in 0..pauses {
                std::hint::spin_loop();
            }
            if let Some(guard) = self.try_lock() {
                return Some(guard);
            }
            pauses *= 2;
        }
        None
    }
}
