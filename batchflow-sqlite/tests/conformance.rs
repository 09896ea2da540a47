//! The conformance kit on a SQLite file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

use batchflow_core::conformance;

#[path = "support/harness.rs"]
mod harness;

use harness::File;

/// Seeds of each random test.
const SEEDS: std::ops::Range<u64> = 0..200;

macro_rules! kit {
    ($($test:ident $(($($argument:expr),+))?;)+) => {$(
        #[tokio::test]
        async fn $test() {
            conformance::$test(&File::new().await $($(, $argument)+)?).await;
        }
    )+};
}

kit! {
    unset_is_not_null;
    types_at_their_limits;
    what_is_missing_is_named;
    another_unique_key_is_never_ignored;
    one_bad_row_among_a_thousand;
    a_bad_row_merged_with_a_good_one;
    strategies_match_the_model(SEEDS);
    refusals_match_the_model(SEEDS);
    order_per_key(SEEDS);
    lost_answers_are_never_repeated_blindly;
    a_late_orphan_breaks_no_order;
    a_cancelled_attempt_applies_nothing_or_says_so;
    close_writes_what_is_held_and_takes_no_more;
    a_cancelled_flow_writes_what_it_holds_and_takes_no_more;
    secrets_stay_in;
}

#[tokio::test]
async fn a_held_up_write_ends_by_its_deadline() {
    assert!(conformance::a_held_up_write_ends_by_its_deadline(&File::new().await).await);
}

#[tokio::test]
async fn a_stalled_database_exceeds_no_bound() {
    assert!(conformance::a_stalled_database_exceeds_no_bound(&File::new().await).await);
}
