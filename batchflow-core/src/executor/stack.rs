//! The standard stack.

use std::sync::Arc;
use std::time::Duration;

use super::observe::ObserveAttempts;
use super::{
    Classes, Classifier, Drive, Executor, Health, Isolate, Limit, Observe, Retry, RetryPolicy,
    Slots, Throttle, Timeout, Trace,
};
use crate::driver::Driver;
use crate::metrics::{Metrics, Reporter};
use crate::observe::Observers;

/// What the standard stack is made with.
#[derive(Clone)]
pub(crate) struct StackConfig {
    /// How often and how long rows are tried again.
    pub(crate) retry: RetryPolicy,
    /// How long an attempt, or a question about one, may take. Changeable.
    pub(crate) timeout: Limit,
    /// How long a cancelled attempt has to end; `None` for as long as the timeout, and 5 s at
    /// most.
    pub(crate) grace: Option<Duration>,
    /// How many attempts may be in flight. Changeable.
    pub(crate) slots: Arc<Slots>,
    pub(crate) classifier: Option<Arc<dyn Classifier>>,
    pub(crate) metrics: Option<Arc<dyn Metrics>>,
    pub(crate) observers: Observers,
    /// Where to note which schemas are failing.
    pub(crate) health: Option<Arc<Health>>,
}

impl StackConfig {
    /// Retries by default, attempts of 30 s, and the rest left out.
    pub(crate) fn new(slots: Arc<Slots>) -> Self {
        Self {
            retry: RetryPolicy::default(),
            timeout: Limit::new(Duration::from_secs(30)),
            grace: None,
            slots,
            classifier: None,
            metrics: None,
            observers: Observers::default(),
            health: None,
        }
    }
}

/// `trace → observe → isolate → retry → throttle → timeout → drive`. Without metrics, nothing observes.
pub(crate) fn standard(driver: Arc<dyn Driver>, config: StackConfig) -> Arc<dyn Executor> {
    let backend = driver.backend();
    let reporter = Reporter { backend, metrics: config.metrics.clone() };
    let classes = Classes(config.classifier);

    let drive = Arc::new(Drive::new(Arc::clone(&driver)));
    let mut timeout = Timeout::with_limit(drive, config.timeout.clone());
    if let Some(grace) = config.grace {
        timeout = timeout.grace(grace);
    }
    let mut attempts: Arc<dyn Executor> = Arc::new(timeout);
    if reporter.metrics.is_some() {
        attempts = Arc::new(ObserveAttempts::new(attempts, reporter.clone()));
    }
    let throttle = Arc::new(Throttle::with_slots(attempts, config.slots));
    let retry = Retry::new(throttle, config.retry)
        .settling_within(driver, config.timeout)
        .with_classes(classes.clone())
        .with_reporter(reporter.clone())
        .with_health(config.health);
    let isolate =
        Isolate::new(Arc::new(retry)).with_classes(classes).with_reporter(reporter.clone());
    let mut stack: Arc<dyn Executor> = Arc::new(isolate);
    if reporter.is_on() || !config.observers.is_empty() {
        stack = Arc::new(Observe::with(stack, reporter, config.observers));
    }
    Arc::new(Trace::new(stack, backend))
}
