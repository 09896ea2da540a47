//! What is exported: names and labels as the table says, nothing secret.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::float_cmp)]
#![allow(clippy::format_push_string, reason = "a test need not be fast")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use batchflow_core::testing::{MemoryDriver, miscount};
use batchflow_core::{BatchFlow, ConflictStrategy, Schema};
use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{METRICS, Options, PrometheusMetrics, Type, encode};
use support::{Scrape, busy};

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

/// Scrapes that see a flow's end at once do not count it twice, and none counts less than one
/// before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_at_once_count_each_flow_once() {
    let mut registry = Registry::default();
    let metrics = PrometheusMetrics::register(&mut registry, Options::default());
    let (registry, over) = (Arc::new(registry), Arc::new(AtomicBool::new(false)));
    let submitted = |registry: &Registry| {
        Scrape::parse(&encode(registry)).sum("batchflow_rows_submitted_total", &[])
    };
    let scrapes = [(); 3].map(|()| {
        let (registry, over) = (Arc::clone(&registry), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut most = 0.0;
            while !over.load(Ordering::Relaxed) {
                let now = submitted(&registry);
                assert!(now >= most, "{now} after {most}");
                most = now;
            }
        })
    });
    let t = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    for _ in 0..200 {
        let flow =
            BatchFlow::builder(MemoryDriver::new()).metrics(metrics.clone()).build().unwrap();
        for id in 0..10_i64 {
            flow.submit(t.row((id,)).unwrap()).await.unwrap();
        }
        assert!(flow.close().await.unwrap().all_written());
    }
    over.store(true, Ordering::Relaxed);
    for scrape in scrapes {
        scrape.join().unwrap();
    }
    assert_eq!(submitted(&registry), 2_000.0);
}

#[cfg(feature = "protobuf")]
#[tokio::test(start_paused = true)]
async fn protobuf_has_native_histograms_where_asked_for_and_the_classic_ones_always() {
    use batchflow_prometheus::client::encoding::prometheus_protobuf::encode as families;

    for native in [false, true] {
        let registry = busy(Options::default().native_histograms(native)).await;
        let families = families(&registry).unwrap();
        let names: BTreeSet<String> = families.iter().map(|family| family.name.clone()).collect();
        for metric in METRICS {
            assert!(names.contains(&metric.full_name()), "{}", metric.full_name());
        }
        let batches = families.iter().find(|f| f.name == "batchflow_batch_rows").unwrap();
        let histogram = batches.metric[0].histogram.as_ref().unwrap();
        assert!(histogram.sample_count > 0 && !histogram.bucket.is_empty());
        assert_eq!(!histogram.positive_span.is_empty(), native);
    }
}

#[cfg(feature = "protobuf")]
#[tokio::test(start_paused = true)]
async fn native_histograms_leave_the_text_as_it_is() {
    let classic = encode(&busy(Options::default()).await);
    let native = encode(&busy(Options::default().native_histograms(true)).await);
    let lines = |text: &str| {
        let buckets = text.lines().filter(|line| line.contains("batch_rows_bucket"));
        buckets.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(!lines(&classic).is_empty());
    assert_eq!(lines(&classic), lines(&native));
}
