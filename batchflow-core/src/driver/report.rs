//! [`Report`]: what became of each row of a batch.

use super::error::WriteError;

/// What an attempt did to one row.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The deciding statement committed.
    Written,
    /// The database refused this row, for a fault of its own.
    Rejected(WriteError),
    /// The row was surely not applied, and may be tried again.
    NotApplied(WriteError),
    /// Nobody can tell whether the row was applied.
    Unknown(WriteError),
}

impl Verdict {
    /// The error, unless the row was written.
    pub fn error(&self) -> Option<&WriteError> {
        match self {
            Self::Written => None,
            Self::Rejected(error) | Self::NotApplied(error) | Self::Unknown(error) => Some(error),
        }
    }
}

/// One verdict for each row of a batch.
#[derive(Clone, Debug)]
pub struct Report {
    rows: Rows,
    affected: Option<u64>,
}

#[derive(Clone, Debug)]
enum Rows {
    All(Verdict),
    Each(Vec<Verdict>),
}

impl Report {
    /// Every row was written.
    pub fn all() -> Self {
        Self::same(Verdict::Written)
    }

    /// Every row has this verdict.
    pub fn same(verdict: Verdict) -> Self {
        Self { rows: Rows::All(verdict), affected: None }
    }

    /// One verdict a row, in the batch's order. A report of another length than the batch is a
    /// fault of the driver: rows without a verdict become unknown.
    pub fn each(verdicts: Vec<Verdict>) -> Self {
        Self { rows: Rows::Each(verdicts), affected: None }
    }

    /// How many rows the server says it inserted or changed; under `Ignore`, the others kept what
    /// was there.
    #[must_use]
    pub fn with_affected(mut self, rows: u64) -> Self {
        self.affected = Some(rows);
        self
    }

    /// How many rows the server says it inserted or changed.
    pub fn affected(&self) -> Option<u64> {
        self.affected
    }

    /// The verdict of the row at `position`; `None` past the end of a report of single verdicts.
    pub fn verdict(&self, position: usize) -> Option<&Verdict> {
        match &self.rows {
            Rows::All(verdict) => Some(verdict),
            Rows::Each(verdicts) => verdicts.get(position),
        }
    }

    /// The one verdict of a report made with [`all`](Self::all) or [`same`](Self::same).
    pub fn uniform(&self) -> Option<&Verdict> {
        match &self.rows {
            Rows::All(verdict) => Some(verdict),
            Rows::Each(_) => None,
        }
    }

    /// One verdict for each of `len` rows, in order.
    pub fn into_verdicts(self, len: usize) -> Vec<Verdict> {
        match self.rows {
            Rows::All(verdict) => vec![verdict; len],
            Rows::Each(mut verdicts) => {
                verdicts.resize_with(len, || Verdict::Unknown(missing_verdict()));
                verdicts
            }
        }
    }
}

fn missing_verdict() -> WriteError {
    WriteError::new(super::ErrorKind::Internal)
        .outcome_unknown()
        .with_message("the driver reported no verdict for this row")
}
