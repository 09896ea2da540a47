//! The dashboard and the alerts ask only for what is exported.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]
#![allow(clippy::format_push_string, reason = "a test need not be fast")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use batchflow_prometheus::{METRICS, Type};
use serde_json::Value;

const DASHBOARD: &str = include_str!("../dashboards/batchflow.json");
const ALERTS: &str = include_str!("../dashboards/alerts.yml");

/// Labels that every series may have: ours, and those that Prometheus adds.
const COMMON: [&str; 5] = ["backend", "flow", "job", "instance", "le"];

/// Every query of the dashboard, its variables filled in.
fn queries() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(query)) = fields.get("expr") {
                    found.push(query.clone());
                }
                fields.values().for_each(|value| collect(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(DASHBOARD).unwrap(), &mut found);
    let fill = |query: &String| {
        let query = query.replace("$__rate_interval", "1m");
        query.replace("$job", ".*").replace("$backend", ".*")
    };
    found.iter().map(fill).collect()
}

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

/// Prometheus' own parser reads the alerts, and the dashboard's queries as rules.
#[test]
fn promtool_reads_every_query() {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (at, query) in queries().iter().enumerate() {
        let query = serde_json::to_string(query).unwrap();
        rules.push_str(&format!("      - record: batchflow:query_{at}\n        expr: {query}\n"));
    }
    for (what, rules) in [("the dashboard's queries", &*rules), ("the alerts", ALERTS)] {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rules.yml");
        std::fs::write(&file, rules).unwrap();
        let promtool = Command::new("promtool")
            .args(["check", "rules"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let promtool = match promtool {
            Ok(promtool) => promtool,
            Err(error) => {
                eprintln!("!! NOT RUN: promtool check rules: {error}: apt-get install prometheus");
                return;
            }
        };
        let output = promtool.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {said}");
        assert!(said.contains("SUCCESS"), "{what}: {said}");
    }
}
