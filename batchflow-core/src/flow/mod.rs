//! [`BatchFlow`]: rows in, one at a time; batches out; a verdict for each row.

mod builder;
mod cancel;
mod driver_fn;
mod enqueue;
mod fleet;
mod flight;
mod lane;
mod merge;
mod preview;
mod pump;
mod queue;
mod receipt;
mod shared;
#[cfg(feature = "futures-03")]
mod sink;
mod station;
mod stats;
mod submit;
mod sync;
mod tally;
mod tune;

#[cfg(all(test, batchflow_loom))]
mod loom_tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub use builder::FlowBuilder;
pub use driver_fn::{DriverFn, driver_fn};
pub use preview::{BatchPreview, FlowPreview};
pub use receipt::Receipt;
#[cfg(feature = "futures-03")]
pub use sink::{FlowSink, SinkError};
pub use stats::{Counts, Health, Stats, Summary};
pub use submit::{SubmitAllError, SubmitError, SubmitReason};
pub use tune::Tune;

use crate::driver::Driver;
use crate::driver::WriteError;
use crate::executor::Executor;
use crate::metrics::FlowProbe;
use crate::observe::Redactor;
use crate::request::Request;
use enqueue::{Enqueue, Submit};
use preview::Previewer;
use queue::{Deadline, Phase};
use shared::{Life, Shared, after};

/// Takes rows one at a time, from any task or thread, and writes them in batches.
///
/// A cheap clone; the clones are one flow. When the last is dropped without
/// [`close`](Self::close), the flow still writes what it holds for its
/// [grace](FlowBuilder::grace), in the background.
///
/// **Who waits sets the pace.** A batch goes out when it is full, when its oldest row is
/// `flush_interval` old, on `flush` and `close`, when submitters wait for room, or at once when a
/// tracked row is in it and a slot is idle. An awaited row costs about one commit; unwatched rows
/// make few, large transactions.
///
/// ```
/// use batchflow_core::{BatchFlow, ConflictStrategy, Outcome, Request, Schema, driver_fn};
/// use batchflow_core::{Batch, WriteError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let driver = driver_fn("nowhere", async |_: Batch| Ok::<_, WriteError>(()));
/// let flow = BatchFlow::builder(driver).build()?;
/// let users = Schema::new("users", ConflictStrategy::Replace, ["id", "name"])?;
///
/// flow.submit(Request::new(&users).set("id", 1_i64).set("name", "Ada")).await?;
/// let receipt = flow.submit_tracked(users.row((2_i64, "Grace"))?).await?;
/// assert_eq!(receipt.await?, Outcome::Written);
///
/// let summary = flow.close().await?;
/// assert!(summary.all_written());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BatchFlow {
    handle: Arc<Handle>,
}

/// What the clones of a flow share; its drop ends the flow.
struct Handle {
    shared: Arc<Shared>,
    previewer: Previewer,
}

impl BatchFlow {
    /// Starts building a flow that writes through `driver`, with the standard executor stack.
    pub fn builder(driver: impl Driver) -> FlowBuilder {
        FlowBuilder::for_driver(Arc::new(driver))
    }

    /// Starts building a flow with an executor stack of your own. What that stack does not do
    /// (retry, time-outs, isolation) is not done.
    pub fn builder_with(executor: impl Executor) -> FlowBuilder {
        FlowBuilder::for_executor(Arc::new(executor))
    }

    fn new(shared: Arc<Shared>, previewer: Previewer) -> Self {
        Self { handle: Arc::new(Handle { shared, previewer }) }
    }

    /// Queues a row; waits only for room.
    ///
    /// Cancel safe: a dropped future has not queued the row.
    ///
    /// # Errors
    ///
    /// The row comes back in the error, where it is [invalid](SubmitError::is_invalid) or the
    /// flow is [closed](SubmitError::is_closed).
    #[inline]
    pub fn submit(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<(), SubmitError>> + Send + Unpin {
        Submit(Enqueue::new(&self.handle.shared, request, None))
    }

    /// Queues a row and returns its [`Receipt`]; waits only for room.
    ///
    /// Cancel safe: a dropped future has not queued the row.
    pub async fn submit_tracked(&self, request: Request) -> Result<Receipt, SubmitError> {
        let (reply, verdict) = oneshot::channel();
        let submission = Enqueue::new(&self.handle.shared, request, Some(Box::new(reply))).await?;
        Ok(Receipt::new(submission, verdict))
    }

    /// Queues a row if there is room now.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit), and [full](SubmitError::is_full).
    pub fn try_submit(&self, request: Request) -> Result<(), SubmitError> {
        Enqueue::new(&self.handle.shared, request, None).now()
    }

    /// Queues a row from a plain thread, blocking it until there is room. In an async task, use
    /// [`submit`](Self::submit): this would block its whole thread.
    pub fn submit_blocking(&self, request: Request) -> Result<(), SubmitError> {
        Enqueue::new(&self.handle.shared, request, None).block()
    }

    /// Queues rows one after the other; returns how many.
    ///
    /// Cancel safe in that each row is queued or not; a dropped future does not tell how many
    /// were.
    ///
    /// # Errors
    ///
    /// Stops at the first row that is not queued, and hands it back with those after it.
    pub async fn submit_all<I>(&self, rows: I) -> Result<usize, SubmitAllError<I::IntoIter>>
    where
        I: IntoIterator<Item = Request>,
    {
        let mut rows = rows.into_iter();
        let mut submitted = 0;
        while let Some(request) = rows.next() {
            if let Err(error) = self.submit(request).await {
                return Err(SubmitAllError::new(submitted, error, rows));
            }
            submitted += 1;
        }
        Ok(submitted)
    }

    /// Sends everything submitted before, and waits until all of it is settled; returns what
    /// became of the rows that were pending.
    ///
    /// Cancel safe: the rows are sent all the same.
    ///
    /// # Errors
    ///
    /// [`FlowStopped`] where the flow's runtime shut down meanwhile.
    pub async fn flush(&self) -> Result<Counts, FlowStopped> {
        let shared = &self.handle.shared;
        let Some(done) = shared.queue.flush() else { return Ok(Counts::default()) };
        let mut ended = shared.ended.subscribe();
        tokio::select! {
            biased;
            counts = done => counts.map_err(|_| FlowStopped(())),
            _ = ended.wait_for(|life| *life == Life::Stopped) => Err(FlowStopped(())),
        }
    }

    /// Changes the pace while the flow runs.
    ///
    /// ```
    /// # fn faster(flow: batchflow_core::BatchFlow) {
    /// flow.tune(|t| t.flush_size(1_000).concurrency(8));
    /// # }
    /// ```
    pub fn tune(&self, change: impl FnOnce(Tune) -> Tune) {
        self.handle.shared.retune(change);
    }

    /// Every row by what became of it, in one consistent snapshot.
    pub fn stats(&self) -> Stats {
        self.handle.shared.queue.stats()
    }

    /// How the flow is doing.
    pub fn health(&self) -> Health {
        self.handle.shared.health()
    }

    /// What the flow would send for these rows, were they alone and sent at once: how they would be
    /// merged, the batches, and for each what its driver would send. Nothing is sent but the
    /// questions about the tables, and no value is shown.
    ///
    /// Cancel safe. Poll or drop it before the flow closes: its driver waits 5 s for it to end.
    ///
    /// ```
    /// # async fn show(
    /// #     flow: batchflow_core::BatchFlow,
    /// #     rows: Vec<batchflow_core::Request>,
    /// # ) -> Result<(), batchflow_core::WriteError> {
    /// println!("{}", flow.preview(&rows).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Where a row is invalid, a table cannot be looked up, the driver
    /// [shows no previews](crate::Capabilities::previews), or there is no tokio runtime here.
    pub async fn preview(&self, rows: &[Request]) -> Result<FlowPreview, WriteError> {
        let tune = self.handle.shared.tune();
        self.handle.previewer.preview(rows, None, tune).await
    }

    /// As [`preview`](Self::preview), with the values of each batch's first rows, but for those
    /// that the redactor hides. **The values may be secrets**:
    /// [`SecretNames`](crate::observe::SecretNames) knows the usual names. As cancel safe.
    pub async fn preview_values(
        &self,
        rows: &[Request],
        redactor: &dyn Redactor,
    ) -> Result<FlowPreview, WriteError> {
        let tune = self.handle.shared.tune();
        self.handle.previewer.preview(rows, Some(redactor), tune).await
    }

    /// Reads what the flow counts and holds, also after its end, without keeping it: for metrics
    /// of your own.
    pub fn probe(&self) -> FlowProbe {
        FlowProbe { probed: Arc::clone(&self.handle.shared.probed) }
    }

    /// Takes no more rows, writes all it holds, and ends.
    ///
    /// After its [`close_timeout`](FlowBuilder::close_timeout), it hands back what was surely
    /// never applied. Called again, it waits for the same end. Cancel safe: the flow closes all
    /// the same, and hands rows back to who calls it again; where the last handle is dropped
    /// instead, they are abandoned.
    ///
    /// # Errors
    ///
    /// [`FlowStopped`] where the flow's runtime shut down meanwhile.
    pub async fn close(&self) -> Result<Summary, FlowStopped> {
        self.close_within(self.handle.shared.terms.close_timeout).await
    }

    /// As [`close`](Self::close), with `limit` for the last rows: then what was surely never
    /// applied is handed back in [`Summary::returned`]. As cancel safe.
    pub async fn close_within(&self, limit: Duration) -> Result<Summary, FlowStopped> {
        let shared = &self.handle.shared;
        let deadline = Deadline { at: after(limit), then: Phase::Returning };
        shared.queue.close(Phase::Draining, Some(deadline));
        let mut ended = shared.ended.subscribe();
        let ended = ended.wait_for(|life| *life != Life::Running).await;
        if !ended.is_ok_and(|life| *life == Life::Done) {
            return Err(FlowStopped(()));
        }
        Ok(Summary {
            stats: shared.queue.stats(),
            returned: shared.take_returned(),
            undelivered: shared.letters.counts().undeliverable,
        })
    }

    /// Whether the flow takes no more rows.
    pub fn is_closed(&self) -> bool {
        self.handle.shared.queue.phase() != Phase::Open
    }

    #[cfg(feature = "testing")]
    pub(crate) fn miscount(&self) {
        self.handle.shared.queue.miscount();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.forsake();
        self.shared.end(Phase::Draining);
    }
}

impl fmt::Debug for BatchFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.handle.shared, f)
    }
}

/// The flow's runtime shut down before the flow was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStopped(());

impl fmt::Display for FlowStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the flow's runtime shut down before the flow was done")
    }
}

impl std::error::Error for FlowStopped {}
