#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "until the driver calls them")]

mod catalog;
mod culprit;
mod encode;
mod error;
mod sqlstate;
mod table;
#[cfg(test)]
mod testing;
mod types;

pub mod session;

pub use batchflow_core::*;
pub use tokio_postgres as client;
