//! Statements and quoting that SQL drivers share.
//!
//! A [`Dialect`] is the little in which databases differ; an [`Insert`] is the text of an insert
//! or upsert by a schema's strategy, over however many rows.

mod dialect;
mod insert;

pub use dialect::{ConflictClause, Dialect, quote_with};
pub use insert::Insert;
