//! [`METRICS`]: every metric there is, in one table.

use std::fmt;

use prometheus_client::metrics::MetricType;

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// A count that only grows. Exported with `_total` behind its name.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// How often which sizes came. Exported as `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Type {
    pub(crate) fn client(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.client().as_str())
    }
}

/// A metric, as it is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, without `batchflow_` before it or a suffix behind.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Type,
    /// Its labels, beside `backend` and, where switched on, `flow`; `table` is there only where
    /// switched on.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl Metric {
    /// The name under which Prometheus has it: a histogram's without `_bucket`.
    pub fn full_name(&self) -> String {
        let suffix = if self.kind == Type::Counter { "_total" } else { "" };
        format!("batchflow_{}{suffix}", self.name)
    }
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal)+) => {
        $(pub(crate) const $constant: Metric = Metric {
            name: $name,
            kind: Type::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// Every metric there is.
        pub const METRICS: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    ROWS_SUBMITTED Counter "rows_submitted" []
        "Rows that were queued"
    ROWS_SETTLED Counter "rows_settled" ["outcome"]
        "Rows that came to their end, by what became of them"
    ROWS_MERGED Counter "rows_merged" []
        "Rows merged into others of their key before they were sent"
    PENDING_ROWS Gauge "pending_rows" ["place"]
        "Rows held: in the queue, waiting to be sent, or in flight"
    PENDING_BYTES Gauge "pending_bytes" []
        "Bytes of the rows held"
    BUFFER_ROWS Gauge "buffer_rows" []
        "The most rows that may be held"
    BUFFER_BYTES Gauge "buffer_bytes" []
        "The most bytes that may be held"
    OLDEST_PENDING Gauge "oldest_pending_seconds" []
        "How long the oldest row held has waited for its verdict"
    DRIFT Gauge "integrity_drift_rows" []
        "Rows submitted less rows accounted for; anything but 0 is a fault of BatchFlow itself"
    REFUSED Counter "submits_refused" ["reason"]
        "Rows that were not queued, by reason"
    WAITS Counter "submits_waited" []
        "Submits that waited for room"
    SUBMIT_SECONDS Histogram "submit_duration_seconds" []
        "Time of a submit, of one in 64 drawn at random"
    SUBMIT_WAIT_SECONDS Histogram "submit_wait_seconds" []
        "Time of every submit that waited for room"
    FLUSHES Counter "flushes" ["trigger"]
        "Times that rows were taken from the queue, by what triggered it"
    FLUSH_ROWS Histogram "flush_rows" []
        "Rows taken from the queue at once"
    FLUSH_SCHEMAS Histogram "flush_schemas" []
        "Schemas among the rows taken from the queue at once"
    QUEUE_WAIT_SECONDS Histogram "queue_wait_seconds" []
        "Time in the queue of the first of the rows taken from it at once"
    MERGE_SECONDS Histogram "merge_duration_seconds" []
        "Time to sort rows taken from the queue by schema and merge them by key"
    BATCHES Counter "batches" ["trigger"]
        "Batches sent, by what triggered them"
    BATCH_ROWS Histogram "batch_rows" ["table"]
        "Rows of a batch"
    BATCH_BYTES Histogram "batch_bytes" ["table"]
        "Bytes of a batch"
    BATCH_WAIT_SECONDS Histogram "batch_wait_seconds" ["table"]
        "Time from the submit of a batch's oldest row to the batch's start"
    ASSEMBLE_SECONDS Histogram "assemble_duration_seconds" ["table"]
        "Time to choose and sort the rows of a batch"
    BATCH_SECONDS Histogram "batch_duration_seconds" ["table", "outcome"]
        "Time from a batch's start to its last verdict, retries and splits included"
    VERDICTS Counter "batch_rows_settled" ["table", "verdict"]
        "Rows of batches, merged ones counted once, by verdict"
    ATTEMPTS Counter "attempts" ["table", "way", "result"]
        "Attempts of a driver, by way of writing and result"
    ATTEMPT_SECONDS Histogram "attempt_duration_seconds" ["table", "way"]
        "Time of an attempt, without its wait for a slot"
    AFFECTED Counter "rows_affected" ["table"]
        "Rows that the server says it inserted or changed, where the driver knows"
    IGNORED Counter "rows_ignored" ["table"]
        "Rows that kept what was there, under the strategy Ignore, where the driver knows"
    FAILURES Counter "failures" ["kind", "stage"]
        "Attempts and look-ups that failed, by the error's kind and stage"
    RETRIES Counter "retries" ["table", "kind"]
        "Times that rows of a batch waited to be tried again, by the error's kind"
    RETRIED_ROWS Counter "retried_rows" ["table", "kind"]
        "Rows that waited to be tried again, by the error's kind"
    SPLITS Counter "splits" ["table", "kind"]
        "Times that refused rows were tried in parts, by the error's kind"
    LOOKUP_SECONDS Histogram "lookup_duration_seconds" ["stage"]
        "Time to learn about a table, or what became of a commit"
    STATEMENTS Gauge "distinct_statements" []
        "Different statements sent so far, up to 4,096 of them"
    IN_FLIGHT Gauge "batches_in_flight" []
        "Batches on their way, those that wait to be tried again among them"
    CONCURRENCY Gauge "concurrency_limit" []
        "The most batches written at once"
    STALLED Gauge "stalled_tables" []
        "Tables whose batches fail or hang just now"
    DEAD_LETTERS Counter "dead_letters" ["table", "outcome", "kind"]
        "Rows that became dead letters, by what became of them and the error's kind"
    LETTERS Counter "dead_letters_handled" ["result"]
        "Dead letters taken by their sink, logged for want of one, or lost beyond the log"
    BACKLOG Gauge "dead_letter_backlog" []
        "Dead letters that wait for their sink; while there are any, no new batch starts"
    FLOWS Gauge "flows" []
        "Flows that run"
}
