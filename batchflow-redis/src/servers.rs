//! [`Servers`]: where rows go.

use std::sync::Arc;

use batchflow_core::WriteError;

use crate::cluster::{Cluster, Map};
use crate::connect::{Node, Opener};
use crate::pool::{Lease, Pool};

/// Where rows go.
#[derive(Debug)]
pub(crate) enum Servers {
    /// To one server, or to whichever is the primary.
    One(Arc<Pool>),
    /// To the node that serves their key's slot.
    Cluster(Cluster),
}

impl Servers {
    /// The server or servers that an opener leads to; nothing is opened yet.
    pub(crate) fn new(opener: &Arc<Opener>, pool_size: usize) -> Self {
        match opener.seeds() {
            Some(seeds) => Self::Cluster(Cluster::new(Arc::clone(opener), seeds, pool_size)),
            None => Self::One(Arc::new(Pool::new(Arc::clone(opener), None, pool_size))),
        }
    }

    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::One(_) => None,
            Self::Cluster(cluster) => Some(cluster),
        }
    }

    /// Opens a connection, or learns which node serves which slot.
    pub(crate) async fn connect(&self) -> Result<(), WriteError> {
        match self {
            Self::One(pool) => pool.acquire().await.map(Lease::give_back),
            Self::Cluster(cluster) => cluster.map().await.map(drop),
        }
    }

    /// Which node serves which slot, where there are several.
    pub(crate) async fn map(&self) -> Result<Option<Arc<Map>>, WriteError> {
        match self {
            Self::One(_) => Ok(None),
            Self::Cluster(cluster) => cluster.map().await.map(Some),
        }
    }

    /// The connections to the server, or to one of them.
    pub(crate) fn pool(&self, node: Option<&Node>) -> Option<Arc<Pool>> {
        match (self, node) {
            (Self::One(pool), _) => Some(Arc::clone(pool)),
            (Self::Cluster(cluster), Some(node)) => Some(cluster.pool(node)),
            (Self::Cluster(_), None) => None,
        }
    }

    /// Closes what is idle, and gives out nothing more.
    pub(crate) fn close(&self) {
        match self {
            Self::One(pool) => pool.close(),
            Self::Cluster(cluster) => cluster.close(),
        }
    }
}
