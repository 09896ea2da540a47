//! [`Slots`]: how many attempts may be in flight.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

/// How many attempts may be in flight, changeable while they are. First come, first served.
#[derive(Debug)]
pub(crate) struct Slots {
    semaphore: Semaphore,
    size: Mutex<Size>,
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct Size {
    limit: usize,
    /// Permits in use beyond the limit: they are not given back when released.
    surplus: usize,
}

impl Slots {
    /// `limit` slots, at least one.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            semaphore: Semaphore::new(limit),
            size: Mutex::new(Size { limit, surplus: 0 }),
            freed: Arc::default(),
        })
    }

    /// How many attempts could begin now.
    pub(crate) fn available(&self) -> usize {
        self.semaphore.available_permits()
    }

    /// How many attempts may be in flight.
    pub(crate) fn limit(&self) -> usize {
        self.size().limit
    }

    /// Changes how many may be in flight, at least one. Those already in flight finish; where
    /// they are too many, none begins until enough have.
    pub(crate) fn set(&self, limit: usize) {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        let mut size = self.size();
        if limit > size.limit {
            let grown = limit - size.limit;
            let kept = grown.min(size.surplus);
            size.surplus -= kept;
            self.semaphore.add_permits(grown - kept);
        } else {
            let shrunk = size.limit - limit;
            size.surplus += shrunk - self.semaphore.forget_permits(shrunk);
        }
        size.limit = limit;
        drop(size);
        self.freed.notify_one();
    }

    /// Told whenever a slot may have become free; remembers one notice while nobody waits.
    pub(crate) fn freed(&self) -> &Arc<Notify> {
        &self.freed
    }

    /// Waits for a slot. Cancel safe: who stops waiting has none.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        // The semaphore is never closed, so this is never an error.
        if let Ok(permit) = self.semaphore.acquire().await {
            permit.forget();
        }
        Permit(Arc::clone(self))
    }

    /// A slot, if one is free and nobody waits for it.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let permit = self.semaphore.try_acquire().ok()?;
        permit.forget();
        Some(Permit(Arc::clone(self)))
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot, until dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Slots>);

impl Permit {
    /// Whether it is one of these slots.
    pub(crate) fn is_of(&self, slots: &Arc<Slots>) -> bool {
        Arc::ptr_eq(&self.0, slots)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut size = self.0.size();
        if size.surplus > 0 {
            size.surplus -= 1;
        } else {
            self.0.semaphore.add_permits(1);
        }
        drop(size);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_shrink_and_grow_while_in_use() {
        let slots = Slots::new(3);
        let mut held = vec![slots.acquire().await, slots.acquire().await, slots.acquire().await];
        slots.set(1);
        held.pop();
        held.pop();
        assert_eq!((slots.limit(), slots.available()), (1, 0));
        held.pop();
        assert_eq!(slots.available(), 1);

        held.push(slots.acquire().await);
        slots.set(0);
        assert_eq!((slots.limit(), slots.available()), (1, 0));
        slots.set(4);
        assert_eq!(slots.available(), 3);
        drop(held);
        assert_eq!(slots.available(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn growing_pays_off_what_shrinking_owed() {
        let slots = Slots::new(4);
        let held = [slots.acquire().await, slots.acquire().await, slots.acquire().await];
        slots.set(1);
        slots.set(2);
        drop(held);
        assert_eq!(slots.available(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pump_hears_of_a_slot_freed_before_it_listens() {
        let slots = Slots::new(1);
        drop(slots.acquire().await);
        slots.freed().notified().await;
    }
}
