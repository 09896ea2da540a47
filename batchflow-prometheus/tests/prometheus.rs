//! What Prometheus' own programs say: `promtool` of the metrics, the alerts and the dashboard, and
//! a server that scrapes the exporter. Run by `cargo xtask test`, which finds or installs them.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::format_push_string, reason = "a test need not be fast")]

#[path = "prometheus/server.rs"]
mod server;
mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use batchflow_core::testing::{Fault, FaultDriver, MemoryDriver};
use batchflow_core::{
    Batch, BatchFlow, ConflictStrategy, ErrorKind, Schema, ValueRef, WriteError, driver_fn,
};
use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{Exporter, METRICS, Options, PrometheusMetrics, Type, encode_classic};
use server::Prometheus;
use support::busy;
use support::queries::{ALERTS, queries};

/// What `promtool` says to a file, or to what it is given to read; it must find no fault.
fn promtool(arguments: &[&str], file: Option<&Path>, input: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .args(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}: apt-get install prometheus"));
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}\n{input}");
    said.into_owned()
}

#[tokio::test(start_paused = true)]
#[ignore = "needs promtool: cargo xtask test"]
async fn promtool_finds_nothing_to_complain_about() {
    let options = Options::default().label_flow(true).label_table(true);
    let text = encode_classic(&busy(options).await);
    let said = promtool(&["check", "metrics"], None, &text);
    assert!(said.is_empty(), "{said}\n{text}");
}

/// Prometheus' own parser reads the alerts, and the dashboard's queries as rules.
#[test]
#[ignore = "needs promtool: cargo xtask test"]
fn promtool_reads_every_query() {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (at, query) in queries().iter().enumerate() {
        let query = serde_json::to_string(query).unwrap();
        rules.push_str(&format!("      - record: batchflow:query_{at}\n        expr: {query}\n"));
    }
    for (what, rules) in [("the dashboard's queries", &*rules), ("the alerts", ALERTS)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.yml");
        std::fs::write(&file, rules).unwrap();
        let said = promtool(&["check", "rules"], Some(&file), "");
        assert!(said.contains("SUCCESS"), "{what}: {said}");
    }
}

#[test]
#[ignore = "needs promtool: cargo xtask test"]
fn the_alerts_fire_when_they_should_and_only_then() {
    // The tests name the alerts by a path from their own folder.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.yml"), ALERTS).unwrap();
    let tests = folder.path().join("alerts_test.yml");
    std::fs::write(&tests, include_str!("prometheus/alerts_test.yml")).unwrap();
    let said = promtool(&["test", "rules"], Some(&tests), "");
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
#[ignore = "needs promtool: cargo xtask test"]
fn promtool_reads_the_configuration() {
    let dashboards = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let said = promtool(&["check", "config"], Some(&dashboards.join("prometheus.yml")), "");
    assert!(said.contains("SUCCESS"), "{said}");
}

/// Two flows with something of everything, under load until they are dropped, and their exporter.
async fn load(options: Options) -> (Exporter, [BatchFlow; 2]) {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry, options);
    let exporter = Exporter::start("127.0.0.1:0", registry).await.unwrap();
    let memory = FaultDriver::new(MemoryDriver::new());
    let mut attempts = 0;
    memory.each(move |_, _| {
        attempts += 1;
        if attempts % 5 == 0 { Fault::fail(ErrorKind::Deadlock) } else { Fault::Pass }
    });
    let refusing = driver_fn("refusing", async |batch: Batch| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let bad = |row: &usize| matches!(batch.get(*row, 0), ValueRef::I64(id) if id % 50 == 0);
        match (0..batch.len()).find(bad) {
            Some(row) => Err(WriteError::new(ErrorKind::Constraint).with_blame([row])),
            None => Ok(()),
        }
    });
    let flow = |name| metrics.flow(name);
    let one = BatchFlow::builder(memory).buffer_size(50).metrics(flow("one")).build().unwrap();
    let two = BatchFlow::builder(refusing).buffer_size(50).metrics(flow("two")).build().unwrap();
    let t = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    for flow in [one.clone(), two.clone()] {
        let t = t.clone();
        tokio::spawn(async move {
            for id in 0_i64.. {
                if flow.submit(t.row((id % 1_000,)).unwrap()).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        });
    }
    (exporter, [one, two])
}

#[tokio::test]
#[ignore = "needs prometheus: cargo xtask test"]
async fn every_query_has_an_answer_from_a_server_that_scrapes() {
    let (exporter, flows) = load(Options::default().label_flow(true).label_table(true)).await;
    let prometheus = Prometheus::start(exporter.address(), &[]).await;
    prometheus.wait_for("count_over_time(batchflow_retries_total[1h]) > 3").await;
    prometheus.wait_for("count_over_time(batchflow_dead_letters_total[1h]) > 3").await;
    for query in queries() {
        assert!(!prometheus.ask(&query).await.is_empty(), "no answer: {query}");
    }
    for metric in METRICS {
        // The memory driver tells no statements, and ends.
        let name = metric.full_name();
        let samples = if metric.kind == Type::Histogram { name + "_count" } else { name };
        let found = prometheus.ask(&samples).await;
        assert!(!found.is_empty() || metric.name == "distinct_statements", "{samples}");
    }
    for flow in flows {
        drop(flow.close().await.unwrap());
    }
    exporter.stop().await;
}

#[tokio::test]
#[ignore = "needs prometheus: cargo xtask test"]
async fn a_server_answers_quantiles_of_native_histograms() {
    let (exporter, flows) = load(Options::default().native_histograms(true)).await;
    let native = ["--enable-feature=native-histograms"];
    let prometheus = Prometheus::start(exporter.address(), &native).await;
    prometheus.wait_for("count_over_time(batchflow_flows[1h]) > 5").await;
    for metric in ["batch_rows", "attempt_duration_seconds", "submit_duration_seconds"] {
        // Without `_bucket`: a query of a native histogram.
        let rate = format!("rate(batchflow_{metric}[1m])");
        prometheus.wait_for(&format!("histogram_count({rate}) > 0")).await;
        let quantile = format!("histogram_quantile(0.5, sum({rate}))");
        let answer = prometheus.ask(&quantile).await;
        assert!(answer.len() == 1 && answer[0] > 0.0, "{quantile}: {answer:?}");
    }
    for flow in flows {
        drop(flow.close().await.unwrap());
    }
    exporter.stop().await;
}
