//! What the driver's own tests know of a PostgreSQL.

#[path = "../../../batchflow-postgres/tests/server/harness.rs"]
pub(crate) mod harness;
#[path = "../../../batchflow-postgres/tests/support/mod.rs"]
pub(crate) mod support;
