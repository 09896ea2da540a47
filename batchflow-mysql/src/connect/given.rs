//! [`GivenPool`]: a pool that was given, and that others may use. It is never closed here.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batchflow_core::{ErrorKind, Stage, WriteError};
use mysql_async::{Conn, Opts, Pool};
use tokio::sync::Semaphore;

use super::{ASIDE, Home, Pages, closed};
use crate::error::translate;
use crate::server::Known;
use crate::session::{Open, Page, Session};

/// What has been learnt of the pool by its connections.
#[derive(Clone)]
struct Learnt {
    version: (u16, u16, u16),
    known: Arc<Known>,
    /// Whether it is asked again, since a connection was lost.
    is_stale: bool,
    opts: Opts,
}

pub(crate) struct GivenPool {
    pool: Pool,
    loads: AtomicBool,
    learnt: Mutex<Option<Learnt>>,
    pages: Pages,
    aside: Arc<Semaphore>,
}

impl GivenPool {
    pub(crate) fn new(pool: Pool) -> Self {
        let aside = Arc::new(Semaphore::new(ASIDE));
        Self {
            pool,
            loads: AtomicBool::new(false),
            learnt: Mutex::default(),
            pages: Pages::default(),
            aside,
        }
    }

    /// A connection of the pool. What is known of its server is what was learnt last: that it is
    /// another one is seen as a transaction begins.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Session, WriteError> {
        let mut conn =
            self.pool.get_conn().await.map_err(|error| translate(&error, Stage::Connect, None))?;
        let version = conn.server_version();
        let learnt = self.learnt().filter(|l| l.version == version && !l.is_stale);
        let known = match learnt {
            Some(learnt) => learnt.known,
            None => self.learn(&mut conn).await?,
        };
        let resets = conn.opts().pool_opts().reset_connection();
        let (page, pool) = (self.pages.take(), Arc::clone(self));
        Ok(Session::new(Open::new(conn, known, page, 0), Home::Given { resets, pool }))
    }

    /// Asks a connection's server about itself, and remembers the answer.
    pub(crate) async fn learn(&self, conn: &mut Conn) -> Result<Arc<Known>, WriteError> {
        let known = Arc::new(Known::read(conn, self.loads.load(Ordering::Relaxed)).await?);
        let (version, opts) = (conn.server_version(), conn.opts().clone());
        let mine = Arc::clone(&known);
        *self.lock() = Some(Learnt { version, known: mine, is_stale: false, opts });
        Ok(known)
    }

    /// A page whose session ended its last batch for certain.
    pub(crate) fn take_back(&self, page: Page) {
        self.pages.take_back(page);
    }

    /// A connection of its own, opened as the pool opens its own: the pool may be busy with what
    /// is asked about.
    pub(crate) async fn aside(&self) -> Result<Session, WriteError> {
        let permit = Arc::clone(&self.aside).acquire_owned().await.map_err(|_| closed())?;
        let Some(learnt) = self.learnt() else {
            let error = WriteError::new(ErrorKind::Internal).at(Stage::Connect);
            return Err(error.with_message("the pool has given no connection yet"));
        };
        let opened = Conn::new(learnt.opts).await;
        let mut conn = opened.map_err(|error| translate(&error, Stage::Connect, None))?;
        let known = Known::read(&mut conn, self.loads.load(Ordering::Relaxed)).await?;
        let open = Open::new(conn, Arc::new(known), Page::new(), 0);
        Ok(Session::new(open, Home::Aside { _permit: permit }))
    }

    /// The next connection may be one to another server.
    pub(crate) fn suspect(&self) {
        if let Some(learnt) = &mut *self.lock() {
            learnt.is_stale = true;
        }
    }

    pub(crate) fn set_local_infile(&self, allowed: bool) {
        self.loads.store(allowed, Ordering::Relaxed);
        self.suspect();
    }

    pub(crate) fn close(&self) {
        self.aside.close();
    }

    fn learnt(&self) -> Option<Learnt> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Learnt>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for GivenPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenPool").finish_non_exhaustive()
    }
}
