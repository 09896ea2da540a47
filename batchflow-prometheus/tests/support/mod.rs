//! A registry with something in it; a scrape, taken apart.
#![allow(dead_code, reason = "each test uses a part of this")]

pub(crate) mod queries;

use std::collections::{BTreeMap, BTreeSet};

use batchflow_core::testing::{Blame, Fault, FaultDriver, MemoryDriver};
use batchflow_core::{BatchFlow, ConflictStrategy, ErrorKind, Schema};
use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{Options, PrometheusMetrics};

/// A registry after a bit of everything: waits, refusals, retries, splits, dead letters.
pub(crate) async fn busy(options: Options) -> Registry {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry, options);
    let driver = FaultDriver::new(MemoryDriver::new()).settling();
    driver.script([
        Fault::fail(ErrorKind::Deadlock),
        Fault::LoseAnswer(ErrorKind::Connection.into()),
    ]);
    driver.refuse(ErrorKind::Constraint, Blame::Nobody, |row| {
        row.get::<i64>("id").unwrap() == Some(7)
    });
    let flow = BatchFlow::builder(driver)
        .flush_size(10)
        .buffer_size(20)
        .metrics(metrics.flow("orders"))
        .build()
        .unwrap();
    let orders = Schema::new("orders", ConflictStrategy::Ignore, ["id", "secret"]).unwrap();
    for id in 0..2_000_i64 {
        flow.submit(orders.row((id % 500, "canary")).unwrap()).await.unwrap();
    }
    flow.flush().await.unwrap();
    drop(flow.close().await.unwrap());
    flow.try_submit(orders.row((1_i64, "canary")).unwrap()).unwrap_err();
    registry
}

/// The samples of a scrape.
#[derive(Debug)]
pub(crate) struct Scrape(Vec<Sample>);

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Scrape {
    /// Reads either text format. No label of ours holds a quote or a comma.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(lines.map(sample).collect())
    }

    /// The sum of a metric's samples that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).map(|sample| sample.value).sum()
    }

    /// A metric's samples that have these labels.
    pub(crate) fn of<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            let has = |(label, value): &(&str, &str)| {
                sample.labels.get(*label).map(|v| &**v) == Some(*value)
            };
            sample.name == name && labels.iter().all(has)
        })
    }

    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|sample| &*sample.name).collect()
    }

    pub(crate) fn samples(&self) -> &[Sample] {
        &self.0
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
    let label = |label: &str| {
        let (name, value) = label.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    Sample {
        name: name.to_owned(),
        labels: labels.map(label).collect(),
        value: value.parse().unwrap(),
    }
}
