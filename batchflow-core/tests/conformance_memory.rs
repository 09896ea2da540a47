//! The conformance kit on the `MemoryDriver`.

use std::sync::Arc;

use async_trait::async_trait;
use batchflow_core::conformance::{self, Harness, Hold};
use batchflow_core::testing::{Fault, FaultDriver, Gate, MemoryDriver, Table};
use batchflow_core::{Driver, Value};

/// Tables in memory; a gate before them stands for another's lock.
struct Memory {
    tables: Arc<FaultDriver<MemoryDriver>>,
    gate: Gate,
}

impl Memory {
    fn new() -> Self {
        let gate = Gate::closed();
        gate.open();
        let tables = FaultDriver::new(MemoryDriver::with_tables([]));
        let rule = gate.clone();
        tables.each(move |_, _| Fault::Wait(rule.clone()));
        Self { tables: Arc::new(tables), gate }
    }
}

/// Opens the gate when it is dropped.
struct Closed(Gate);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[async_trait]
impl Harness for Memory {
    async fn create(&self, table: &Table) {
        self.tables.inner().create(table.clone());
    }

    async fn driver(&self) -> Arc<dyn Driver> {
        self.tables.clone()
    }

    async fn read(&self, table: &Table) -> Vec<Vec<Value>> {
        self.tables.inner().rows(table.name())
    }

    fn second_digits(&self) -> u8 {
        9
    }

    async fn hold_up(&self, _: &Table) -> Option<Hold> {
        self.gate.close();
        Some(Box::new(Closed(self.gate.clone())))
    }
}

macro_rules! kit {
    ($($test:ident $(($($argument:expr),+))?;)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            conformance::$test(&Memory::new() $($(, $argument)+)?).await;
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
    strategies_match_the_model(0..300);
    refusals_match_the_model(0..300);
    order_per_key(0..30);
    lost_answers_are_never_repeated_blindly;
    a_late_orphan_breaks_no_order;
    a_cancelled_attempt_applies_nothing_or_says_so;
    close_writes_what_is_held_and_takes_no_more;
    a_cancelled_flow_writes_what_it_holds_and_takes_no_more;
    secrets_stay_in;
}

#[tokio::test(start_paused = true)]
async fn a_held_up_write_ends_by_its_deadline() {
    assert!(conformance::a_held_up_write_ends_by_its_deadline(&Memory::new()).await);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_database_exceeds_no_bound() {
    assert!(conformance::a_stalled_database_exceeds_no_bound(&Memory::new()).await);
}
