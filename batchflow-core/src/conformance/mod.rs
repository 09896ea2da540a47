//! The conformance kit: what every driver must do, as plain async functions that a driver crate
//! calls from one test file, over a [`Harness`] of its own.
//!
//! Each function is a test: it panics where the driver fails it. What a driver does not
//! [declare](crate::Capabilities), or a [`Harness`] does not have, is not asked of it: a function that
//! needs it returns whether it ran. The functions use no more than any crate
//! can: a [`BatchFlow`](crate::BatchFlow) over the driver, with faults made by a
//! [`FaultDriver`](crate::testing::FaultDriver) around it.
//!
//! ```no_run
//! # use batchflow_core::conformance::{self, Harness};
//! # async fn all(harness: &dyn Harness) {
//! conformance::strategies_match_the_model(harness, 0..200).await;
//! conformance::order_per_key(harness, 0..20).await;
//! conformance::one_bad_row_among_a_thousand(harness).await;
//! # }
//! ```
//!
//! [`all`] runs them one after the other. The [`Model`] says what a table must look like, and a
//! [`History`] judges whether an order of the rows explains what it does look like; both serve
//! tests beyond the kit.

// Panicking is how a test fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc
)]

mod bounds;
mod harness;
mod history;
mod isolation;
mod judge;
mod lifecycle;
mod model;
mod nulls;
mod order;
mod run;
mod search;
mod secrets;
mod show;
mod stalls;
mod strategies;
mod types;
mod unknown;

pub use bounds::a_stalled_database_exceeds_no_bound;
pub use harness::{Harness, Hold};
pub use history::{EntryId, Fate, History, Violation};
pub use isolation::{
    a_bad_row_merged_with_a_good_one, another_unique_key_is_never_ignored,
    one_bad_row_among_a_thousand,
};
pub use lifecycle::{
    a_cancelled_attempt_applies_nothing_or_says_so,
    a_cancelled_flow_writes_what_it_holds_and_takes_no_more,
    close_writes_what_is_held_and_takes_no_more, what_is_missing_is_named,
};
pub use model::{Model, TOUCHED, sort_rows};
pub use nulls::unset_is_not_null;
pub use order::order_per_key;
pub use secrets::secrets_stay_in;
pub use stalls::{a_cut_connection_is_replaced, a_held_up_write_ends_by_its_deadline};
pub use strategies::{refusals_match_the_model, strategies_match_the_model, the_same_rows};
pub use types::types_at_their_limits;
pub use unknown::{a_late_orphan_breaks_no_order, lost_answers_are_never_repeated_blindly};

/// Runs every test of the kit, those of random rows with each of these seeds.
pub async fn all(harness: &dyn Harness, seeds: std::ops::Range<u64>) {
    unset_is_not_null(harness).await;
    types_at_their_limits(harness).await;
    what_is_missing_is_named(harness).await;
    another_unique_key_is_never_ignored(harness).await;
    one_bad_row_among_a_thousand(harness).await;
    a_bad_row_merged_with_a_good_one(harness).await;
    strategies_match_the_model(harness, seeds.clone()).await;
    refusals_match_the_model(harness, seeds.clone()).await;
    order_per_key(harness, seeds).await;
    lost_answers_are_never_repeated_blindly(harness).await;
    a_late_orphan_breaks_no_order(harness).await;
    a_held_up_write_ends_by_its_deadline(harness).await;
    a_cut_connection_is_replaced(harness).await;
    a_cancelled_attempt_applies_nothing_or_says_so(harness).await;
    close_writes_what_is_held_and_takes_no_more(harness).await;
    a_cancelled_flow_writes_what_it_holds_and_takes_no_more(harness).await;
    a_stalled_database_exceeds_no_bound(harness).await;
    secrets_stay_in(harness).await;
}
