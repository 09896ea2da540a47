//! The conformance kit: with the way that the driver chooses, and with each way forced.

use std::time::Duration;

use batchflow_core::conformance;
use batchflow_postgres::Way;

use crate::harness::Server;

/// Seeds of each random test.
const SEEDS: std::ops::Range<u64> = 0..40;

macro_rules! kit {
    ($($test:ident $(($($argument:expr),+))?;)+) => {
        kit! { chosen: None => $($test $(($($argument),+))?;)+ }
        kit! { unnest: Some(Way::Unnest) => $($test $(($($argument),+))?;)+ }
        kit! { copy: Some(Way::Copy) => $($test $(($($argument),+))?;)+ }
        kit! { stage: Some(Way::Stage) => $($test $(($($argument),+))?;)+ }
    };
    ($way:ident: $forced:expr => $($test:ident $(($($argument:expr),+))?;)+) => {
        mod $way {
            use super::*;

            $(
                #[tokio::test]
                #[ignore = "needs PostgreSQL: cargo xtask integration"]
                async fn $test() {
                    let run = async {
                        conformance::$test(&Server::new($forced) $($(, $argument)+)?).await
                    };
                    let ended = tokio::time::timeout(Duration::from_secs(240), run).await;
                    assert_ran(ended.expect("promise 9: it hangs"));
                }
            )+
        }
    };
}

/// What a test of the kit returns: nothing, or whether it ran.
trait Ran {
    fn ran(self) -> bool;
}

impl Ran for () {
    fn ran(self) -> bool {
        true
    }
}

impl Ran for bool {
    fn ran(self) -> bool {
        self
    }
}

fn assert_ran(ran: impl Ran) {
    assert!(ran.ran(), "this harness has all that the test needs");
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
    order_per_key(0..8);
    lost_answers_are_never_repeated_blindly;
    a_late_orphan_breaks_no_order;
    a_held_up_write_ends_by_its_deadline;
    a_cut_connection_is_replaced;
    a_cancelled_attempt_applies_nothing_or_says_so;
    close_writes_what_is_held_and_takes_no_more;
    a_cancelled_flow_writes_what_it_holds_and_takes_no_more;
    a_stalled_database_exceeds_no_bound;
    secrets_stay_in;
}
