//! [`Way`]: the ways to write a batch, and which is taken when.

mod bulk;
mod cut;
mod load;
mod rows;

use std::ops::Range;

use batchflow_core::{Batch, WriteError};
use mysql_async::{Conn, Error, Value};

use crate::encode::Encoder;
use crate::plan::Plan;
use cut::Cut;
use load::Loaded;

pub(crate) use rows::Repeated;

/// A way to write a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// Many rows of parameters to one prepared row, MariaDB's `COM_STMT_BULK_EXECUTE`: the fastest
    /// there, whatever the size. Never where the server logs statements.
    Bulk,
    /// Prepared inserts of many rows each: the fastest on MySQL, and for a single row.
    Rows,
    /// `LOAD DATA LOCAL INFILE` from memory into a temporary table, then `INSERT … SELECT`: on
    /// MySQL a little faster for large batches of narrow rows. Taken where the server allows it and
    /// the configuration asks for it; never for binary columns, or where it logs statements.
    Load,
}

/// From so many rows on, MySQL is given a temporary table.
const LOAD_ROWS: usize = 5_000;

/// Up to so many rows a statement may be a transaction of its own: for 100 rows that saves a tenth of
/// the time, for 300 a twentieth, for 1,000 nothing.
const ALONE_ROWS: usize = 100;

impl Way {
    /// As metrics call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Rows => "rows",
            Self::Load => "load",
        }
    }

    /// The way that a batch takes: the one wanted, or else the best by server, size, width and
    /// strategy; and if it cannot be taken, or is a LOAD and `loads` is not so, the next that can.
    pub(crate) fn choose(wanted: Option<Self>, plan: &Plan, batch: &Batch, loads: bool) -> Self {
        let bulk = plan.server.takes_bulk() && !plan.columns.is_empty();
        let best = match wanted {
            Some(way) => way,
            None if batch.len() == 1 => Self::Rows,
            None if bulk => Self::Bulk,
            None if batch.len() >= LOAD_ROWS && plan.texts.loads_in_memory(batch.len()) => {
                Self::Load
            }
            None => Self::Rows,
        };
        match best {
            // Only the rows of one statement are sure to be written in their order.
            Self::Load if loads && plan.may_load(batch.len()) && batch.has_distinct_keys() => {
                Self::Load
            }
            Self::Load | Self::Bulk if bulk => Self::Bulk,
            _ => Self::Rows,
        }
    }
}

/// A batch as it is sent.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Rows of parameters, and how many of the rows each packet takes.
    Bulk { values: Vec<Value>, packets: Vec<usize> },
    /// Rows of parameters, and how many of the rows each statement takes.
    Rows { values: Vec<Value>, statements: Vec<usize> },
    /// Rows as a text file, and the parameters they were made of.
    Load(Loaded),
}

impl Payload {
    /// Encodes a batch for a way, in steps, so that answers to other batches are not kept waiting. A
    /// value that its column cannot hold is its row's `data` error; a row too long for the server,
    /// its row's `too_large`.
    pub(crate) async fn encode(way: Way, plan: &Plan, batch: &Batch) -> Result<Self, WriteError> {
        let encoder = Encoder::new(&plan.server, &plan.table, &plan.columns, batch)?;
        let width = encoder.width();
        let mut values = Vec::with_capacity(batch.len() * width);
        for step in steps(batch.len()) {
            for row in step.clone() {
                encoder.row(row, &mut values)?;
            }
            rest(step).await;
        }
        let cut = Cut::new(plan, batch, &values)?;
        Ok(match way {
            Way::Bulk => Self::Bulk { packets: cut.packets(), values },
            Way::Rows => Self::Rows { statements: cut.statements(&plan.texts.repeated), values },
            Way::Load => Self::Load(Loaded::new(&cut, plan, values).await),
        })
    }

    /// Whether it is sent as one statement, of few enough rows that a round trip counts.
    pub(crate) fn is_one_statement(&self) -> bool {
        match self {
            Self::Bulk { packets, .. } => matches!(packets[..], [rows] if rows <= ALONE_ROWS),
            Self::Rows { statements, .. } => matches!(statements[..], [rows] if rows <= ALONE_ROWS),
            Self::Load(_) => false,
        }
    }

    /// Writes inside the transaction that `conn` is in. How many rows the server says it inserted
    /// or changed: an update counts twice, one that changes nothing not at all.
    pub(crate) async fn send(self, conn: &mut Conn, plan: &Plan) -> Result<u64, Failed> {
        match self {
            Self::Bulk { values, packets } => bulk::send(conn, plan, values, &packets).await,
            Self::Rows { values, statements } => rows::send(conn, plan, values, &statements).await,
            Self::Load(loaded) => loaded.send(conn, plan).await,
        }
    }
}

/// So many rows are encoded without letting others go first.
const STEP: usize = 1_024;

fn steps(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(STEP).map(move |first| first..rows.min(first + STEP))
}

async fn rest(step: Range<usize>) {
    if step.len() >= STEP {
        tokio::task::yield_now().await;
    }
}

/// Where a write failed before its commit.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Writing; the first row of the part that was being written, and its length, where known.
    Write(Error, Option<(usize, usize)>),
    /// Preparing the way: a temporary table, a LOAD that is not allowed after all.
    Way(Error),
}
