//! The [`Executor`]: from a batch to one verdict a row. The policies around a driver are small
//! executors that wrap one another.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::batch::Batch;
use crate::driver::{Attempt, Report};

/// Brings a batch to its verdicts, whatever it takes.
///
/// The standard stack is `observe → isolate → retry → throttle → timeout → driver`; a flow built
/// with [`BatchFlow::builder_with`](crate::BatchFlow::builder_with) runs one of your own.
///
/// `execute` is infallible: failures are verdicts. The flow runs it in a task of its own and
/// never drops it half-way, except when its runtime is shut down.
#[async_trait]
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// Brings every row of the batch to a verdict.
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report;
}

#[async_trait]
impl<E: Executor + ?Sized> Executor for Arc<E> {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        (**self).execute(batch, attempt).await
    }
}
