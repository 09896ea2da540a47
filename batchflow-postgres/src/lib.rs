#![doc = include_str!("../README.md")]

pub use tokio_postgres as client;
