//! What the stories share: schemas, drivers, and a driver that tells when it was closed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::testing::{FaultDriver, MemoryDriver, Probe};
use batchflow_core::{
    Attempt, Batch, Capabilities, CommitToken, ConflictStrategy, Driver, Report, Request, Schema,
    Settled, TableInfo, WriteError,
};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);

/// Tables in memory, faults on order, and a probe over both.
pub(crate) type Watched = Probe<FaultDriver<MemoryDriver>>;

pub(crate) fn watched() -> Arc<Watched> {
    Arc::new(Probe::new(FaultDriver::new(MemoryDriver::new())))
}

pub(crate) fn settling() -> Arc<Watched> {
    Arc::new(Probe::new(FaultDriver::new(MemoryDriver::new()).settling()))
}

/// The tables under a watched driver.
pub(crate) fn memory(driver: &Watched) -> &MemoryDriver {
    driver.inner().inner()
}

pub(crate) fn schema(table: &str, strategy: ConflictStrategy) -> Schema {
    Schema::new(table, strategy, ["id", "name"]).unwrap()
}

pub(crate) fn users() -> Schema {
    schema("users", ConflictStrategy::Update)
}

pub(crate) fn row(schema: &Schema, id: i64, name: &str) -> Request {
    schema.row((id, name)).unwrap()
}

pub(crate) fn id(request: &Request) -> i64 {
    request.get("id").unwrap().unwrap()
}

/// A driver that its flow owns alone, though the test looks at it too.
#[derive(Debug)]
pub(crate) struct Owned<D>(pub(crate) Arc<D>);

#[async_trait]
impl<D: Driver> Driver for Owned<D> {
    fn backend(&self) -> &'static str {
        (*self.0).backend()
    }

    fn capabilities(&self) -> Capabilities {
        (*self.0).capabilities()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        (*self.0).write(batch, attempt).await
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        (*self.0).describe(schema).await
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        (*self.0).settle(token).await
    }

    async fn close(&self) {
        (*self.0).close().await;
    }
}
