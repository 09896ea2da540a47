//! What the driver's own tests know of a MySQL.

#[path = "../../../batchflow-mysql/tests/server/harness.rs"]
pub(crate) mod harness;
#[path = "../../../batchflow-mysql/tests/support/mod.rs"]
pub(crate) mod support;
