//! [`Options`]: which labels there are, and what histograms are made of.

/// Which labels there are, and what histograms are made of.
///
/// ```
/// use batchflow_prometheus::Options;
///
/// let options = Options::default().label_flow(true).label_table(true);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Options {
    pub(crate) flow: bool,
    pub(crate) table: bool,
    pub(crate) native: bool,
}

impl Options {
    /// Labels every metric with the flow's name, which
    /// [`PrometheusMetrics::flow`](crate::PrometheusMetrics::flow) gives. Off by default: each name
    /// multiplies the series.
    pub fn label_flow(mut self, on: bool) -> Self {
        self.flow = on;
        self
    }

    /// Labels what happens to batches with their table. Off by default: each table multiplies the
    /// series. The first 100 tables have series of their own, all others share one, `(others)`.
    pub fn label_table(mut self, on: bool) -> Self {
        self.table = on;
        self
    }

    /// Keeps every histogram as a native one too, with a resolution of 10 % and at most 160 buckets
    /// each. Off by default. They are in Prometheus' protobuf format alone, which
    /// [`encode_protobuf`](crate::encode_protobuf) and the exporter write.
    #[cfg(feature = "protobuf")]
    pub fn native_histograms(mut self, on: bool) -> Self {
        self.native = on;
        self
    }
}
