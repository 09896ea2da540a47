//! The dashboard and the alerts ask only for what is exported.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;

use batchflow_prometheus::{METRICS, Type};
use support::queries::{ALERTS, queries};

/// Labels that every series may have: ours, and those that Prometheus adds.
const COMMON: [&str; 5] = ["backend", "flow", "job", "instance", "le"];

/// The words of a query, without what stands in quotes.
fn words(query: &str) -> Vec<String> {
    let unquoted: String = query.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let word = |c: char| !(c.is_alphanumeric() || c == '_');
    unquoted.split(word).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What there is under a sample's name: its metric's labels.
fn labels_of(sample: &str) -> Option<BTreeSet<&'static str>> {
    let metric = METRICS.iter().find(|metric| match metric.kind {
        Type::Histogram => {
            ["_bucket", "_sum", "_count"].iter().any(|suffix| sample == metric.full_name() + suffix)
        }
        _ => sample == metric.full_name(),
    })?;
    Some(metric.labels.iter().copied().chain(COMMON).collect())
}

fn check(query: &str) {
    let words = words(query);
    let own: Vec<&String> = words.iter().filter(|word| word.starts_with("batchflow_")).collect();
    assert!(!own.is_empty(), "{query} asks for nothing of ours");
    let mut labels = BTreeSet::new();
    for name in own {
        let found = labels_of(name).unwrap_or_else(|| panic!("{name} is not exported: {query}"));
        labels.extend(found);
    }
    // What a query groups by must be a label of what it asks for.
    for part in query.split("by (").skip(1) {
        let group = part.split(')').next().unwrap();
        for label in group.split(',').map(str::trim) {
            assert!(labels.contains(label), "{label} is no label there: {query}");
        }
    }
}

#[test]
fn the_dashboard_asks_for_what_is_exported() {
    let queries = queries();
    assert!(queries.len() > 30, "{}", queries.len());
    for query in &queries {
        check(query);
    }
}

#[test]
fn what_is_not_exported_is_found() {
    for wrong in ["sum(batchflow_nothing)", "sum by (place) (batchflow_flows)", "sum(up)"] {
        assert!(std::panic::catch_unwind(|| check(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn the_alerts_ask_for_what_is_exported() {
    let mut alerts = 0;
    for alert in ALERTS.split("- alert:").skip(1) {
        let query = alert.split("expr:").nth(1).unwrap();
        let end = query.find("\n        for:").or_else(|| query.find("\n        labels:"));
        check(&query[..end.unwrap()]);
        alerts += 1;
    }
    assert!(alerts > 5);
}
