//! [`Health`]: which schemas are failing just now, and why.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::driver::ErrorKind;
use crate::schema::Schema;

/// The most failing schemas remembered; of more, those that failed last.
const MOST: usize = 1_024;

/// Which schemas are failing just now, and why.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing: AtomicUsize,
    failures: Mutex<HashMap<Schema, Failure>>,
}

/// A schema whose last attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the last attempt failed of.
    pub(crate) kind: ErrorKind,
    /// When the first of the attempts failed that have all failed since.
    pub(crate) since: Instant,
    /// When the last attempt failed.
    pub(crate) last: Instant,
}

impl Health {
    /// An attempt at rows of this schema failed.
    pub(super) fn failed(&self, schema: &Schema, kind: ErrorKind) {
        let now = Instant::now();
        let mut failures = self.failures();
        if failures.len() >= MOST && !failures.contains_key(schema) {
            let oldest = failures.iter().min_by_key(|(_, failure)| failure.last);
            if let Some(oldest) = oldest.map(|(schema, _)| schema.clone()) {
                failures.remove(&oldest);
            }
        }
        failures
            .entry(schema.clone())
            .and_modify(|failure| {
                failure.kind = kind;
                failure.last = now;
            })
            .or_insert(Failure { kind, since: now, last: now });
        self.failing.store(failures.len(), Ordering::Relaxed);
    }

    /// An attempt at rows of this schema wrote them. Costs one load while nothing fails.
    pub(super) fn succeeded(&self, schema: &Schema) {
        if self.failing.load(Ordering::Relaxed) > 0 {
            let mut failures = self.failures();
            failures.remove(schema);
            self.failing.store(failures.len(), Ordering::Relaxed);
        }
    }

    /// The schemas failing just now.
    pub(crate) fn failing(&self) -> Vec<(Schema, Failure)> {
        let failures = self.failures();
        failures.iter().map(|(schema, failure)| (schema.clone(), *failure)).collect()
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<Schema, Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
