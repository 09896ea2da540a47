//! [`BatchWriter`]: bulk writes at the caller's own pace.

mod builder;
mod front;
mod replay;
mod run;
mod summary;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::BatchWriterBuilder;
pub use replay::{ReplayError, ReplayFault, ReplaySummary};
pub use summary::{BulkError, WriteSummary};

use crate::dead_letter::DeadLetterSink;
use crate::driver::Driver;
use crate::executor::{Backoff, Classes, Executor};
use crate::request::Request;
use crate::runtime::{need_timers, timers};
use crate::unwind::catch_async;
use run::Run;

/// Writes many rows in batches, one batch at a time, while the caller waits.
///
/// It has no task of its own: rows are taken from the iterator as there is room for them, and
/// nothing happens unless [`write`](Self::write) is awaited. It runs the executor stack of a
/// flow: rows at fault are isolated, unknown commits settled, attempts ended in time.
///
/// - A batch holds consecutive rows of one schema that set the same columns; rows in long runs of
///   one shape make the best batches. Two rows of one key share no batch: the later one begins
///   the next; unless only the database can compare the keys, or the strategy is
///   [`Fail`](crate::ConflictStrategy::Fail), when they may. Nothing is merged, and rows of one key are written in their order.
/// - A transient failure halves the next attempt, down to `min_batch_size`; each success doubles
///   it again.
/// - A row's own fault costs that row alone: it is in the summary, and goes to the dead letters.
/// - A systemic failure, or too many transient ones in a row, stops with a [`BulkError`] that
///   hands back what was not written.
///
/// ```no_run
/// use batchflow_core::{BatchWriter, ConflictStrategy, Driver, Schema};
///
/// # async fn load(driver: impl Driver) -> Result<(), Box<dyn std::error::Error>> {
/// let logs = Schema::new("logs", ConflictStrategy::Ignore, ["id", "line"])?;
/// let rows = (0..1_000_000_i64).filter_map(|id| logs.row((id, "a line")).ok());
///
/// let writer = BatchWriter::builder(driver).batch_size(5_000).min_batch_size(500).build()?;
/// let summary = writer.write(rows).await?;
/// println!("{} of {} rows are written", summary.written(), summary.submitted());
/// # Ok(())
/// # }
/// ```
pub struct BatchWriter {
    driver: Arc<dyn Driver>,
    executor: Arc<dyn Executor>,
    sink: Option<Arc<dyn DeadLetterSink>>,
    classes: Classes,
    backoff: Backoff,
    settings: Settings,
}

/// What a builder has checked.
#[derive(Clone, Debug)]
struct Settings {
    batch_size: usize,
    min_batch_size: usize,
    max_retries: u32,
    timeout: Duration,
    throttle: Duration,
    /// How many failures the summary lists.
    listed: usize,
}

impl BatchWriter {
    /// Starts a writer for `driver`.
    pub fn builder(driver: impl Driver) -> BatchWriterBuilder {
        BatchWriterBuilder::new(Arc::new(driver))
    }

    /// Writes rows, in order, and tells what became of them.
    ///
    /// Pass `&mut rows` to keep the iterator: after an error,
    /// [`rest`](BulkError::into_rest) followed by what is left of it is what remains to be
    /// written.
    ///
    /// Not cancel safe: of the batch in flight when the future is dropped, nobody knows whether
    /// it was applied, and the rows taken from the iterator and not written are dropped.
    ///
    /// # Errors
    ///
    /// Where writing stopped; before the first row where there is no tokio runtime here.
    pub async fn write<I>(&self, rows: I) -> Result<WriteSummary, BulkError>
    where
        I: IntoIterator<Item = Request> + Send,
        I::IntoIter: Send,
    {
        let mut run = Run::new(self);
        if let Err(error) = need_timers() {
            return Err(run.stop(error));
        }
        for (submission, row) in (0..).zip(rows) {
            if let Err(error) = run.add(submission, row).await {
                return Err(run.stop(error));
            }
        }
        run.end().await
    }

    /// Tells the dead-letter sink that there is no more, and ends what the driver itself started.
    /// Each has as long as one attempt. Dropping the writer does neither.
    ///
    /// Not cancel safe: dropped half-way, it has closed one of them, or none.
    pub async fn close(self) {
        let Self { driver, executor, sink, settings, .. } = self;
        if let Some(sink) = sink
            && !ends(settings.timeout, async { sink.close().await }).await
        {
            tracing::warn!("the dead-letter sink did not close in time");
        }
        // It holds the driver, too.
        drop(executor);
        let backend = driver.backend();
        if !ends(settings.timeout, async { driver.let_go().await }).await {
            tracing::warn!(backend, "the driver did not close in time");
        }
    }
}

/// Whether this ends in time and without a panic.
async fn ends(limit: Duration, close: impl Future<Output = ()>) -> bool {
    let close = catch_async(close);
    if timers().is_ok() {
        matches!(tokio::time::timeout(limit, close).await, Ok(Ok(())))
    } else {
        close.await.is_ok()
    }
}

impl fmt::Debug for BatchWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter")
            .field("driver", &self.driver)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
