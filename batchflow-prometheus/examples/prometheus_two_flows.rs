//! Two flows under load, and what they do at `http://127.0.0.1:9464/metrics`:
//!
//! ```text
//! cargo run -p batchflow-prometheus --features http --example prometheus_two_flows [-- ADDRESS [SECONDS]]
//! ```
//!
//! Prometheus in a container, as compose.yaml has it, reaches it at the ADDRESS `0.0.0.0:9464`.
//!
//! The database is a stand-in that takes its time and now and then fails: some batches meet a
//! deadlock, some rows are refused, and every two minutes nothing works for ten seconds. It runs
//! until Ctrl-C, or for so many seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use batchflow_core::{
    Batch, BatchFlow, ConflictStrategy, Driver, ErrorKind, Report, Schema, WriteError, driver_fn,
};
use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{Exporter, Options, PrometheusMetrics};

type Error = Box<dyn std::error::Error>;

/// A database that is not there: 2 ms a batch and 4 µs a row.
fn stand_in(name: &'static str) -> impl Driver {
    let began = Instant::now();
    let attempts = Arc::new(AtomicU64::new(0));
    driver_fn(name, move |batch: Batch| {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed);
        async move {
            let time = Duration::from_millis(2) + Duration::from_micros(4) * batch.len() as u32;
            tokio::time::sleep(time + time * (attempt % 7) as u32 / 4).await;
            if began.elapsed().as_secs() % 120 >= 110 {
                return Err(WriteError::new(ErrorKind::Connection));
            }
            let negative = |row| matches!(batch.get(row, 1), batchflow_core::ValueRef::I64(..0));
            let bad: Vec<usize> = (0..batch.len()).filter(|&row| negative(row)).collect();
            if !bad.is_empty() {
                return Err(WriteError::new(ErrorKind::Constraint).with_blame(bad));
            }
            if attempt % 40 == 39 {
                return Err(ErrorKind::Deadlock.into());
            }
            // An eighth is there already, and stays as it was.
            Ok(Report::all().with_affected(batch.len() as u64 * 7 / 8))
        }
    })
}

/// Submits so many rows a second, more by day than by night; a day is a minute. One in 5,000 is
/// one that the database refuses, every tenth has the key of another.
async fn load(flow: BatchFlow, schema: Schema, most: f64) -> Result<(), Error> {
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let (mut row, mut owed) = (0_i64, 0.0);
    loop {
        tick.tick().await;
        let day = (began.elapsed().as_secs_f64() / 60.0 * std::f64::consts::TAU).sin();
        owed += most * (0.6 + 0.4 * day) / 50.0;
        while owed >= 1.0 {
            owed -= 1.0;
            row += 1;
            let amount = if row % 5_000 == 0 { -1 } else { row % 100 };
            flow.submit(schema.row((row - row % 10 / 9, amount))?).await?;
        }
        if row % 50 < 5 {
            // Now and then, somebody waits for a row.
            drop(flow.submit_tracked(schema.row((row, 1_i64))?).await?);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9464".to_owned());
    let seconds = arguments.next().map(|seconds| seconds.parse()).transpose()?;

    let mut registry = Registry::default();
    let options = Options::default().label_flow(true).label_table(true);
    let metrics = PrometheusMetrics::register(&mut registry, options);
    let exporter = Exporter::start(&address, registry).await?;
    println!("http://{}/metrics", exporter.address());

    let flow = |name: &'static str| {
        BatchFlow::builder(stand_in(name)).buffer_size(20_000).metrics(metrics.flow(name)).build()
    };
    let (orders, events) = (flow("orders")?, flow("events")?);
    let columns = ["id", "amount"];
    let order = Schema::new("orders", ConflictStrategy::Update, columns)?;
    let event = Schema::new("events", ConflictStrategy::Ignore, columns)?;
    let until = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => drop(tokio::signal::ctrl_c().await),
        }
    };
    tokio::select! {
        ended = load(orders.clone(), order, 2_000.0) => ended?,
        ended = load(events.clone(), event, 20_000.0) => ended?,
        () = until => {}
    }
    for (name, flow) in [("orders", orders), ("events", events)] {
        let stats = flow.close().await?.stats;
        println!("{name}: {} of {} rows written", stats.written, stats.submitted);
    }
    exporter.stop().await;
    Ok(())
}
