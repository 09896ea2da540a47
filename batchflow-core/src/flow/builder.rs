//! Builds a [`BatchFlow`]: its pace, its bounds and its policies.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::BatchFlow;
use super::cancel::Cancel;
use super::fleet::Fleet;
use super::preview::Previewer;
use super::pump::{DEFAULT_GRACE, HeldBack, Pump};
use super::queue::{Limits, Queue};
use super::shared::{Shared, Terms, Watchers};
use super::station::{Describer, Rules};
use super::tune::Tune;
use crate::coalesce::Coalescer;
use crate::config_error::ConfigError;
use crate::dead_letter::{DeadLetterSink, Hub};
use crate::driver::{Capabilities, Driver};
use crate::executor::{
    Backoff, Classes, Classifier, Executor, Health, Limit, RetryPolicy, Slots, StackConfig,
    standard,
};
use crate::metrics::{FlowProbe, Metrics, Reporter, Source};
use crate::observe::{Observer, Observers};
use crate::runtime::timers;

/// Builds a [`BatchFlow`]; made by [`BatchFlow::builder`] or [`BatchFlow::builder_with`].
///
/// | setting | default |
/// |---|---|
/// | [`flush_size`](Self::flush_size) | 500 rows |
/// | [`flush_bytes`](Self::flush_bytes) | 4 MiB |
/// | [`flush_interval`](Self::flush_interval) | 100 ms |
/// | [`buffer_size`](Self::buffer_size) | 10,000 rows |
/// | [`buffer_bytes`](Self::buffer_bytes) | 64 MiB |
/// | [`concurrency`](Self::concurrency) | 4 batches |
/// | [`timeout`](Self::timeout) | 30 s an attempt |
/// | [`retry`](Self::retry) | transient errors, for 5 minutes |
/// | [`merge`](Self::merge) | on |
/// | [`drain_on_cancel`](Self::drain_on_cancel) | on |
/// | [`grace`](Self::grace) | 30 s |
/// | [`close_timeout`](Self::close_timeout) | 10 minutes |
#[must_use]
pub struct FlowBuilder {
    target: Target,
    tune: Tune,
    buffer_size: usize,
    buffer_bytes: usize,
    timeout: Duration,
    retry: RetryPolicy,
    merging: bool,
    drain_on_cancel: bool,
    grace: Duration,
    close_timeout: Duration,
    cancel: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    dead_letters: Option<Arc<dyn DeadLetterSink>>,
    metrics: Option<Arc<dyn Metrics>>,
    observers: Observers,
    coalescer: Option<Arc<dyn Coalescer>>,
    classifier: Option<Arc<dyn Classifier>>,
}

enum Target {
    Driver(Arc<dyn Driver>),
    Executor(Arc<dyn Executor>),
}

impl FlowBuilder {
    pub(super) fn for_driver(driver: Arc<dyn Driver>) -> Self {
        Self::new(Target::Driver(driver))
    }

    pub(super) fn for_executor(executor: Arc<dyn Executor>) -> Self {
        Self::new(Target::Executor(executor))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            tune: Tune {
                flush_size: 500,
                flush_bytes: 4 << 20,
                flush_interval: Duration::from_millis(100),
                concurrency: 4,
            },
            buffer_size: 10_000,
            buffer_bytes: 64 << 20,
            timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            merging: true,
            drain_on_cancel: true,
            grace: DEFAULT_GRACE,
            close_timeout: Duration::from_secs(600),
            cancel: None,
            dead_letters: None,
            metrics: None,
            observers: Observers::default(),
            coalescer: None,
            classifier: None,
        }
    }

    /// The most rows of a batch, at least 1. Default: 500.
    pub fn flush_size(mut self, rows: usize) -> Self {
        self.tune.flush_size = rows;
        self
    }

    /// The most bytes of a batch, at least 1; a larger row goes alone. Default: 4 MiB.
    pub fn flush_bytes(mut self, bytes: usize) -> Self {
        self.tune.flush_bytes = bytes;
        self
    }

    /// How long an unwatched row waits for others at most. Zero sends it at once. Default: 100 ms.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.tune.flush_interval = interval;
        self
    }

    /// The most rows held from submit to verdict, at least 1. One schema may hold three quarters
    /// of them (rounded up), so that a stalled one leaves room to the others. Default: 10,000.
    pub fn buffer_size(mut self, rows: usize) -> Self {
        self.buffer_size = rows;
        self
    }

    /// The most bytes held from submit to verdict, as [`Request::size_bytes`] counts; shared
    /// like [`buffer_size`](Self::buffer_size). A larger row fails at submit. A row that is made of
    /// merged ones counts beside them; without room for it they go out one after the other.
    /// Default: 64 MiB.
    ///
    /// [`Request::size_bytes`]: crate::Request::size_bytes
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// How many batches are written at once, at least 1. Default: 4.
    pub fn concurrency(mut self, batches: usize) -> Self {
        self.tune.concurrency = batches;
        self
    }

    /// How long one attempt at a batch may take, longer than nothing. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How transient errors are retried. Default: for up to 5 minutes from the first send.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Whether waiting rows of one key are merged; switched off, a later row of a key goes out
    /// in a later batch, in order. Default: on.
    pub fn merge(mut self, merge: bool) -> Self {
        self.merging = merge;
        self
    }

    /// Where rejected and unknown rows go. Left out, each is logged without its values.
    pub fn dead_letters(mut self, sink: impl DeadLetterSink) -> Self {
        self.dead_letters = Some(Arc::new(sink));
        self
    }

    /// Who is told of submits, batches, attempts and retries. Left out, nothing is measured.
    ///
    /// With an [executor](BatchFlow::builder_with) of your own, attempts, retries and splits are its
    /// own to tell; the flow tells the rest, under the name `"custom"`.
    pub fn metrics(mut self, metrics: impl Metrics) -> Self {
        self.metrics = Some(Arc::new(metrics));
        self
    }

    /// Who sees every batch once it has its verdicts; may be called again for another. Left out,
    /// nobody. See [`observe`](crate::observe).
    ///
    /// Of an [executor](BatchFlow::builder_with) of your own it sees nothing: there,
    /// [`Observe`](crate::executor::Observe) does it.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Which waiting rows become one, and how, in place of the schema's own rules.
    pub fn coalescer(mut self, coalescer: impl Coalescer) -> Self {
        self.coalescer = Some(Arc::new(coalescer));
        self
    }

    /// What is done about an error, where it is not what its kind says.
    pub fn classifier(mut self, classifier: impl Classifier) -> Self {
        self.classifier = Some(Arc::new(classifier));
        self
    }

    /// Cancels the flow when `signal` resolves: from then on no row is queued. A
    /// `tokio_util::sync::CancellationToken::cancelled_owned()` is one.
    pub fn cancel_on(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.cancel = Some(Box::pin(signal));
        self
    }

    /// Whether a cancelled flow still writes what it holds, within its [`grace`](Self::grace);
    /// else its rows are abandoned at once. Default: on.
    pub fn drain_on_cancel(mut self, drain: bool) -> Self {
        self.drain_on_cancel = drain;
        self
    }

    /// How long a flow that was dropped, or cancelled, still writes what it holds, and then its driver
    /// may take to close and its last dead letters to be delivered. What is left is abandoned. After a
    /// close the latter two have 30 s at least. Default: 30 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long [`close`](BatchFlow::close) waits for the last rows before it hands them back.
    /// Default: 10 minutes.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Checks the settings and starts the flow's task on the current runtime.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] names the setting that cannot be used; `runtime` where there is no tokio
    /// runtime, or one without timers.
    pub fn build(self) -> Result<BatchFlow, ConfigError> {
        self.check()?;
        let runtime = timers().map_err(|why| ConfigError::new("runtime", why))?;
        let tune = self.tune;
        let slots = Slots::new(tune.concurrency);
        let health = Arc::new(Health::default());
        let timeout = Limit::new(self.timeout);
        let backend = match &self.target {
            Target::Driver(driver) => driver.backend(),
            Target::Executor(_) => "custom",
        };
        let reporter = Reporter { backend, metrics: self.metrics };
        let classes = Classes(self.classifier);
        let (executor, driver, capabilities) = match self.target {
            Target::Executor(executor) => (executor, None, Capabilities::none()),
            Target::Driver(driver) => {
                let config = StackConfig {
                    retry: self.retry.clone(),
                    timeout: timeout.clone(),
                    classifier: classes.0.clone(),
                    metrics: reporter.metrics.clone(),
                    observers: self.observers,
                    health: Some(Arc::clone(&health)),
                    ..StackConfig::new(Arc::clone(&slots))
                };
                let capabilities = driver.capabilities();
                (standard(Arc::clone(&driver), config), Some(driver), capabilities)
            }
        };
        let describer =
            driver.clone().filter(|_| capabilities.describes()).map(|driver| Describer {
                driver,
                backoff: Arc::new(Backoff::new(self.retry)),
                classes: classes.clone(),
                timeout: self.timeout,
                slots: Arc::clone(&slots),
                reporter: reporter.clone(),
            });
        let shared = Arc::new(Shared::new(
            Queue::new(Limits {
                buffer_rows: self.buffer_size,
                buffer_bytes: self.buffer_bytes,
                wake_rows: tune.flush_size,
                wake_bytes: tune.flush_bytes,
            }),
            slots,
            Hub::start(self.dead_letters, &runtime),
            Cancel::new(self.cancel),
            Watchers { health, reporter, classes },
            Terms {
                buffer_rows: self.buffer_size,
                buffer_bytes: self.buffer_bytes,
                drain_on_cancel: self.drain_on_cancel,
                grace: self.grace,
                close_timeout: self.close_timeout,
                patience: self.timeout,
            },
            tune,
        ));
        let source: Arc<dyn Source> = Arc::clone(&shared) as _;
        shared.probed.watch(Arc::downgrade(&source));
        let probe = FlowProbe { probed: Arc::clone(&shared.probed) };
        shared.reporter.tell(|_, metrics| metrics.watch(probe));
        shared.is_cancelled();
        let previewer = Previewer {
            driver: driver.as_ref().map(Arc::downgrade),
            previews: Arc::default(),
            capabilities,
            merging: self.merging,
            coalescer: self.coalescer.clone(),
            timeout: self.timeout,
        };
        let pump = Pump {
            shared: Arc::clone(&shared),
            executor: Some(executor),
            driver,
            previews: Arc::clone(&previewer.previews),
            capabilities,
            rules: Rules { merging: self.merging, coalescer: self.coalescer, describer },
            stations: Vec::new(),
            fleet: Fleet::default(),
            held_back: HeldBack::default(),
            room: Vec::new(),
            keys: Vec::new(),
            landing: None,
            aborted: false,
        };
        runtime.spawn(pump.run());
        Ok(BatchFlow::new(shared, previewer))
    }

    fn check(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("flush_size", self.tune.flush_size),
            ("flush_bytes", self.tune.flush_bytes),
            ("buffer_size", self.buffer_size),
            ("buffer_bytes", self.buffer_bytes),
            ("concurrency", self.tune.concurrency),
        ] {
            if value == 0 {
                return Err(ConfigError::new(field, "must be at least 1"));
            }
        }
        if self.timeout.is_zero() {
            return Err(ConfigError::new("timeout", "must be longer than nothing"));
        }
        self.retry.validate()
    }
}

impl fmt::Debug for FlowBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowBuilder")
            .field("tune", &self.tune)
            .field("buffer_size", &self.buffer_size)
            .field("buffer_bytes", &self.buffer_bytes)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
