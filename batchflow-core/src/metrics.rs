//! The [`Metrics`] trait and its events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::{ErrorKind, WriteError};
use crate::schema::TableName;
use crate::unwind::catch;

/// Is told what the executors do, as it happens.
///
/// Every method does nothing unless implemented, and new ones may come. They run on the tasks
/// that write: they must not block. A panic in one is caught, and the event is lost.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use batchflow_core::metrics::{BatchEvent, Metrics};
///
/// #[derive(Debug, Default)]
/// struct Written(AtomicU64);
///
/// impl Metrics for Written {
///     fn batch(&self, event: &BatchEvent<'_>) {
///         self.0.fetch_add(event.written as u64, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait Metrics: fmt::Debug + Send + Sync + 'static {
    /// One attempt of a driver has ended.
    fn attempt(&self, event: &AttemptEvent<'_>) {
        let _ = event;
    }

    /// A batch came to its verdicts, whatever it took.
    fn batch(&self, event: &BatchEvent<'_>) {
        let _ = event;
    }

    /// Rows wait to be tried again.
    fn retry(&self, event: &RetryEvent<'_>) {
        let _ = event;
    }

    /// A batch was refused, and is tried in parts.
    fn split(&self, event: &SplitEvent<'_>) {
        let _ = event;
    }
}

/// One attempt of a driver has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows it carried.
    pub rows: usize,
    /// 1 for the first try at these rows.
    pub number: u32,
    /// How long it took, without waiting for a slot.
    pub duration: Duration,
    /// The first row's error, of those not written.
    pub error: Option<&'a WriteError>,
}

/// A batch came to its verdicts, whatever it took.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows it had.
    pub rows: usize,
    /// Their size, as [`Request::size_bytes`](crate::Request::size_bytes) counts.
    pub bytes: usize,
    /// From the batch's start to its last verdict, waits included.
    pub duration: Duration,
    /// How many rows were written.
    pub written: usize,
    /// How many the database refused.
    pub rejected: usize,
    /// How many were surely not applied.
    pub not_applied: usize,
    /// Of how many nobody can tell.
    pub unknown: usize,
    /// The kind of the first error.
    pub error: Option<ErrorKind>,
}

/// Rows wait to be tried again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows wait.
    pub rows: usize,
    /// The number of the attempt that failed.
    pub number: u32,
    /// How long they wait.
    pub delay: Duration,
    /// Why.
    pub error: &'a WriteError,
}

/// A batch was refused, and is tried in parts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SplitEvent<'a> {
    /// The driver's name.
    pub backend: &'static str,
    /// The table written to.
    pub table: &'a TableName,
    /// How many rows were refused together.
    pub rows: usize,
    /// Why.
    pub error: &'a WriteError,
}

/// The metrics that a stack reports to, if any, under the driver's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reporter {
    pub(crate) backend: &'static str,
    pub(crate) metrics: Option<Arc<dyn Metrics>>,
}

impl Reporter {
    /// Calls the metrics, if there are any.
    pub(crate) fn tell(&self, event: impl FnOnce(&'static str, &dyn Metrics)) {
        if let Some(metrics) = &self.metrics {
            // A panic in the user's code is the loss of one event.
            let _ = catch(|| event(self.backend, &**metrics));
        }
    }
}
