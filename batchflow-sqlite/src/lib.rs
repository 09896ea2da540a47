#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod driver;
mod encode;
mod error;
mod fate;
mod group;
mod guard;
mod open;
mod plan;
mod spin;
mod statement;
mod table;
mod transaction;
mod writer;

pub use batchflow_core::*;
pub use rusqlite as client;

pub use config::{JournalMode, SqliteConfig, Synchronous};
pub use driver::SqliteDriver;
