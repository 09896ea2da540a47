#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attempt;
mod codes;
mod command;
mod config;
mod connect;
mod driver;
mod encode;
mod error;
mod fence;
mod layout;
mod plan;
mod pool;
mod preview;
mod script;
mod send;
mod units;

pub use batchflow_core::*;
pub use fred as client;

pub use config::RedisConfig;
pub use driver::RedisDriver;
pub use layout::Layout;
