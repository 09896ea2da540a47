//! The [`Executor`]: from a batch to one verdict a row. The policies around a driver are small
//! executors that wrap one another.
//!
//! The standard stack, from the outside in:
//!
//! | | |
//! |---|---|
//! | [`Trace`] | opens a span for the batch |
//! | [`Observe`] | tells [`Metrics`](crate::metrics::Metrics) and observers what became of the batch |
//! | [`Isolate`] | finds the rows at fault in a refused batch, so that the others are written |
//! | [`Retry`] | tries again what failed for the moment, settles what is unknown |
//! | [`Throttle`] | lets only so many attempts run at once; a wait of `Retry` holds no slot |
//! | [`Timeout`] | gives each attempt a deadline, and sees to it that it ends |
//! | [`Drive`] | runs the driver |
//!
//! A stack of one's own leaves some out or puts others in between:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use batchflow_core::executor::{Drive, Executor, Isolate, Retry, Timeout};
//! use batchflow_core::{Driver, RetryPolicy};
//!
//! fn stack(driver: Arc<dyn Driver>) -> Arc<dyn Executor> {
//!     let drive = Arc::new(Drive::new(Arc::clone(&driver)));
//!     let timeout = Arc::new(Timeout::new(drive, Duration::from_secs(30)));
//!     let retry = Retry::new(timeout, RetryPolicy::default()).settling(driver);
//!     Arc::new(Isolate::new(Arc::new(retry)))
//! }
//! ```

mod classify;
mod drive;
mod health;
mod isolate;
mod observe;
mod order;
mod policy;
mod retry;
mod settle;
mod slots;
mod stack;
#[cfg(test)]
mod tests;
mod throttle;
mod timeout;
mod trace;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

pub use classify::Classifier;
pub use drive::Drive;
pub use isolate::Isolate;
pub use observe::Observe;
pub use policy::RetryPolicy;
pub use retry::Retry;
pub use throttle::Throttle;
pub use timeout::Timeout;
pub use trace::Trace;

pub(crate) use classify::Classes;
pub(crate) use health::Health;
pub(crate) use order::keep_in_order;
pub(crate) use policy::Backoff;
pub(crate) use slots::{Permit, Slots};
pub(crate) use stack::{StackConfig, standard};
pub(crate) use timeout::{GRACE, Limit};

use crate::batch::Batch;
use crate::driver::{Attempt, ErrorKind, Report, Verdict, WriteError};

/// Brings a batch to its verdicts, whatever it takes.
///
/// The standard stack is `trace → observe → isolate → retry → throttle → timeout → driver`; a flow built
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

/// The flow stopped, and these rows were not sent (again).
fn stopped(batch: &Batch, last: Option<&WriteError>) -> Report {
    Report::same(Verdict::NotApplied(drive::describe(stop_error(last), batch)))
}

fn stop_error(last: Option<&WriteError>) -> WriteError {
    let error = WriteError::new(ErrorKind::Cancelled);
    match last {
        Some(last) => error.with_message(format!("the flow stopped; before that, {last}")),
        None => error.with_message("the flow stopped"),
    }
}

/// `wait` from `now`; where the clock does not reach that far, 30 years.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}
