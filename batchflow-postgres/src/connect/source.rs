//! [`ConnectionSource`]: where connections come from, a pool of whatever make.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use batchflow_core::{ErrorKind, Stage, WriteError};
use tokio_postgres::{CancelToken, Client, NoTls};

use super::backend::Backend;
use crate::error::translate;

/// Where the driver gets its connections: the seam for any pool.
///
/// [`PostgresDriver::connect`](crate::PostgresDriver::connect) brings its own,
/// [`from_pool`](crate::PostgresDriver::from_pool) takes deadpool's; any other is given to
/// [`from_source`](crate::PostgresDriver::from_source).
///
/// ```
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use batchflow_postgres::client::{CancelToken, Client};
/// use batchflow_postgres::{ConnectionSource, Lease, WriteError};
///
/// #[derive(Debug)]
/// struct Opening(String);
///
/// struct Opened(Client);
///
/// impl Lease for Opened {
///     fn client(&self) -> &Client {
///         &self.0
///     }
///
///     fn discard(self: Box<Self>) {}
/// }
///
/// #[async_trait]
/// impl ConnectionSource for Opening {
///     async fn acquire(&self) -> Result<Box<dyn Lease>, WriteError> {
///         let connecting = tokio_postgres::connect(&self.0, tokio_postgres::NoTls).await;
///         let (client, connection) = connecting.map_err(|_| WriteError::new(
///             batchflow_postgres::ErrorKind::Connection,
///         ))?;
///         tokio::spawn(connection);
///         Ok(Box::new(Opened(client)))
///     }
/// }
/// ```
#[async_trait]
pub trait ConnectionSource: fmt::Debug + Send + Sync + 'static {
    /// Waits for a connection that is idle and outside any transaction.
    ///
    /// The driver drops the future when it has waited long enough. The error's kind decides
    /// whether it is tried again, so it is mostly [`ErrorKind::Connection`]; its message must show
    /// no URL and no password.
    async fn acquire(&self) -> Result<Box<dyn Lease>, WriteError>;

    /// A connection to ask what became of another, which does not wait behind those that write.
    /// Left out: one like any other.
    async fn aside(&self) -> Result<Box<dyn Lease>, WriteError> {
        self.acquire().await
    }

    /// Asks the server to cancel what a connection is running. Left out: without encryption; the
    /// driver helps itself otherwise where that fails.
    async fn cancel(&self, token: CancelToken) -> Result<(), WriteError> {
        let asked = token.cancel_query(NoTls).await;
        asked.map_err(|error| translate(&error, Stage::Connect, None))
    }

    /// The server that a connection led to takes no writes any more: the next connection should be
    /// a new one, which may lead to another server. Left out: nothing.
    fn forget_idle(&self) {}

    /// Closes what the source itself opened. Called once, after the last batch. Left out: nothing.
    async fn close(&self) {}
}

/// A connection on loan. Dropped, it goes back to where it came from.
pub trait Lease: Send + Sync {
    /// The connection.
    fn client(&self) -> &Client;

    /// Closes the connection: it is in doubt, and nobody must be given it again.
    fn discard(self: Box<Self>);
}

/// A connection on loan that is discarded unless it is given back: its user may be dropped at any
/// time, in the middle of an answer.
pub(crate) struct Guarded {
    lease: Option<Box<dyn Lease>>,
    backend: Option<Arc<Backend>>,
}

impl Guarded {
    pub(crate) fn new(lease: Box<dyn Lease>) -> Self {
        Self { lease: Some(lease), backend: None }
    }

    /// A connection of the driver's own pool.
    pub(crate) fn own(lease: Box<dyn Lease>, backend: Arc<Backend>) -> Self {
        Self { lease: Some(lease), backend: Some(backend) }
    }

    /// What is known of its backend, if it is of the driver's own pool.
    pub(crate) fn backend(&self) -> Option<Arc<Backend>> {
        self.backend.clone()
    }

    pub(crate) fn client(&self) -> Result<&Client, WriteError> {
        let lease = self.lease.as_ref().ok_or_else(|| {
            WriteError::new(ErrorKind::Internal).with_message("the connection is gone")
        })?;
        Ok(lease.client())
    }

    /// Gives the connection back: all it was asked has been answered.
    pub(crate) fn give_back(mut self) {
        drop(self.lease.take());
    }

    /// The connection, which is its taker's to give back or to discard.
    pub(crate) fn into_lease(mut self) -> Option<Box<dyn Lease>> {
        self.lease.take()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
    }
}
