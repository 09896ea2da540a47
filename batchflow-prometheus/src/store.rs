//! [`Store`]: the series that events make.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::buckets::{self, Buckets};
use crate::labels::Labels;
use crate::options::Options;

pub(crate) type Counters = Family<Labels, Counter>;
pub(crate) type Histograms = Family<Labels, Histogram, Buckets>;

/// The most tables with series of their own.
const TABLES: usize = 100;

/// The most statements told apart.
const STATEMENTS: usize = 4_096;

/// The series that events make.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) submit_seconds: Histograms,
    pub(crate) submit_wait_seconds: Histograms,
    pub(crate) flushes: Counters,
    pub(crate) flush_rows: Histograms,
    pub(crate) flush_schemas: Histograms,
    pub(crate) queue_wait_seconds: Histograms,
    pub(crate) merge_seconds: Histograms,
    pub(crate) batch_rows: Histograms,
    pub(crate) batch_bytes: Histograms,
    pub(crate) batch_wait_seconds: Histograms,
    pub(crate) assemble_seconds: Histograms,
    pub(crate) batch_seconds: Histograms,
    pub(crate) verdicts: Counters,
    pub(crate) attempts: Counters,
    pub(crate) attempt_seconds: Histograms,
    pub(crate) affected: Counters,
    pub(crate) ignored: Counters,
    pub(crate) failures: Counters,
    pub(crate) retries: Counters,
    pub(crate) retried_rows: Counters,
    pub(crate) splits: Counters,
    pub(crate) lookup_seconds: Histograms,
    pub(crate) dead_letters: Counters,
    tables: Mutex<HashSet<Arc<str>>>,
    statements: Mutex<HashSet<(&'static str, u64)>>,
}

impl Store {
    pub(crate) fn new(options: Options) -> Self {
        let histograms =
            |lines| Histograms::new_with_constructor(Buckets { lines, native: options.native });
        Self {
            submit_seconds: histograms(buckets::SUBMIT),
            submit_wait_seconds: histograms(buckets::WAIT),
            flushes: Counters::default(),
            flush_rows: histograms(buckets::ROWS),
            flush_schemas: histograms(buckets::SCHEMAS),
            queue_wait_seconds: histograms(buckets::WAIT),
            merge_seconds: histograms(buckets::WORK),
            batch_rows: histograms(buckets::ROWS),
            batch_bytes: histograms(buckets::BYTES),
            batch_wait_seconds: histograms(buckets::WAIT),
            assemble_seconds: histograms(buckets::WORK),
            batch_seconds: histograms(buckets::WRITE),
            verdicts: Counters::default(),
            attempts: Counters::default(),
            attempt_seconds: histograms(buckets::WRITE),
            affected: Counters::default(),
            ignored: Counters::default(),
            failures: Counters::default(),
            retries: Counters::default(),
            retried_rows: Counters::default(),
            splits: Counters::default(),
            lookup_seconds: histograms(buckets::WRITE),
            dead_letters: Counters::default(),
            tables: Mutex::default(),
            statements: Mutex::default(),
        }
    }

    /// A table's label. Beyond so many tables, they share one.
    pub(crate) fn table(&self, name: &str) -> Arc<str> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tables.get(name) {
            return Arc::clone(known);
        }
        if tables.len() >= TABLES {
            return "(others)".into();
        }
        let name: Arc<str> = name.into();
        tables.insert(Arc::clone(&name));
        name
    }

    /// Notes a statement that was sent.
    pub(crate) fn statement(&self, backend: &'static str, fingerprint: u64) {
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() < STATEMENTS {
            statements.insert((backend, fingerprint));
        }
    }

    /// How many different statements each backend was sent.
    pub(crate) fn statements(&self) -> Vec<(&'static str, u64)> {
        let statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<(&'static str, u64)> = Vec::new();
        for (backend, _) in &*statements {
            match counts.iter_mut().find(|(name, _)| name == backend) {
                Some((_, count)) => *count += 1,
                None => counts.push((backend, 1)),
            }
        }
        counts
    }
}
