//! Where connections come from, and how they are opened.

mod backend;
mod greeting;
mod open;
mod pool;
mod source;
mod tls;
pub(crate) mod url;

use std::sync::Arc;

use batchflow_core::{ConfigError, ErrorKind, Stage, WriteError};

pub(crate) use backend::{Backend, Identity};
pub(crate) use pool::OwnPool;
pub(crate) use source::Guarded;
pub use source::{ConnectionSource, Lease};
pub(crate) use tls::explain;

use crate::config::PostgresConfig;

/// The driver's own pool.
pub(crate) fn own_pool(config: &PostgresConfig) -> Result<Arc<OwnPool>, WriteError> {
    config.check().map_err(unusable)?;
    let tls = tls::Tls::new(config).map_err(unusable)?;
    Ok(Arc::new(OwnPool::new(config, tls)?))
}

/// A deadpool that was given.
pub(crate) fn given_pool(pool: deadpool_postgres::Pool) -> Arc<dyn ConnectionSource> {
    Arc::new(pool::GivenPool(pool))
}

/// A setting at fault, as an error of connecting.
#[allow(clippy::needless_pass_by_value, reason = "it maps an error")]
pub(crate) fn unusable(error: ConfigError) -> WriteError {
    WriteError::new(ErrorKind::Unsupported).at(Stage::Connect).with_message(error.to_string())
}
