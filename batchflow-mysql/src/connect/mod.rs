//! Where connections come from, and how they are opened.

mod given;
mod open;
mod own;
mod tls;
pub(crate) mod url;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use batchflow_core::{ConfigError, ErrorKind, Stage, WriteError};
use tokio::sync::OwnedSemaphorePermit;

pub(crate) use given::GivenPool;
pub(crate) use open::Opener;
pub(crate) use own::OwnPool;

use crate::config::MysqlConfig;
use crate::session::{Page, Session};

/// The most connections beside a pool's, for questions.
const ASIDE: usize = 2;

/// What a connection goes back to.
pub(crate) enum Home {
    Own {
        pool: Arc<OwnPool>,
        permit: OwnedSemaphorePermit,
    },
    /// A pool that was given: whether it resets what it is given back.
    Given {
        resets: bool,
        pool: Arc<GivenPool>,
    },
    /// Nothing: it is ended after use.
    Aside {
        _permit: OwnedSemaphorePermit,
    },
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own { .. } => "Own",
            Self::Given { .. } => "Given",
            Self::Aside { .. } => "Aside",
        })
    }
}

/// The ledger's pages that no session uses: as many as were ever in use at once.
#[derive(Debug, Default)]
struct Pages(Mutex<Vec<Page>>);

impl Pages {
    fn take(&self) -> Page {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(Page::new)
    }

    fn take_back(&self, page: Page) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(page);
    }
}

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Source {
    Own(Arc<OwnPool>),
    Given(Arc<GivenPool>),
}

impl Source {
    /// The driver's own pool. Nothing is opened yet.
    pub(crate) fn own(config: &MysqlConfig) -> Result<Self, WriteError> {
        config.check().map_err(unusable)?;
        let opener = Opener::new(config).map_err(unusable)?;
        Ok(Self::Own(Arc::new(OwnPool::new(opener, config.pool_size))))
    }

    /// A connection to write by, outside any transaction.
    pub(crate) async fn acquire(&self) -> Result<Session, WriteError> {
        match self {
            Self::Own(pool) => pool.acquire().await,
            Self::Given(pool) => pool.acquire().await,
        }
    }

    /// A connection for questions, which does not wait behind those that write; to the host that
    /// is numbered so, where there are several. Each of its statements is a transaction.
    pub(crate) async fn aside(&self, host: usize) -> Result<Session, WriteError> {
        match self {
            Self::Own(pool) => pool.aside(host).await,
            Self::Given(pool) => pool.aside().await,
        }
    }

    /// Whether rows may be sent by `LOAD DATA LOCAL INFILE`, on connections that are asked from now
    /// on.
    pub(crate) fn set_local_infile(&self, allowed: bool) {
        match self {
            Self::Own(pool) => pool.set_local_infile(allowed),
            Self::Given(pool) => pool.set_local_infile(allowed),
        }
    }

    /// A connection was lost: others may have been too.
    pub(crate) fn suspect(&self) {
        match self {
            Self::Own(pool) => pool.suspect(),
            Self::Given(pool) => pool.suspect(),
        }
    }

    /// The server that a connection led to takes no writes any more: the next connection should be
    /// a new one, which may lead to another server.
    pub(crate) fn forget_idle(&self) {
        match self {
            Self::Own(pool) => pool.forget_idle(),
            Self::Given(pool) => pool.suspect(),
        }
    }

    /// Ends what was opened here; a pool that was given stays as it is.
    pub(crate) async fn close(&self) {
        match self {
            Self::Own(pool) => pool.close().await,
            Self::Given(pool) => pool.close(),
        }
    }
}

/// A setting at fault, as an error of connecting.
#[allow(clippy::needless_pass_by_value, reason = "it maps an error")]
pub(crate) fn unusable(error: ConfigError) -> WriteError {
    WriteError::new(ErrorKind::Unsupported).at(Stage::Connect).with_message(error.to_string())
}

pub(crate) fn closed() -> WriteError {
    let error = WriteError::new(ErrorKind::Cancelled).at(Stage::Connect);
    error.with_message("the driver is closed")
}
