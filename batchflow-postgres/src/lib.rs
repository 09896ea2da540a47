#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod at_once;
mod catalog;
mod config;
mod connect;
mod culprit;
mod driver;
mod encode;
mod ended;
mod error;
mod fence;
mod plan;
mod preview;
pub mod session;
mod settle;
mod sqlstate;
mod statement;
mod table;
mod transaction;
mod types;
#[cfg(test)]
mod unit;
mod verdict;
mod way;

pub use batchflow_core::*;
pub use tokio_postgres as client;

pub use config::{PostgresConfig, RootCert, SslMode};
pub use connect::{ConnectionSource, Lease};
pub use driver::PostgresDriver;
pub use way::Way;
