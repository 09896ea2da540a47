//! [`miscount`]: a flow whose counts are wrong.

use crate::flow::BatchFlow;

/// Makes a flow count a row as written that never was there, as a fault of the flow's own would:
/// for tests of alarms on [`Stats::drift`](crate::Stats::drift).
pub fn miscount(flow: &BatchFlow) {
    flow.miscount();
}
