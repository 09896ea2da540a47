#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::doc_markdown, reason = "OpenMetrics is a name")]

mod adapter;
mod buckets;
mod collect;
mod flows;
#[cfg(feature = "http")]
mod format;
#[cfg(feature = "http")]
mod http;
mod labels;
mod metric;
mod options;
mod store;
mod text;

pub use prometheus_client as client;

pub use adapter::PrometheusMetrics;
#[cfg(feature = "http")]
pub use http::Exporter;
pub use metric::{METRICS, Metric, Type};
pub use options::Options;
#[cfg(feature = "protobuf")]
pub use text::encode_protobuf;
pub use text::{encode, encode_classic};
