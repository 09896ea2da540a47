#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod encode;
mod error;
mod plan;
mod server;
mod statement;
mod table;
mod types;
mod way;

pub use batchflow_core::*;
pub use mysql_async as client;

pub use way::Way;
