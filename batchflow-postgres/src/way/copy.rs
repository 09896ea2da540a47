//! A binary COPY, straight into the table.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::future::join;
use tokio_postgres::{Client, CopyInSink, Statement};

use super::Failed;
use crate::plan::Plan;
use crate::transaction::Begin;

/// So many bytes are handed over at once: enough that handing over costs nothing, and few enough
/// that the server works while more is on its way.
const CHUNK: usize = 128 << 10;

/// Begins, copies.
pub(super) async fn send(
    client: &Client,
    plan: &Plan,
    begin: &Begin,
    body: Bytes,
) -> Result<u64, Failed> {
    let text = plan.copy.as_deref().unwrap_or_default();
    let (begun, prepared) = join(begin.send(client), client.prepare(text)).await;
    begun?;
    // Dropped at the end of this function, the statement is closed inside the transaction:
    // behind a pooler the next one may be on another connection.
    let statement = prepared.map_err(Failed::write)?;
    let mut sink = copy(client, &statement, body).await?;
    sink.as_mut().finish().await.map_err(Failed::write)
}

/// Sends the whole body, and leaves the copy to be finished.
pub(super) async fn copy(
    client: &Client,
    statement: &Statement,
    mut body: Bytes,
) -> Result<Pin<Box<CopyInSink<Bytes>>>, Failed> {
    let mut sink = Box::pin(client.copy_in::<_, Bytes>(statement).await.map_err(Failed::Open)?);
    while !body.is_empty() {
        let chunk = body.split_to(body.len().min(CHUNK));
        sink.as_mut().feed(chunk).await.map_err(Failed::write)?;
    }
    Ok(sink)
}
