//! [`Way`]: the three ways to write a batch, and which is taken when.

mod copy;
mod stage;
mod unnest;

use batchflow_core::{Batch, WriteError};
use bytes::{Bytes, BytesMut};
use tokio_postgres::{Client, Error, Statement};

use crate::encode::{self, CopyBody, CopyTarget};
use crate::plan::Plan;
use crate::transaction::Begin;

/// A way to write a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// One statement over arrays, one array a column: `INSERT … SELECT … FROM unnest(…)`. Two
    /// round trips, one for a single row that may be repeated on a connection of the driver's own;
    /// the fastest for batches that are small or narrow.
    Unnest,
    /// A binary `COPY` straight into the table: the fastest for large batches of plain inserts.
    Copy,
    /// A binary `COPY` into a temporary table, then one `INSERT … SELECT … ON CONFLICT`: the
    /// fastest for large or wide batches of upserts.
    Stage,
}

/// From so many rows on, a plain insert is copied.
const COPY_ROWS: usize = 2_000;

/// From so many rows on, an upsert is staged.
const STAGE_ROWS: usize = 5_000;

/// From so many bytes on, wide rows are staged, or copied: 300 rows of 13 columns, 5 of them JSON.
const WIDE_BYTES: usize = 512 << 10;

/// So many bytes make a row wide.
const WIDE_ROW: usize = 400;

impl Way {
    /// The way's name in metrics: `"unnest"`, `"copy"`, `"stage"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unnest => "unnest",
            Self::Copy => "copy",
            Self::Stage => "stage",
        }
    }

    /// Why a batch takes this way, where none was wanted.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Unnest => "the batch is small and narrow, or there is no other way for it",
            Self::Copy => "a plain insert of many or wide rows",
            Self::Stage => "many or wide rows, and conflicts to be solved",
        }
    }

    /// The way that a batch takes: the one wanted, or else the best by size, width and strategy;
    /// and if it cannot be taken, the next that can.
    pub(crate) fn choose(
        wanted: Option<Self>,
        plan: &Plan,
        batch: &Batch,
        may_stage: bool,
    ) -> Self {
        let best = match wanted {
            Some(way) => way,
            None => Self::best(plan.may_copy(), batch.len(), || batch.size_bytes()),
        };
        let may_stage = may_stage && plan.stage.is_some();
        match best {
            Self::Copy if plan.may_copy() => Self::Copy,
            Self::Copy | Self::Stage if may_stage => Self::Stage,
            _ => Self::Unnest,
        }
    }

    fn best(copies: bool, rows: usize, bytes: impl FnOnce() -> usize) -> Self {
        let (many, large) =
            if copies { (COPY_ROWS, Self::Copy) } else { (STAGE_ROWS, Self::Stage) };
        let is_wide = || {
            let bytes = bytes();
            bytes >= WIDE_BYTES && bytes / rows.max(1) >= WIDE_ROW
        };
        if rows >= many || is_wide() { large } else { Self::Unnest }
    }
}

/// A batch as it is sent.
#[derive(Debug)]
pub(crate) enum Payload {
    /// One array for each set column, one after the other; where each ends.
    Arrays { bytes: BytesMut, ends: Vec<usize>, rows: usize },
    /// Rows of one key stand in the batch: each row's arrays, to be written one after the other.
    Singly { bytes: BytesMut, ends: Vec<usize>, rows: usize },
    /// The body of a COPY into the table.
    Copy(Bytes),
    /// The body of a COPY into the temporary table.
    Stage(Bytes),
}

impl Payload {
    /// Encodes a batch for a way, in steps, so that answers to other batches are not kept waiting.
    /// A value that its column cannot hold is its row's `data` error.
    pub(crate) async fn encode(
        way: Way,
        plan: &Plan,
        batch: &Batch,
        bytes: BytesMut,
    ) -> Result<Self, WriteError> {
        Ok(match way {
            Way::Unnest => {
                let (mut bytes, mut ends) = (bytes, Vec::with_capacity(plan.columns.len()));
                arrays(plan, batch, &mut bytes, &mut ends).await?;
                Self::Arrays { bytes, ends, rows: batch.len() }
            }
            Way::Copy => Self::Copy(copy_body(plan, batch, CopyTarget::Table, bytes).await?),
            Way::Stage => Self::Stage(copy_body(plan, batch, CopyTarget::Stage, bytes).await?),
        })
    }

    /// Encodes a batch to be written row by row, in one transaction.
    pub(crate) async fn encode_singly(plan: &Plan, batch: &Batch) -> Result<Self, WriteError> {
        let mut bytes = BytesMut::new();
        let mut ends = Vec::with_capacity(plan.columns.len() * batch.len());
        for row in 0..batch.len() {
            let encoded = arrays(plan, &batch.pick(&[row]), &mut bytes, &mut ends).await;
            encoded.map_err(|error| error.with_blame([row]))?;
        }
        Ok(Self::Singly { bytes, ends, rows: batch.len() })
    }

    /// Begins a transaction and writes. How many rows the server says it inserted or changed.
    pub(crate) async fn send(
        &self,
        client: &Client,
        plan: &Plan,
        begin: &Begin,
    ) -> Result<u64, Failed> {
        match self {
            Self::Arrays { bytes, ends, rows } => {
                unnest::send(client, plan, begin, bytes, ends, *rows).await
            }
            Self::Singly { bytes, ends, rows } => {
                unnest::send_singly(client, plan, begin, bytes, ends, *rows).await
            }
            Self::Copy(body) => copy::send(client, plan, begin, body.clone()).await,
            Self::Stage(body) => stage::send(client, plan, begin, body.clone()).await,
        }
    }

    /// Writes one row in a transaction of the statement's own, on the backend that has this mark.
    /// How many rows the server says it inserted or changed.
    pub(crate) async fn send_at_once(
        &self,
        client: &Client,
        statement: &Statement,
        mark: &str,
    ) -> Result<u64, Error> {
        match self {
            Self::Arrays { bytes, ends, rows: 1 } => {
                unnest::send_at_once(client, statement, bytes, ends, mark).await
            }
            // The statement has parameters, and says so.
            _ => client.execute(statement, &[]).await,
        }
    }

    /// The buffer, to be used again, where nobody else holds it.
    pub(crate) fn into_buffer(self) -> Option<BytesMut> {
        match self {
            Self::Arrays { bytes, .. } | Self::Singly { bytes, .. } => Some(bytes),
            Self::Copy(bytes) | Self::Stage(bytes) => bytes.try_into_mut().ok(),
        }
    }
}

/// So many rows, or values of one column, are encoded without letting others go first.
const STEP: usize = 1_024;

async fn step(values: usize) {
    if values >= STEP {
        tokio::task::yield_now().await;
    }
}

async fn copy_body(
    plan: &Plan,
    batch: &Batch,
    target: CopyTarget,
    bytes: BytesMut,
) -> Result<Bytes, WriteError> {
    let mut body = CopyBody::begin(&plan.table, &plan.columns, batch, target, bytes)?;
    for first in (0..batch.len()).step_by(STEP) {
        let last = batch.len().min(first + STEP);
        body.rows(first..last)?;
        step(last - first).await;
    }
    Ok(body.end().freeze())
}

/// One array for each set column, in steps; where each ends.
async fn arrays(
    plan: &Plan,
    batch: &Batch,
    bytes: &mut BytesMut,
    ends: &mut Vec<usize>,
) -> Result<(), WriteError> {
    for &column in &plan.columns {
        encode::array(&plan.table.columns[column], batch, column, bytes)?;
        ends.push(bytes.len());
        step(batch.len()).await;
    }
    Ok(())
}

/// Where a transaction failed before its commit.
#[derive(Debug)]
pub(crate) enum Failed {
    /// At its beginning.
    Begin(Error),
    /// The temporary table could not be made.
    Stage(Error),
    /// Writing; the row that was being written, where that is known.
    Write(Error, Option<usize>),
    /// The table could not be locked for a COPY.
    Lock(Error),
    /// The table's columns have other types than were sent.
    Changed,
    /// Opening a COPY. What follows on the connection cannot be told apart: the server answers
    /// the end of a COPY that it never opened.
    Open(Error),
    /// What the server answered to the beginning cannot be read.
    Unreadable,
}

impl Failed {
    pub(crate) fn write(error: Error) -> Self {
        Self::Write(error, None)
    }

    pub(crate) fn error(&self) -> Option<&Error> {
        match self {
            Self::Begin(error)
            | Self::Stage(error)
            | Self::Write(error, _)
            | Self::Lock(error)
            | Self::Open(error) => Some(error),
            Self::Changed | Self::Unreadable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_inserts_are_copied_and_large_or_wide_upserts_staged() {
        let cases = [
            (true, 1, 10, Way::Unnest),
            (true, 1_999, 100, Way::Unnest),
            (true, 2_000, 10, Way::Copy),
            (true, 290, 1_800, Way::Unnest),
            (true, 300, 1_800, Way::Copy),
            (false, 290, 1_800, Way::Unnest),
            (false, 300, 1_800, Way::Stage),
            (false, 1_400, 399, Way::Unnest),
            (false, 1_400, 400, Way::Stage),
            (false, 4_999, 100, Way::Unnest),
            (false, 5_000, 10, Way::Stage),
        ];
        for (copies, rows, each, way) in cases {
            assert_eq!(Way::best(copies, rows, || rows * each), way, "{copies} {rows} {each}");
        }
    }
}
