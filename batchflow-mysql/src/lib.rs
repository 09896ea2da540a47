#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod alone;
mod catalog;
mod codes;
mod collation;
mod config;
mod connect;
mod culprit;
mod driver;
mod encode;
mod error;
mod fence;
mod guarded;
mod habit;
mod ledger;
mod limit;
mod plan;
mod preview;
mod server;
mod session;
mod settle;
mod statement;
mod table;
mod transaction;
mod types;
#[cfg(test)]
mod unit;
mod verdict;
mod way;

pub use batchflow_core::*;
pub use mysql_async as client;

pub use config::{MysqlConfig, RootCert, SslMode};
pub use driver::MysqlDriver;
pub use way::Way;
