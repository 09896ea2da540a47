//! The conformance kit: what every driver must do, as plain async functions that a driver crate
//! calls from one test file.

mod model;

pub use model::{Model, TOUCHED, sort_rows};
