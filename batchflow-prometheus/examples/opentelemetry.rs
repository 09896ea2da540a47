//! Batches as OpenTelemetry's spans, printed: `cargo run -p batchflow-prometheus --example
//! opentelemetry`.
//!
//! BatchFlow itself knows `tracing` alone: a span for every batch, under the target `batchflow`.
//! What makes OpenTelemetry's spans of them is a layer of `tracing-opentelemetry`; a program sends
//! them to a collector by giving the provider `opentelemetry-otlp`'s exporter instead of this one.

use std::sync::atomic::{AtomicU64, Ordering};

use batchflow_core::observe::LogObserver;
use batchflow_core::{
    Batch, BatchFlow, ConflictStrategy, ErrorKind, Schema, ValueRef, WriteError, driver_fn,
};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exporter = opentelemetry_stdout::SpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("example"));
    // The spans are at the level of debug.
    let ours = Targets::new().with_target("batchflow", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(ours).with(spans).try_init()?;

    // A database that is not there: the first attempt fails, and no amount may be negative.
    let attempts = AtomicU64::new(0);
    let driver = driver_fn("example", move |batch: Batch| {
        let first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let negative = |row: &usize| matches!(batch.get(*row, 1), ValueRef::I64(..0));
            match (0..batch.len()).find(negative) {
                _ if first => Err(WriteError::new(ErrorKind::Deadlock)),
                Some(row) => Err(WriteError::new(ErrorKind::Constraint).with_blame([row])),
                None => Ok(()),
            }
        }
    });
    // Batches that failed or were slow are events of their spans.
    let flow = BatchFlow::builder(driver).observer(LogObserver::default()).build()?;
    let orders = Schema::new("orders", ConflictStrategy::Update, ["id", "amount"])?;
    for round in 0..3_i64 {
        for id in 0..10 {
            let amount = if round == 1 && id == 7 { -1 } else { id };
            flow.submit(orders.row((10 * round + id, amount))?).await?;
        }
        flow.flush().await?;
    }
    let stats = flow.close().await?.stats;
    println!("{} of {} rows written", stats.written, stats.submitted);
    provider.shutdown()?;
    Ok(())
}
