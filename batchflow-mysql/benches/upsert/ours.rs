//! Rows through BatchFlow.

use std::time::Duration;

use batchflow_mysql::{
    BatchFlow, ConflictStrategy, FlowBuilder, MysqlConfig, MysqlDriver, Request, Schema,
};

use crate::rows::Row;
use crate::server::Server;

/// The narrow table's schema.
pub(crate) fn schema(table: &str, strategy: ConflictStrategy) -> Schema {
    let columns = ["id", "name", "email", "hits", "score"];
    Schema::new(table, strategy, columns).expect("the schema is sound")
}

/// The driver's configuration for so many connections.
pub(crate) fn config(server: &Server, connections: usize) -> MysqlConfig {
    let config = MysqlConfig::from_url(&server.url).expect("the URL is the client's own");
    config.pool_size(connections).local_infile(true)
}

pub(crate) async fn driver(config: MysqlConfig) -> MysqlDriver {
    MysqlDriver::connect_with(config).await.expect("the server that answered still does")
}

/// A flow that writes batches of `size` over so many connections, and has the next batch ready
/// when one of them is free.
pub(crate) fn flow(driver: MysqlDriver, connections: usize, size: usize) -> FlowBuilder {
    BatchFlow::builder(driver)
        .flush_size(size)
        .flush_bytes(64 << 20)
        .flush_interval(Duration::from_secs(10))
        .concurrency(connections + 1)
        .buffer_size((connections + 3) * size)
        .buffer_bytes(1 << 30)
}

/// Makes requests of owned rows, hands them over one by one, and waits until all are written.
pub(crate) async fn submit(flow: &BatchFlow, schema: &Schema, rows: Vec<Row>) {
    for row in rows {
        let request = schema.row(row).expect("the row fits the schema");
        flow.submit(request).await.expect("the flow is open");
    }
    assert!(flow.flush().await.expect("the flow is open").all_written());
}

/// The same, of ready requests.
pub(crate) async fn submit_ready(flow: &BatchFlow, requests: Vec<Request>) {
    for request in requests {
        flow.submit(request).await.expect("the flow is open");
    }
    assert!(flow.flush().await.expect("the flow is open").all_written());
}
