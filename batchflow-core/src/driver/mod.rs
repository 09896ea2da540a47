//! The [`Driver`] contract: what a backend implements, and the vocabulary it speaks.

mod attempt;
mod capabilities;
mod deadline;
mod error;
mod kind;
mod preview;
mod report;
mod table;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

pub use attempt::{Attempt, CommitToken, Settled};
pub use capabilities::Capabilities;
pub use deadline::Deadline;
pub use error::{Applied, Stage, WriteError};
pub use kind::{ErrorClass, ErrorKind};
pub use preview::{Preview, ShowValues, fingerprint};
pub use report::{Report, Verdict};
pub use table::{ColumnInfo, ColumnKind, Comparison, TableInfo};

use crate::batch::Batch;
use crate::schema::Schema;

/// A backend: writes batches, and tells what became of their rows.
///
/// # Contract
///
/// - A [`Batch`] is ready to write: one schema, one set of set columns, within the
///   [limits declared](Capabilities). Unless the strategy is
///   [`Fail`](crate::ConflictStrategy::Fail), its rows are sorted by key and no two share one,
///   if [`Batch::has_distinct_keys`] says so.
/// - `write` returns once the attempt has **ended on the server**. When
///   [`Attempt::cancelled`] resolves, end it, see it ended, and return; where that cannot be seen,
///   return an error that is [`still_running`](WriteError::still_running).
/// - `Err` means that no row was applied ([`Applied::Nothing`]), or that all or none were and
///   nobody knows ([`Applied::Unknown`]). A backend that applies some rows and not others returns
///   `Ok` with a [`Report`] of single verdicts.
/// - The future may be dropped at any point. A connection in doubt is then discarded, never
///   returned to a pool.
/// - No value, URL or password stands in any error's shown parts, log or `Debug`.
///
/// The other methods are called only where [`capabilities`](Self::capabilities) declare them.
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// The backend's name, a metrics label: `"postgres"`.
    fn backend(&self) -> &'static str;

    /// What the driver can do. Constant over its life.
    fn capabilities(&self) -> Capabilities;

    /// Writes a batch.
    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError>;

    /// Looks up the schema's table, its columns and that its key has a usable unique index.
    /// What is missing is an [`ErrorKind::Schema`] error that names it.
    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        Ok(TableInfo::unchecked(schema))
    }

    /// Tells what became of a commit whose answer never came.
    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        let _ = token;
        Ok(Settled::Unknown)
    }

    /// Shows what would be sent for a batch, without sending it.
    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        let _ = (batch, values);
        let error = WriteError::new(ErrorKind::Unsupported);
        Err(error.with_message(format!("{} shows no previews", self.backend())))
    }

    /// Ends what the driver itself started. Called once, after the last batch.
    async fn close(&self) {}

    /// How an owner lets go of the driver: it closes it. Only a shared one has another way.
    #[doc(hidden)]
    async fn let_go(self: Arc<Self>) {
        (*self).close().await;
    }
}

/// A driver shared by several flows. It closes with the last of them.
#[async_trait]
impl<D: Driver + ?Sized> Driver for Arc<D> {
    fn backend(&self) -> &'static str {
        (**self).backend()
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        (**self).write(batch, attempt).await
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        (**self).describe(schema).await
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        (**self).settle(token).await
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        (**self).preview(batch, values).await
    }

    async fn close(&self) {
        if Self::strong_count(self) == 1 {
            (**self).close().await;
        }
    }

    async fn let_go(self: Arc<Self>) {
        let Some(share) = Arc::into_inner(self) else { return };
        if let Some(last) = give_up(share) {
            last.let_go().await;
        }
    }
}

/// Gives a share of a driver up, unless it is the last. Of several that are given up at once, one
/// is the last.
fn give_up<D: ?Sized>(share: Arc<D>) -> Option<Arc<D>> {
    static GIVING_UP: Mutex<()> = Mutex::new(());
    let _one_by_one = GIVING_UP.lock().unwrap_or_else(PoisonError::into_inner);
    if Arc::strong_count(&share) == 1 {
        return Some(share);
    }
    // Here, so that looking and letting go are one step to all who do so.
    drop(share);
    None
}
