//! A binary COPY into a temporary table, then one statement over it.

use bytes::Bytes;
use futures_util::future::join;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::{Failed, copy};
use crate::plan::Plan;
use crate::transaction::Begin;

/// Begins, makes the temporary table, copies and inserts.
pub(super) async fn send(
    client: &Client,
    plan: &Plan,
    begin: &Begin,
    body: Bytes,
) -> Result<u64, Failed> {
    let Some(stage) = &plan.stage else { return Err(Failed::Unreadable) };
    let (begun, made, prepared) = futures_util::future::join3(
        begin.send(client),
        client.batch_execute(&stage.create),
        client.prepare(&stage.copy),
    )
    .await;
    begun?;
    made.map_err(Failed::Stage)?;
    // Dropped at the end of this function, the statement is closed inside the transaction:
    // behind a pooler the next one may be on another connection.
    let statement = prepared.map_err(Failed::write)?;
    let mut sink = copy::copy(client, &statement, body).await?;
    let (copied, inserted) = join(sink.as_mut().finish(), affected(client, &stage.insert)).await;
    copied.map_err(Failed::write)?;
    inserted.map_err(Failed::write)
}

/// Runs a statement without parameters; how many rows it affected.
async fn affected(client: &Client, text: &str) -> Result<u64, Error> {
    let messages = client.simple_query(text).await?;
    let count = messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    Ok(count.unwrap_or(0))
}
