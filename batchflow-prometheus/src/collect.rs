//! [`Collect`]: writes every metric, in the order of the table.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, MetricEncoder,
    NoLabelSet,
};

use crate::adapter::Shared;
use crate::flows::{Sums, Whose};
use crate::labels::{Labels, Own};
use crate::metric::{self as m, METRICS, Metric, Type};
use crate::store::Store;

/// Writes every metric, in the order of the table.
#[derive(Debug)]
pub(crate) struct Collect(pub(crate) Arc<Shared>);

/// What a metric's series are made of.
enum Series<'a> {
    /// Those that events made.
    Told(&'a dyn EncodeMetric),
    /// A number of each flow's.
    Read(fn(&Sums) -> f64),
    /// Numbers of each flow's, by a label.
    By(&'static str, fn(&Sums) -> &[(&'static str, u64)]),
    /// The statements of each backend.
    Statements,
}

impl Collector for Collect {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let flows = self.0.flows.read();
        for metric in METRICS {
            let mut encoder =
                encoder.encode_descriptor(metric.name, metric.help, None, metric.kind.client())?;
            match series(metric, &self.0.store) {
                Series::Told(family) => family.encode(encoder)?,
                Series::Read(read) => {
                    for (whose, sums) in &flows {
                        write(&mut encoder, metric, &labels(whose, None), read(sums))?;
                    }
                }
                Series::By(label, read) => {
                    for (whose, sums) in &flows {
                        for (name, count) in read(sums) {
                            let labels = labels(whose, Some((label, name)));
                            write(&mut encoder, metric, &labels, *count as f64)?;
                        }
                    }
                }
                Series::Statements => {
                    for (backend, count) in self.0.store.statements() {
                        let labels = Labels::new(backend, None);
                        write(&mut encoder, metric, &labels, count as f64)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn labels(whose: &Whose, own: Option<Own>) -> Labels {
    let labels = Labels::new(whose.0, whose.1.clone());
    match own {
        Some(own) => labels.with([own]),
        None => labels,
    }
}

fn write(
    encoder: &mut MetricEncoder<'_>,
    metric: &Metric,
    labels: &Labels,
    value: f64,
) -> fmt::Result {
    let mut encoder = encoder.encode_family(labels)?;
    match metric.kind {
        Type::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&Number(value), None),
        _ => encoder.encode_gauge(&Number(value)),
    }
}

/// A number, written without a fraction where it has none.
struct Number(f64);

impl EncodeCounterValue for Number {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::CounterValueEncoder<'_>,
    ) -> fmt::Result {
        EncodeCounterValue::encode(&(self.0 as u64), encoder)
    }
}

impl EncodeGaugeValue for Number {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::GaugeValueEncoder<'_>,
    ) -> fmt::Result {
        if self.0.fract() == 0.0 {
            EncodeGaugeValue::encode(&(self.0 as i64), encoder)
        } else {
            EncodeGaugeValue::encode(&self.0, encoder)
        }
    }
}

fn series<'a>(metric: &Metric, store: &'a Store) -> Series<'a> {
    use Series::{By, Read, Statements, Told};
    match *metric {
        m::ROWS_SUBMITTED => Read(|sums| sums.submitted as f64),
        m::ROWS_SETTLED => By("outcome", |sums| &sums.settled),
        m::ROWS_MERGED => Read(|sums| sums.merged as f64),
        m::PENDING_ROWS => By("place", |sums| &sums.pending),
        m::PENDING_BYTES => Read(|sums| sums.pending_bytes as f64),
        m::BUFFER_ROWS => Read(|sums| sums.buffer_rows as f64),
        m::BUFFER_BYTES => Read(|sums| sums.buffer_bytes as f64),
        m::OLDEST_PENDING => Read(|sums| sums.oldest.as_secs_f64()),
        m::DRIFT => Read(|sums| sums.drift as f64),
        m::REFUSED => By("reason", |sums| &sums.refused),
        m::WAITS => Read(|sums| sums.waits as f64),
        m::SUBMIT_SECONDS => Told(&store.submit_seconds),
        m::SUBMIT_WAIT_SECONDS => Told(&store.submit_wait_seconds),
        m::FLUSHES => Told(&store.flushes),
        m::FLUSH_ROWS => Told(&store.flush_rows),
        m::FLUSH_SCHEMAS => Told(&store.flush_schemas),
        m::QUEUE_WAIT_SECONDS => Told(&store.queue_wait_seconds),
        m::MERGE_SECONDS => Told(&store.merge_seconds),
        m::BATCHES => By("trigger", |sums| &sums.batches),
        m::BATCH_ROWS => Told(&store.batch_rows),
        m::BATCH_BYTES => Told(&store.batch_bytes),
        m::BATCH_WAIT_SECONDS => Told(&store.batch_wait_seconds),
        m::ASSEMBLE_SECONDS => Told(&store.assemble_seconds),
        m::BATCH_SECONDS => Told(&store.batch_seconds),
        m::VERDICTS => Told(&store.verdicts),
        m::ATTEMPTS => Told(&store.attempts),
        m::ATTEMPT_SECONDS => Told(&store.attempt_seconds),
        m::AFFECTED => Told(&store.affected),
        m::IGNORED => Told(&store.ignored),
        m::FAILURES => Told(&store.failures),
        m::RETRIES => Told(&store.retries),
        m::RETRIED_ROWS => Told(&store.retried_rows),
        m::SPLITS => Told(&store.splits),
        m::LOOKUP_SECONDS => Told(&store.lookup_seconds),
        m::STATEMENTS => Statements,
        m::IN_FLIGHT => Read(|sums| sums.in_flight as f64),
        m::CONCURRENCY => Read(|sums| sums.concurrency as f64),
        m::STALLED => Read(|sums| sums.stalled as f64),
        m::DEAD_LETTERS => Told(&store.dead_letters),
        m::LETTERS => By("result", |sums| &sums.letters),
        m::BACKLOG => Read(|sums| sums.backlog as f64),
        _ => Read(|sums| sums.flows as f64),
    }
}
