//! [`OwnPool`]: the driver's own connections. Their sessions and prepared statements live as long
//! as they do.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batchflow_core::WriteError;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{ASIDE, Home, Opener, closed};
use crate::session::{Open, Session};

/// A connection that has rested so long is asked whether it still answers.
const RESTED: Duration = Duration::from_secs(1);

/// How long its answer is waited for.
const ANSWER: Duration = Duration::from_secs(1);

/// A connection at rest, and since when.
struct Resting {
    open: Open,
    since: Instant,
}

#[derive(Default)]
struct Rest {
    resting: Vec<Resting>,
    /// When a connection was lost last: those that rest since before may be lost too.
    suspected: Option<Instant>,
}

pub(crate) struct OwnPool {
    opener: Opener,
    slots: Arc<Semaphore>,
    aside: Arc<Semaphore>,
    rest: Mutex<Rest>,
}

impl OwnPool {
    /// An empty pool; nothing is opened yet.
    pub(crate) fn new(opener: Opener, size: usize) -> Self {
        Self {
            opener,
            slots: Arc::new(Semaphore::new(size)),
            aside: Arc::new(Semaphore::new(ASIDE)),
            rest: Mutex::default(),
        }
    }

    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Session, WriteError> {
        let permit = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| closed())?;
        let open = match self.rested().await {
            Some(open) => open,
            None => {
                let mut open = self.opener.open(None).await?;
                open.set_up().await?;
                open
            }
        };
        Ok(Session::new(open, Home::Own { pool: Arc::clone(self), permit }))
    }

    /// The connection that has rested shortest, if it still answers.
    async fn rested(&self) -> Option<Open> {
        loop {
            let (mut resting, suspected) = {
                let mut rest = self.rest();
                (rest.resting.pop()?, rest.suspected)
            };
            let is_sound = resting.since.elapsed() < RESTED
                && suspected.is_none_or(|suspected| resting.since > suspected);
            if is_sound || timeout(ANSWER, resting.open.answers()).await == Ok(true) {
                return Some(resting.open);
            }
        }
    }

    pub(crate) async fn aside(&self, host: usize) -> Result<Session, WriteError> {
        let permit = Arc::clone(&self.aside).acquire_owned().await.map_err(|_| closed())?;
        let open = self.opener.open(Some(host)).await?;
        Ok(Session::new(open, Home::Aside { _permit: permit }))
    }

    /// Its transaction is over. The slot is still its holder's.
    pub(crate) fn take_back(&self, open: Open) {
        let mut rest = self.rest();
        if !self.slots.is_closed() {
            rest.resting.push(Resting { open, since: Instant::now() });
        }
    }

    pub(crate) fn set_local_infile(&self, allowed: bool) {
        self.opener.loads.store(allowed, Ordering::Relaxed);
        self.forget_idle();
    }

    /// Ends the connections that rest: others are opened, perhaps to another server.
    pub(crate) fn forget_idle(&self) {
        let resting = std::mem::take(&mut self.rest().resting);
        drop(resting);
    }

    pub(crate) fn suspect(&self) {
        self.rest().suspected = Some(Instant::now());
    }

    pub(crate) async fn close(&self) {
        self.slots.close();
        self.aside.close();
        let resting = std::mem::take(&mut self.rest().resting);
        let farewells = resting.into_iter().map(|resting| resting.open.end());
        join_all(farewells).await;
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OwnPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPool")
            .field("resting", &self.rest().resting.len())
            .finish_non_exhaustive()
    }
}
