//! A binary COPY, straight into the table.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::future::join3;
use tokio_postgres::{Client, CopyInSink, SimpleQueryMessage, Statement};

use super::Failed;
use crate::plan::Plan;
use crate::statement::CopyTexts;
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
    let Some(texts) = &plan.copy else { return Err(Failed::Unreadable) };
    let (begun, checked, prepared) =
        join3(begin.send(client), check(client, plan, texts), client.prepare(&texts.copy)).await;
    begun?;
    checked?;
    // Dropped at the end of this function, the statement is closed inside the transaction:
    // behind a pooler the next one may be on another connection.
    let statement = prepared.map_err(Failed::write)?;
    let mut sink = copy(client, &statement, body).await?;
    sink.as_mut().finish().await.map_err(Failed::write)
}

/// Locks the table, and makes sure that its columns have the types they are sent as.
async fn check(client: &Client, plan: &Plan, texts: &CopyTexts) -> Result<(), Failed> {
    let messages = client.simple_query(&texts.check).await.map_err(Failed::Lock)?;
    let same = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok()??.parse::<usize>().ok(),
        _ => None,
    });
    if same == Some(plan.columns.len()) { Ok(()) } else { Err(Failed::Changed) }
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
