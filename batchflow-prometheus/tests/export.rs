//! What is exported: names and labels as the table says, nothing secret, nothing `promtool` minds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::float_cmp)]
#![allow(clippy::format_push_string, reason = "a test need not be fast")]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use batchflow_core::testing::{Blame, Fault, FaultDriver, MemoryDriver, miscount};
use batchflow_core::{BatchFlow, ConflictStrategy, ErrorKind, Schema};
use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{METRICS, Options, PrometheusMetrics, Type, encode, encode_classic};
use support::Scrape;

/// A registry after a bit of everything: waits, refusals, retries, splits, dead letters.
async fn busy(options: Options) -> Registry {
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

/// What the table says of a metric: its sample names, and its labels.
fn expected(options: (bool, bool)) -> Vec<(String, BTreeSet<String>)> {
    let (flow, table) = options;
    METRICS
        .iter()
        .map(|metric| {
            let own = metric.labels.iter().filter(|label| table || **label != "table");
            let mut labels: BTreeSet<String> = own.map(|&label| label.to_owned()).collect();
            labels.insert("backend".to_owned());
            // Statements are counted for all flows together.
            if flow && metric.name != "distinct_statements" {
                labels.insert("flow".to_owned());
            }
            (metric.full_name(), labels)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn names_and_labels_are_those_of_the_table() {
    for (flow, table) in [(false, false), (true, true), (true, false), (false, true)] {
        let options = Options::default().label_flow(flow).label_table(table);
        let scrape = Scrape::parse(&encode(&busy(options).await));
        let expected = expected((flow, table));
        let base = |name: &str| {
            let suffix = ["_bucket", "_sum", "_count"].into_iter();
            let histogram = suffix.filter_map(|suffix| name.strip_suffix(suffix)).find(|base| {
                METRICS.iter().any(|m| m.kind == Type::Histogram && m.full_name() == *base)
            });
            histogram.unwrap_or(name).to_owned()
        };
        for sample in scrape.samples() {
            let name = base(&sample.name);
            let (_, labels) = expected
                .iter()
                .find(|(own, _)| *own == name)
                .unwrap_or_else(|| panic!("{name} is not in the table"));
            let mut found: BTreeSet<String> = sample.labels.keys().cloned().collect();
            found.remove("le");
            assert_eq!(found, *labels, "{name}");
        }
        let exported: BTreeSet<String> = scrape.names().into_iter().map(base).collect();
        // The memory driver tells no statements.
        let silent = BTreeSet::from(["batchflow_distinct_statements".to_owned()]);
        let all: BTreeSet<String> = expected.into_iter().map(|(name, _)| name).collect();
        assert_eq!(&exported | &silent, all);
    }
}

#[tokio::test(start_paused = true)]
async fn promise_10_no_value_stands_in_an_export() {
    let options = Options::default().label_flow(true).label_table(true);
    let text = encode(&busy(options).await);
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn the_readme_has_the_table() {
    let readme = include_str!("../README.md");
    let mut table = String::from("| name | type | labels | what it says |\n|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels, help) =
            (metric.full_name(), metric.kind, labels.join(", "), metric.help);
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    if std::env::var_os("BATCHFLOW_PRINT").is_some() {
        eprintln!("{table}");
    }
    assert!(readme.contains(&table), "the README lacks this table:\n{table}");
}

#[tokio::test(start_paused = true)]
async fn promtool_finds_nothing_to_complain_about() {
    let options = Options::default().label_flow(true).label_table(true);
    let text = encode_classic(&busy(options).await);
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            eprintln!("!! NOT RUN: promtool check metrics: {error}: apt-get install prometheus");
            return;
        }
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[tokio::test(start_paused = true)]
async fn counts_of_flows_that_ended_stay() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry, Options::default());
    let t = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    for round in 1..=3 {
        let driver = MemoryDriver::new();
        let flow = BatchFlow::builder(driver).metrics(metrics.clone()).build().unwrap();
        for id in 0..10_i64 {
            flow.submit(t.row((id,)).unwrap()).await.unwrap();
        }
        let running = Scrape::parse(&encode(&registry));
        assert_eq!(running.sum("batchflow_flows", &[]), 1.0);
        assert_eq!(running.sum("batchflow_pending_rows", &[]), 10.0);
        drop(flow.close().await.unwrap());
        drop(flow);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let ended = Scrape::parse(&encode(&registry));
        assert_eq!(ended.sum("batchflow_flows", &[]), 0.0);
        assert_eq!(ended.sum("batchflow_rows_submitted_total", &[]), f64::from(10 * round));
        assert_eq!(ended.sum("batchflow_pending_rows", &[]), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_integrity_gauge_moves_when_a_row_is_counted_twice() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry, Options::default());
    let flows = [(); 2].map(|()| {
        BatchFlow::builder(MemoryDriver::new()).metrics(metrics.clone()).build().unwrap()
    });
    let drift = || Scrape::parse(&encode(&registry)).sum("batchflow_integrity_drift_rows", &[]);
    assert_eq!(drift(), 0.0);
    miscount(&flows[0]);
    assert_eq!(drift(), 1.0);
    miscount(&flows[1]);
    miscount(&flows[1]);
    assert_eq!(drift(), 3.0);
}

#[tokio::test(start_paused = true)]
async fn tables_beyond_the_hundredth_share_their_series() {
    let mut registry = Registry::default();
    let options = Options::default().label_table(true);
    let metrics = PrometheusMetrics::register(&mut registry, options);
    let flow = BatchFlow::builder(MemoryDriver::new()).metrics(metrics).build().unwrap();
    for table in 0..150 {
        let schema = Schema::new(&*format!("t{table}"), ConflictStrategy::Ignore, ["id"]).unwrap();
        flow.submit(schema.row((1_i64,)).unwrap()).await.unwrap();
    }
    flow.flush().await.unwrap();
    let scrape = Scrape::parse(&encode(&registry));
    let of = |labels| scrape.sum("batchflow_batch_rows_count", labels);
    assert_eq!((of(&[]), of(&[("table", "(others)")])), (150.0, 50.0));
}

#[tokio::test(start_paused = true)]
async fn native_histograms_leave_the_classic_ones_as_they_are() {
    let classic = encode(&busy(Options::default()).await);
    let native = encode(&busy(Options::default().native_histograms(true)).await);
    let lines = |text: &str| {
        let buckets = text.lines().filter(|line| line.contains("batch_rows_bucket"));
        buckets.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(!lines(&classic).is_empty());
    assert_eq!(lines(&classic), lines(&native));
}
