#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ask;
mod attempt;
mod cluster;
mod codes;
mod command;
mod config;
mod connect;
mod driver;
mod encode;
mod error;
mod fence;
mod form;
mod layout;
mod leg;
mod plan;
mod pool;
mod preview;
mod script;
mod send;
mod servers;
mod units;

pub use batchflow_core::*;
pub use fred as client;

pub use config::{Client, RedisConfig};
pub use driver::RedisDriver;
pub use layout::Layout;
