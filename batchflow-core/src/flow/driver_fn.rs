//! [`driver_fn`]: any async function as a driver.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use crate::batch::Batch;
use crate::driver::{Attempt, Capabilities, Driver, Report, WriteError};

/// Makes a driver of an async function: for a web service, a message broker, a file.
///
/// `backend` names it in metrics and errors. The function gets each batch and returns `()` where
/// every row was written, or a [`Report`] of single verdicts. It has the flow's
/// [`timeout`](crate::FlowBuilder::timeout); when that is over its future is dropped, and its
/// rows count as unknown, since it may have had an effect.
///
/// ```
/// use batchflow_core::{Batch, BatchFlow, ConflictStrategy, Schema, WriteError, driver_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = driver_fn("stdout", async |batch: Batch| {
///     println!("{} rows for {}", batch.len(), batch.schema().table());
///     Ok::<_, WriteError>(())
/// });
/// let flow = BatchFlow::builder(driver).build()?;
/// let logs = Schema::new("logs", ConflictStrategy::Fail, ["line"])?;
/// flow.submit(logs.row(("hello",))?).await?;
/// assert!(flow.close().await?.all_written());
/// # Ok(())
/// # }
/// ```
pub fn driver_fn<F, Fut, R>(backend: &'static str, write: F) -> DriverFn<F>
where
    F: Fn(Batch) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, WriteError>> + Send,
    R: Into<Report>,
{
    DriverFn { backend, capabilities: Capabilities::none(), write }
}

/// A driver made by [`driver_fn`].
pub struct DriverFn<F> {
    backend: &'static str,
    capabilities: Capabilities,
    write: F,
}

impl<F> DriverFn<F> {
    /// Declares limits of rows and bytes, that a batch is applied whole or not at all, or that a
    /// write never blocks its thread.
    /// Methods that the function does not have are not called, whatever is declared.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        let mut kept = Capabilities::none();
        if let Some(rows) = capabilities.max_rows() {
            kept = kept.with_max_rows(rows);
        }
        if let Some(parameters) = capabilities.max_parameters() {
            kept = kept.with_max_parameters(parameters);
        }
        if let Some(bytes) = capabilities.max_bytes() {
            kept = kept.with_max_bytes(bytes);
        }
        if capabilities.is_atomic() {
            kept = kept.with_atomic();
        }
        if capabilities.is_nonblocking() {
            kept = kept.with_nonblocking();
        }
        self.capabilities = kept;
        self
    }
}

#[async_trait]
impl<F, Fut, R> Driver for DriverFn<F>
where
    F: Fn(Batch) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, WriteError>> + Send,
    R: Into<Report>,
{
    fn backend(&self) -> &'static str {
        self.backend
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn write(&self, batch: Batch, _attempt: &Attempt) -> Result<Report, WriteError> {
        (self.write)(batch).await.map(Into::into)
    }
}

/// Every row was written.
impl From<()> for Report {
    fn from((): ()) -> Self {
        Self::all()
    }
}

impl<F> fmt::Debug for DriverFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverFn").field("backend", &self.backend).finish_non_exhaustive()
    }
}
