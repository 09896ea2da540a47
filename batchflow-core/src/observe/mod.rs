//! For programs that look themselves: an [`Observer`] sees every batch, a [`Sampler`] picks those
//! worth a line, a [`Redactor`] says which fields stay hidden.
//!
//! Beside these, every batch is a [`tracing`] span, `batch` at the level of debug under the target
//! `batchflow`, with the fields `backend`, `table`, `rows`, `attempts`, `outcome` and `error`.
//!
//! ```
//! use std::time::Duration;
//!
//! use batchflow_core::observe::{Failures, LogObserver, Ratio, Sampler, Slow};
//! # use batchflow_core::{Batch, BatchFlow, WriteError, driver_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let driver = driver_fn("nowhere", async |_: Batch| Ok::<_, WriteError>(()));
//! // A line for every batch that failed or took a second, and for one in a thousand others.
//! let rule = Failures.or(Slow(Duration::from_secs(1))).or(Ratio(0.001));
//! let flow = BatchFlow::builder(driver).observer(LogObserver::new(rule)).build()?;
//! # let _ = flow;
//! # Ok(())
//! # }
//! ```

mod log;
mod redactor;
mod sampler;

use std::fmt;
use std::sync::Arc;

pub use log::LogObserver;
pub use redactor::{Everything, Redactor, SecretNames};
pub use sampler::{Failures, Or, Ratio, Sampler, Slow};

use crate::metrics::BatchEvent;
use crate::unwind::catch;

/// Sees every batch once it has its verdicts. Any closure is one.
///
/// It runs on the task that wrote the batch: it must not block. A panic in it is caught, and the
/// event is lost.
pub trait Observer: Send + Sync + 'static {
    /// A batch came to its verdicts, whatever it took.
    fn batch(&self, event: &BatchEvent<'_>);
}

impl<F> Observer for F
where
    F: Fn(&BatchEvent<'_>) + Send + Sync + 'static,
{
    fn batch(&self, event: &BatchEvent<'_>) {
        self(event);
    }
}

/// The observers of a flow or a writer.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        self.0.push(Arc::new(observer));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(&self, event: &BatchEvent<'_>) {
        for observer in &self.0 {
            // A panic in the user's code is the loss of one event.
            let _ = catch(|| observer.batch(event));
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}
