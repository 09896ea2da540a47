#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod session;

pub use batchflow_core::*;
pub use tokio_postgres as client;
