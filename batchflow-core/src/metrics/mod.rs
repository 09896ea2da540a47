//! What is measured: the [`Metrics`] trait, its events, and a flow's [`FlowProbe`].
//!
//! Two ways lead out. What happens is **told** as events, to the [`Metrics`] that a flow was built
//! with: attempts, batches, retries. What a flow counts anyhow is **read**, when somebody looks,
//! through its [`FlowProbe`]: rows by what became of them, what it holds, what it refused. So rows
//! cost nothing to count twice.

mod event;
mod probe;

use std::fmt;
use std::sync::Arc;

pub(crate) use event::outcome;
pub use event::{
    AttemptEvent, BatchEvent, DeadLetterEvent, FlushEvent, LaunchEvent, LookupEvent, RetryEvent,
    SplitEvent, SubmitEvent, Trigger,
};
pub use probe::{Activity, FlowProbe, FlowReading, LetterStats};
pub(crate) use probe::{Probed, Source};

use crate::unwind::catch;

/// Is told what a flow and its executors do, as it happens.
///
/// Every method does nothing unless implemented, and new ones may come. They run on the tasks
/// that submit and write: they must not block. A panic in one is caught, and the event is lost.
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
    /// A flow begins; the probe reads what it counts, for as long as it is kept.
    fn watch(&self, probe: FlowProbe) {
        let _ = probe;
    }

    /// A row was queued. Told of every submit that waited for room, and of one in 64 of all.
    fn submit(&self, event: &SubmitEvent) {
        let _ = event;
    }

    /// Rows were taken from the queue and merged by key.
    fn flush(&self, event: &FlushEvent) {
        let _ = event;
    }

    /// A batch was formed, and is on its way.
    fn launch(&self, event: &LaunchEvent<'_>) {
        let _ = event;
    }

    /// One attempt of a driver has ended.
    fn attempt(&self, event: &AttemptEvent<'_>) {
        let _ = event;
    }

    /// A driver was asked about a table, or about a commit whose answer never came.
    fn lookup(&self, event: &LookupEvent<'_>) {
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

    /// Rows became dead letters.
    fn dead_letters(&self, event: &DeadLetterEvent<'_>) {
        let _ = event;
    }
}

/// Metrics shared by several flows.
impl<M: Metrics + ?Sized> Metrics for Arc<M> {
    fn watch(&self, probe: FlowProbe) {
        (**self).watch(probe);
    }

    fn submit(&self, event: &SubmitEvent) {
        (**self).submit(event);
    }

    fn flush(&self, event: &FlushEvent) {
        (**self).flush(event);
    }

    fn launch(&self, event: &LaunchEvent<'_>) {
        (**self).launch(event);
    }

    fn attempt(&self, event: &AttemptEvent<'_>) {
        (**self).attempt(event);
    }

    fn lookup(&self, event: &LookupEvent<'_>) {
        (**self).lookup(event);
    }

    fn batch(&self, event: &BatchEvent<'_>) {
        (**self).batch(event);
    }

    fn retry(&self, event: &RetryEvent<'_>) {
        (**self).retry(event);
    }

    fn split(&self, event: &SplitEvent<'_>) {
        (**self).split(event);
    }

    fn dead_letters(&self, event: &DeadLetterEvent<'_>) {
        (**self).dead_letters(event);
    }
}

/// The metrics that a flow and its stack report to, if any, under the driver's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reporter {
    pub(crate) backend: &'static str,
    pub(crate) metrics: Option<Arc<dyn Metrics>>,
}

impl Reporter {
    /// Calls the metrics, if there are any.
    #[inline]
    pub(crate) fn tell(&self, event: impl FnOnce(&'static str, &dyn Metrics)) {
        if let Some(metrics) = &self.metrics {
            // A panic in the user's code is the loss of one event.
            let _ = catch(|| event(self.backend, &**metrics));
        }
    }

    /// Whether anybody listens.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.metrics.is_some()
    }
}
