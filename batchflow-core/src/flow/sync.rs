//! The mutex of the queue: the standard library's, or the model checker's.

#[cfg(not(batchflow_loom))]
use std::sync::{self, PoisonError};

#[cfg(batchflow_loom)]
use {loom::sync, std::sync::PoisonError};

pub(super) use sync::MutexGuard;

pub(super) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Locks. Nothing panics while it is held, so a poisoned lock is still sound.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
