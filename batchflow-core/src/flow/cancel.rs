//! Cancellation by any future: seen by the very next `submit`, without polling it in each.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use crate::unwind::catch;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Watches a cancellation future. The future's own waker rings a bell, so that whoever cancels
/// first and submits then hears it.
pub(super) struct Cancel {
    signal: Mutex<Option<Signal>>,
    bell: Arc<Bell>,
    /// Someone is finding out why the bell rang.
    looking: AtomicBool,
}

struct Bell {
    rung: AtomicBool,
    /// Wakes the pump.
    pump: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        let pump = self.pump.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pump) = pump {
            pump.wake();
        }
    }
}

impl Cancel {
    pub(super) fn new(signal: Option<Signal>) -> Self {
        let rung = AtomicBool::new(signal.is_some());
        let bell = Bell { rung, pump: Mutex::new(None) };
        Self { signal: Mutex::new(signal), bell: Arc::new(bell), looking: AtomicBool::new(false) }
    }

    /// Whether the future may have resolved: [`check`](Self::check) tells.
    #[inline]
    pub(super) fn is_rung(&self) -> bool {
        self.bell.rung.load(Ordering::SeqCst) || self.looking.load(Ordering::SeqCst)
    }

    /// Whether the future has resolved. One that panics has. The bell keeps ringing then.
    pub(super) fn check(&self) -> bool {
        let mut signal = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = signal.as_mut() else {
            return self.bell.rung.load(Ordering::SeqCst);
        };
        self.looking.store(true, Ordering::SeqCst);
        let mut resolved = false;
        if self.bell.rung.swap(false, Ordering::SeqCst) {
            let waker = Waker::from(Arc::clone(&self.bell));
            let poll = catch(|| future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
            resolved = poll.unwrap_or(true);
        }
        if resolved {
            *signal = None;
            self.bell.rung.store(true, Ordering::SeqCst);
        }
        self.looking.store(false, Ordering::SeqCst);
        resolved
    }

    /// Sets whom to wake when the future may have resolved; tells whether it may have already.
    pub(super) fn watch(&self, pump: &Waker) -> bool {
        let mut slot = self.bell.pump.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(pump.clone());
        drop(slot);
        self.is_rung()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("rung", &self.is_rung()).finish_non_exhaustive()
    }
}
