//! The conformance kit: what every driver must do, as plain async functions that a driver crate
//! calls from one test file.

mod history;
mod judge;
mod model;
mod search;
mod show;

pub use history::{EntryId, Fate, History, Violation};
pub use model::{Model, TOUCHED, sort_rows};
