//! A user's own code around a flow: right, but for its panics.

use std::sync::{Arc, Mutex};

use batchflow_core::metrics::{AttemptEvent, BatchEvent, Metrics, RetryEvent, SplitEvent};
use batchflow_core::{Coalescer, ConflictStrategy, ErrorClass, Key, Merged, Request, WriteError};

/// Panics now and then, if it is to.
#[derive(Clone, Debug)]
pub(crate) struct Nerves(Arc<Mutex<Option<fastrand::Rng>>>);

impl Nerves {
    pub(crate) fn new(dice: Option<fastrand::Rng>) -> Self {
        Self(Arc::new(Mutex::new(dice)))
    }

    pub(crate) fn fray(&self) {
        let panics = self.0.lock().unwrap().as_mut().is_some_and(|dice| dice.u8(..5) == 0);
        assert!(!panics, "user code has a panic that the test ordered");
    }
}

/// Merges rows where one plainly stands for the other, and leaves the rest apart.
#[derive(Debug)]
pub(crate) struct Plain(pub(crate) Nerves);

impl Coalescer for Plain {
    fn key(&self, request: &Request) -> Option<Key> {
        self.0.fray();
        let number = request.get::<i64>("id").ok().flatten().map(|id| id.to_string());
        let id = number.or_else(|| request.get::<String>("id").ok().flatten())?;
        Some(Key::from(id.to_lowercase()))
    }

    fn merge(&self, kept: &mut Request, newer: &Request) -> Merged {
        self.0.fray();
        let one_spelling = kept.value(0) == newer.value(0);
        match kept.schema().strategy() {
            ConflictStrategy::Ignore => Merged::Keep,
            ConflictStrategy::Replace if one_spelling => Merged::Replace,
            _ => Merged::Separate,
        }
    }
}

/// Listens, and panics now and then.
#[derive(Debug)]
pub(crate) struct Listener(pub(crate) Nerves);

impl Metrics for Listener {
    fn attempt(&self, _: &AttemptEvent<'_>) {
        self.0.fray();
    }

    fn batch(&self, _: &BatchEvent<'_>) {
        self.0.fray();
    }

    fn retry(&self, _: &RetryEvent<'_>) {
        self.0.fray();
    }

    fn split(&self, _: &SplitEvent<'_>) {
        self.0.fray();
    }
}

/// Leaves every error to its kind.
pub(crate) fn classifier(
    nerves: Nerves,
) -> impl Fn(&WriteError) -> Option<ErrorClass> + Send + Sync + 'static {
    move |_| {
        nerves.fray();
        None
    }
}
