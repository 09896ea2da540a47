//! Deadpool as a source of connections: a pool of our own, or one that was given.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use batchflow_core::{ErrorKind, Stage, WriteError};
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{CancelToken, Client, NoTls};

use super::backend::Backend;
use super::open::{Opened, Opener};
use super::source::{ConnectionSource, Lease};
use super::tls::Tls;
use crate::config::PostgresConfig;
use crate::error::translate;

/// Connections beside the pool, for questions.
const ASIDE: usize = 2;

impl Manager for Opener {
    type Type = Opened;
    type Error = WriteError;

    async fn create(&self) -> Result<Opened, WriteError> {
        self.open().await
    }

    /// A connection is given back only when all it was asked has been answered, so nothing is
    /// left of one use for the next.
    async fn recycle(&self, opened: &mut Opened, _: &Metrics) -> RecycleResult<WriteError> {
        if opened.client.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        Ok(())
    }
}

/// The driver's own pool.
pub(crate) struct OwnPool {
    pool: Pool<Opener>,
    aside: Arc<Semaphore>,
}

impl OwnPool {
    /// An empty pool; nothing is opened yet.
    pub(crate) fn new(config: &PostgresConfig, tls: Tls) -> Result<Self, WriteError> {
        let opener = Opener::new(config, tls);
        let pool = Pool::builder(opener).max_size(config.pool_size).build().map_err(|_| {
            let error = WriteError::new(ErrorKind::Internal).at(Stage::Connect);
            error.with_message("the pool cannot be built")
        })?;
        Ok(Self { pool, aside: Arc::new(Semaphore::new(ASIDE)) })
    }

    /// A connection, and what is known of its backend.
    pub(crate) async fn lend(&self) -> Result<(Box<dyn Lease>, Arc<Backend>), WriteError> {
        let object = self.pool.get().await.map_err(|error| refused(error, WriteError::clone))?;
        let backend = Arc::clone(&object.backend);
        Ok((Box::new(Own(object)), backend))
    }

    /// Whether its connections have backends of their own, as far as is known.
    pub(crate) fn is_direct(&self) -> bool {
        self.pool.manager().is_direct()
    }
}

#[async_trait]
impl ConnectionSource for OwnPool {
    async fn acquire(&self) -> Result<Box<dyn Lease>, WriteError> {
        Ok(self.lend().await?.0)
    }

    async fn aside(&self) -> Result<Box<dyn Lease>, WriteError> {
        let permit = Arc::clone(&self.aside).acquire_owned().await.map_err(|_| closed())?;
        let opened = self.pool.manager().open().await?;
        Ok(Box::new(Aside { opened, _permit: permit }))
    }

    async fn cancel(&self, token: CancelToken) -> Result<(), WriteError> {
        let asked = match self.pool.manager().tls() {
            Tls::Plain => token.cancel_query(NoTls).await,
            #[cfg(feature = "tls")]
            Tls::Rustls(tls) => token.cancel_query(tls.clone()).await,
        };
        asked.map_err(|error| translate(&error, Stage::Connect, None))
    }

    fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    async fn close(&self) {
        self.pool.close();
        self.aside.close();
    }
}

impl fmt::Debug for OwnPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPool").field("status", &self.pool.status()).finish_non_exhaustive()
    }
}

/// A connection of the driver's own pool.
struct Own(Object<Opener>);

impl Lease for Own {
    fn client(&self) -> &Client {
        &self.0.client
    }

    fn discard(self: Box<Self>) {
        // What is taken out of the pool is closed when it is dropped.
        drop(Object::take(self.0));
    }
}

/// A connection that belongs to no pool.
struct Aside {
    opened: Opened,
    _permit: OwnedSemaphorePermit,
}

impl Lease for Aside {
    fn client(&self) -> &Client {
        &self.opened.client
    }

    fn discard(self: Box<Self>) {}
}

/// A pool that was given, and that others may use: it is never closed here.
pub(crate) struct GivenPool(pub(crate) deadpool_postgres::Pool);

#[async_trait]
impl ConnectionSource for GivenPool {
    async fn acquire(&self) -> Result<Box<dyn Lease>, WriteError> {
        let object = self
            .0
            .get()
            .await
            .map_err(|error| refused(error, |error| translate(error, Stage::Connect, None)))?;
        Ok(Box::new(Given(object)))
    }
}

impl fmt::Debug for GivenPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenPool").field("status", &self.0.status()).finish()
    }
}

/// A connection of a pool that was given.
struct Given(deadpool_postgres::Object);

impl Lease for Given {
    fn client(&self) -> &Client {
        &self.0
    }

    fn discard(self: Box<Self>) {
        drop(deadpool_postgres::Object::take(self.0));
    }
}

/// The pool gave no connection; whatever the reason, nothing was written.
fn refused<E>(error: PoolError<E>, translate: impl FnOnce(&E) -> WriteError) -> WriteError {
    let why = match error {
        PoolError::Backend(error) => return translate(&error),
        PoolError::Closed => return closed(),
        PoolError::Timeout(_) => "the pool gave no connection in its own time",
        PoolError::NoRuntimeSpecified => "the pool has timeouts and no runtime for them",
        PoolError::PostCreateHook(_) => "a hook of the pool refused the connection",
    };
    WriteError::new(ErrorKind::Connection).at(Stage::Connect).with_message(why)
}

fn closed() -> WriteError {
    let error = WriteError::new(ErrorKind::Cancelled).at(Stage::Connect);
    error.with_message("the pool is closed")
}
