//! [`PrometheusMetrics`]: what flows tell, as series.

use std::sync::Arc;

use batchflow_core::TableName;
use batchflow_core::metrics::{
    AttemptEvent, BatchEvent, DeadLetterEvent, FlowProbe, FlushEvent, LaunchEvent, LookupEvent,
    Metrics, RetryEvent, SplitEvent, SubmitEvent,
};
use prometheus_client::registry::Registry;

use crate::collect::Collect;
use crate::flows::Flows;
use crate::labels::Labels;
use crate::options::Options;
use crate::store::Store;

/// The metrics of flows and bulk writers, for Prometheus: a cheap clone, shared by as many of them
/// as there are.
///
/// ```
/// use batchflow_core::{Batch, BatchFlow, WriteError, driver_fn};
/// use batchflow_prometheus::client::registry::Registry;
/// use batchflow_prometheus::{Options, PrometheusMetrics, encode};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut registry = Registry::default();
/// let metrics = PrometheusMetrics::register(&mut registry, Options::default().label_flow(true));
///
/// # let driver = driver_fn("nowhere", async |_: Batch| Ok::<_, WriteError>(()));
/// let orders = BatchFlow::builder(driver).metrics(metrics.flow("orders")).build()?;
/// assert!(encode(&registry).contains("batchflow_flows{backend=\"nowhere\",flow=\"orders\"} 1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PrometheusMetrics {
    shared: Arc<Shared>,
    flow: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) flows: Flows,
}

impl PrometheusMetrics {
    /// Registers every metric; their names begin with `batchflow_`.
    pub fn register(registry: &mut Registry, options: Options) -> Self {
        let (store, flows) = (Store::new(options), Flows::default());
        let shared = Arc::new(Shared { options, store, flows });
        let collect = Collect(Arc::clone(&shared));
        registry.sub_registry_with_prefix("batchflow").register_collector(Box::new(collect));
        let flow = options.flow.then(|| "".into());
        Self { shared, flow }
    }

    /// The metrics of the flow with this name. The name is shown only where
    /// [`Options::label_flow`] says so. Flows with one name share their series.
    #[must_use]
    pub fn flow(&self, name: &str) -> Self {
        let flow = self.shared.options.flow.then(|| name.into());
        Self { shared: Arc::clone(&self.shared), flow }
    }

    fn labels(&self, backend: &'static str) -> Labels {
        Labels::new(backend, self.flow.clone())
    }

    fn of(&self, backend: &'static str, table: &TableName) -> Labels {
        let options = self.shared.options;
        let table = options.table.then(|| self.shared.store.table(&table.to_string()));
        self.labels(backend).table(table)
    }
}

impl Metrics for PrometheusMetrics {
    fn watch(&self, probe: FlowProbe) {
        self.shared.flows.watch((probe.backend(), self.flow.clone()), probe);
    }

    fn submit(&self, event: &SubmitEvent) {
        let (store, labels) = (&self.shared.store, self.labels(event.backend));
        let seconds = event.duration.as_secs_f64();
        if event.sampled {
            store.submit_seconds.get_or_create(&labels).observe(seconds);
        }
        if event.waited {
            store.submit_wait_seconds.get_or_create(&labels).observe(seconds);
        }
    }

    fn flush(&self, event: &FlushEvent) {
        let (store, labels) = (&self.shared.store, self.labels(event.backend));
        let trigger = labels.with([("trigger", event.trigger.as_str())]);
        store.flushes.get_or_create(&trigger).inc();
        store.flush_rows.get_or_create(&labels).observe(event.rows as f64);
        store.flush_schemas.get_or_create(&labels).observe(event.schemas as f64);
        store.queue_wait_seconds.get_or_create(&labels).observe(event.waited.as_secs_f64());
        store.merge_seconds.get_or_create(&labels).observe(event.merging.as_secs_f64());
    }

    fn launch(&self, event: &LaunchEvent<'_>) {
        let (store, labels) = (&self.shared.store, self.of(event.backend, event.table));
        store.batch_wait_seconds.get_or_create(&labels).observe(event.waited.as_secs_f64());
        store.assemble_seconds.get_or_create(&labels).observe(event.assembling.as_secs_f64());
    }

    fn attempt(&self, event: &AttemptEvent<'_>) {
        let (store, labels) = (&self.shared.store, self.of(event.backend, event.table));
        let way = ("way", event.way.unwrap_or("only"));
        let result = if event.error.is_some() { "error" } else { "ok" };
        store.attempts.get_or_create(&labels.with([way, ("result", result)])).inc();
        let seconds = event.duration.as_secs_f64();
        store.attempt_seconds.get_or_create(&labels.with([way])).observe(seconds);
        if let Some(rows) = event.affected {
            store.affected.get_or_create(&labels).inc_by(rows);
        }
        if let Some(rows) = event.ignored {
            store.ignored.get_or_create(&labels).inc_by(rows);
        }
        if let Some(fingerprint) = event.fingerprint {
            store.statement(event.backend, fingerprint);
        }
        if let Some(error) = event.error {
            let why = [("kind", error.kind().as_str()), ("stage", error.stage().as_str())];
            store.failures.get_or_create(&self.labels(event.backend).with(why)).inc();
        }
    }

    fn lookup(&self, event: &LookupEvent<'_>) {
        let (store, labels) = (&self.shared.store, self.labels(event.backend));
        let stage = ("stage", event.stage.as_str());
        let seconds = event.duration.as_secs_f64();
        store.lookup_seconds.get_or_create(&labels.with([stage])).observe(seconds);
        if let Some(error) = event.error {
            let why = [("kind", error.kind().as_str()), stage];
            store.failures.get_or_create(&labels.with(why)).inc();
        }
    }

    fn batch(&self, event: &BatchEvent<'_>) {
        let (store, labels) = (&self.shared.store, self.of(event.backend, event.table));
        let outcome = labels.with([("outcome", event.outcome())]);
        store.batch_seconds.get_or_create(&outcome).observe(event.duration.as_secs_f64());
        store.batch_rows.get_or_create(&labels).observe(event.rows as f64);
        store.batch_bytes.get_or_create(&labels).observe(event.bytes as f64);
        for (verdict, rows) in [
            ("written", event.written),
            ("rejected", event.rejected),
            ("not_applied", event.not_applied),
            ("unknown", event.unknown),
        ] {
            if rows > 0 {
                let labels = labels.with([("verdict", verdict)]);
                store.verdicts.get_or_create(&labels).inc_by(rows as u64);
            }
        }
    }

    fn retry(&self, event: &RetryEvent<'_>) {
        let (store, labels) = (&self.shared.store, self.of(event.backend, event.table));
        let labels = labels.with([("kind", event.error.kind().as_str())]);
        store.retries.get_or_create(&labels).inc();
        store.retried_rows.get_or_create(&labels).inc_by(event.rows as u64);
    }

    fn split(&self, event: &SplitEvent<'_>) {
        let (store, labels) = (&self.shared.store, self.of(event.backend, event.table));
        let labels = labels.with([("kind", event.error.kind().as_str())]);
        store.splits.get_or_create(&labels).inc();
    }

    fn dead_letters(&self, event: &DeadLetterEvent<'_>) {
        let (store, labels) = (&self.shared.store, self.of(event.backend, event.table));
        let labels = labels.with([("outcome", event.outcome), ("kind", event.kind.as_str())]);
        store.dead_letters.get_or_create(&labels).inc_by(event.rows as u64);
    }
}
