//! [`Buckets`]: where histograms draw their lines, and why there.

use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig};

/// An attempt takes as long as a commit: a quarter of a millisecond at least, in memory, and as
/// long as the time-out at most, 30 s unless told otherwise. With retries, a batch may take 5
/// minutes.
pub(crate) const WRITE: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0, 300.0,
];

/// A submit hands over a pointer, in about 100 ns; one that waits for a lock or for room takes
/// anything up to the time-out.
pub(crate) const SUBMIT: &[f64] = &[
    0.000_000_1,
    0.000_000_25,
    0.000_000_5,
    0.000_001,
    0.000_002_5,
    0.000_01,
    0.000_1,
    0.001,
    0.01,
    0.1,
    1.0,
    10.0,
];

/// Waiting to be sent takes up to `flush_interval`, 100 ms unless told otherwise, and longer only
/// where the database is slower than the rows come.
pub(crate) const WAIT: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Sorting and merging take about 100 ns a row: 50 µs a batch, milliseconds a full queue.
pub(crate) const WORK: &[f64] =
    &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.1];

/// Rows, up to more than a buffer of 10,000 holds unless told otherwise.
pub(crate) const ROWS: &[f64] =
    &[1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 50_000.0];

/// Bytes in steps of four, up to the buffer's 64 MiB unless told otherwise.
pub(crate) const BYTES: &[f64] = &[
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Mostly one schema or a few; hundreds would make small batches, and should be seen.
pub(crate) const SCHEMAS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// Makes histograms with these lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buckets {
    pub(crate) lines: &'static [f64],
    pub(crate) native: bool,
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        let lines = self.lines.iter().copied();
        if self.native {
            let native = NativeHistogramConfig::new(1.1).max_buckets(160);
            Histogram::new_classic_and_native(lines, native)
        } else {
            Histogram::new(lines)
        }
    }
}
