//! [`Pool`]: the connections to one server.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use batchflow_core::{ErrorKind, Stage, WriteError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connect::{Connection, Node, Opener};

/// The connections to one server: idle ones are kept, and no more than so many are open.
pub(crate) struct Pool {
    opener: Arc<Opener>,
    node: Option<Node>,
    idle: Mutex<Vec<Connection>>,
    room: Arc<Semaphore>,
}

impl Pool {
    /// An empty pool; nothing is opened yet.
    pub(crate) fn new(opener: Arc<Opener>, node: Option<Node>, size: usize) -> Self {
        Self { opener, node, idle: Mutex::default(), room: Arc::new(Semaphore::new(size)) }
    }

    /// A connection that is idle, or a new one.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Lease, WriteError> {
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(|_| closed())?;
        let idle = loop {
            match self.take() {
                Some(connection) if !connection.is_open() => drop(connection),
                idle => break idle,
            }
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.opener.open(self.node.as_ref()).await?,
        };
        Ok(Lease { connection: Some(connection), pool: Arc::clone(self), _permit: permit })
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Closes what is idle: it leads to a server that is no longer the one.
    pub(crate) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Closes what is idle, and gives out nothing more.
    pub(crate) fn close(&self) {
        self.room.close();
        self.forget();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("node", &self.node).finish_non_exhaustive()
    }
}

/// A connection on loan. Dropped without being [given back](Self::give_back), it is closed: what
/// it was asked may not have been answered.
pub(crate) struct Lease {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    pub(crate) fn connection(&self) -> Result<&Connection, WriteError> {
        self.connection.as_ref().ok_or_else(|| WriteError::new(ErrorKind::Internal))
    }

    /// Everything that the connection was asked has been answered.
    pub(crate) fn give_back(mut self) {
        if let Some(connection) = self.connection.take()
            && !self.pool.room.is_closed()
        {
            let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(connection);
        }
    }
}

fn closed() -> WriteError {
    let error = WriteError::new(ErrorKind::Cancelled).at(Stage::Connect);
    error.with_message("the driver is closed")
}
