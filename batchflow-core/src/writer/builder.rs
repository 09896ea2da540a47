//! Builds a [`BatchWriter`] and checks its settings.

use std::sync::Arc;
use std::time::Duration;

use super::{BatchWriter, Settings};
use crate::config_error::ConfigError;
use crate::dead_letter::DeadLetterSink;
use crate::driver::Driver;
use crate::executor::{
    Backoff, Classes, Classifier, Limit, RetryPolicy, Slots, StackConfig, standard,
};
use crate::metrics::Metrics;
use crate::observe::{Observer, Observers};

/// Builds a [`BatchWriter`]; made by [`BatchWriter::builder`].
#[derive(Debug)]
#[must_use]
pub struct BatchWriterBuilder {
    driver: Arc<dyn Driver>,
    batch_size: usize,
    min_batch_size: Option<usize>,
    max_retries: u32,
    timeout: Duration,
    throttle: Duration,
    listed: usize,
    sink: Option<Arc<dyn DeadLetterSink>>,
    classes: Classes,
    metrics: Option<Arc<dyn Metrics>>,
    observers: Observers,
}

impl BatchWriterBuilder {
    pub(super) fn new(driver: Arc<dyn Driver>) -> Self {
        Self {
            driver,
            batch_size: 1_000,
            min_batch_size: None,
            max_retries: 3,
            timeout: Duration::from_secs(30),
            throttle: Duration::ZERO,
            listed: 1_000,
            sink: None,
            classes: Classes::default(),
            metrics: None,
            observers: Observers::default(),
        }
    }

    /// The most rows of a batch, at least 1. Default: 1,000. Where the driver takes fewer, so many.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }

    /// The rows below which transient failures make a batch no smaller: at least 1, and
    /// [`batch_size`](Self::batch_size) at most. Default: a tenth of that.
    pub fn min_batch_size(mut self, rows: usize) -> Self {
        self.min_batch_size = Some(rows);
        self
    }

    /// How many transient failures in a row are followed by another attempt. Default: 3. The
    /// waits before them are random, below 200 ms, 400 ms and so on, 10 s at most.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// How long one attempt may take, longer than nothing. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A pause between one batch and the next, to leave the server room. Default: none.
    pub fn throttle(mut self, pause: Duration) -> Self {
        self.throttle = pause;
        self
    }

    /// Where rejected and unknown rows go. Left out: the summary lists the first of them, and the
    /// others are logged without their values.
    pub fn dead_letters(mut self, sink: impl DeadLetterSink) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// How many of the rows that were not written the summary lists, each with its values.
    /// Default: the first 1,000.
    pub fn list_failures(mut self, rows: usize) -> Self {
        self.listed = rows;
        self
    }

    /// Decides what is done about an error, before the dictionary of kinds does.
    pub fn classifier(mut self, classifier: impl Classifier) -> Self {
        self.classes = Classes(Some(Arc::new(classifier)));
        self
    }

    /// Told of each attempt and batch.
    pub fn metrics(mut self, metrics: impl Metrics) -> Self {
        self.metrics = Some(Arc::new(metrics));
        self
    }

    /// Sees every batch once it has its verdicts; may be called again for another.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// Checks the settings and builds the writer; the error names the setting that cannot be used.
    pub fn build(self) -> Result<BatchWriter, ConfigError> {
        let refuse = |field, why: &str| Err(ConfigError::new(field, why));
        if self.batch_size == 0 {
            return refuse("batch_size", "must be at least 1");
        }
        let min_batch_size = self.min_batch_size.unwrap_or((self.batch_size / 10).max(1));
        if min_batch_size == 0 {
            return refuse("min_batch_size", "must be at least 1");
        }
        if min_batch_size > self.batch_size {
            return refuse("min_batch_size", "must not be more than batch_size");
        }
        if self.timeout.is_zero() {
            return refuse("timeout", "must be longer than nothing");
        }
        // The writer itself tries again, with fewer rows.
        let config = StackConfig {
            retry: RetryPolicy::none(),
            timeout: Limit::new(self.timeout),
            classifier: self.classes.0.clone(),
            metrics: self.metrics,
            observers: self.observers,
            ..StackConfig::new(Slots::new(1))
        };
        Ok(BatchWriter {
            executor: standard(Arc::clone(&self.driver), config),
            driver: self.driver,
            sink: self.sink,
            classes: self.classes,
            backoff: Backoff::new(RetryPolicy::default().first_delay(Duration::from_millis(200))),
            settings: Settings {
                batch_size: self.batch_size,
                min_batch_size,
                max_retries: self.max_retries,
                timeout: self.timeout,
                throttle: self.throttle,
                listed: self.listed,
            },
        })
    }
}
