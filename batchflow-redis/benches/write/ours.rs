//! Rows through BatchFlow.

use std::time::Duration;

use batchflow_redis::{
    BatchFlow, Client, ConflictStrategy, Layout, RedisConfig, RedisDriver, Request, Schema,
};

use crate::rows::{FIELDS, Shape, TTL, pairs, wides};
use crate::server::{PREFIX, Server, Took};
use crate::{BATCH, timed};

/// The shape's layout, and its schema.
pub(crate) fn parts(shape: Shape) -> (Layout, Schema) {
    let prefix = format!("{PREFIX}{shape:?}:").to_lowercase();
    let (layout, columns) = match shape {
        Shape::String => (Layout::string(prefix), vec!["id", "value"]),
        Shape::Expiring => {
            (Layout::string(prefix).ttl(Duration::from_secs(TTL)), vec!["id", "value"])
        }
        Shape::Hash => (Layout::hash(prefix), [&["id"], FIELDS.as_slice()].concat()),
    };
    let schema = Schema::new("bench", ConflictStrategy::Update, columns);
    (layout, schema.expect("the schema is sound"))
}

pub(crate) async fn driver(
    server: &Server,
    client: Client,
    layout: Layout,
    connections: usize,
) -> RedisDriver {
    let config = RedisConfig::from_url(&server.url).expect("the URL is sound");
    let driver = RedisDriver::connect_with(config.client(client).pool_size(connections)).await;
    driver.expect("the server that answered still does").layout("bench", layout)
}

/// A flow with so many batches in flight, and the next one ready when one of them lands.
pub(crate) fn flow(driver: RedisDriver, flights: usize) -> BatchFlow {
    BatchFlow::builder(driver)
        .flush_size(BATCH)
        .flush_interval(Duration::from_secs(10))
        .concurrency(flights + 1)
        .buffer_size((flights + 3) * BATCH)
        .build()
        .expect("the settings are sound")
}

/// Submits every row, and waits for all verdicts.
pub(crate) async fn write(
    server: Server,
    client: Client,
    shape: Shape,
    flights: usize,
    count: usize,
) -> Took {
    let (layout, schema) = parts(shape);
    let flow = flow(driver(&server, client, layout, flights).await, flights);
    let took = if shape == Shape::Hash {
        let rows = wides(count);
        timed(submit(&flow, rows.into_iter().map(|row| schema.row(row).expect("it fits")))).await
    } else {
        let rows = pairs(count);
        timed(submit(&flow, rows.into_iter().map(|row| schema.row(row).expect("it fits")))).await
    };
    assert!(flow.close().await.expect("the flow was open").all_written());
    took
}

async fn submit(flow: &BatchFlow, requests: impl Iterator<Item = Request>) {
    for request in requests {
        flow.submit(request).await.expect("the flow is open");
    }
    assert!(flow.flush().await.expect("the flow is open").all_written());
}
