//! [`Way`]: the ways to write a batch, and which is taken when.

use batchflow_core::{Batch, ErrorKind, WriteError};
use mysql_async::{Conn, Error};

use crate::plan::Plan;

/// A way to write a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// Many rows of parameters to one prepared row, MariaDB's `COM_STMT_BULK_EXECUTE`.
    Bulk,
    /// Prepared inserts of many rows each.
    Rows,
    /// `LOAD DATA LOCAL INFILE` from memory into a temporary table, then `INSERT … SELECT`.
    Load,
}

impl Way {
    /// The way that a batch takes: the one wanted, or else the best by server, size, width and
    /// strategy; and if it cannot be taken, the next that can.
    pub(crate) fn choose(wanted: Option<Self>, _plan: &Plan, _batch: &Batch) -> Self {
        wanted.unwrap_or(Self::Rows)
    }
}

/// A batch as it is sent.
#[derive(Debug)]
pub(crate) struct Payload {}

impl Payload {
    /// Encodes a batch for a way. A value that its column cannot hold is its row's `data` error; a
    /// row too long for the server is its row's; a batch too long, `too_large`.
    pub(crate) fn encode(_way: Way, _plan: &Plan, _batch: &Batch) -> Result<Self, WriteError> {
        Err(WriteError::new(ErrorKind::Unsupported))
    }

    /// Writes inside the transaction that `conn` is in. How many rows the server says it inserted
    /// or changed.
    pub(crate) async fn send(&self, _conn: &mut Conn, _plan: &Plan) -> Result<u64, Failed> {
        Err(Failed::Unreadable)
    }
}

/// Where a write failed before its commit.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Writing; the first row of the part that was being written, and its length, where known.
    Write(Error, Option<(usize, usize)>),
    /// Preparing the way: a temporary table, a LOAD that is not allowed after all.
    Way(Error),
    /// What the server answered cannot be read.
    Unreadable,
}
