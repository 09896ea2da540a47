//! MariaDB's bulk command: many rows of parameters to one prepared row.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Statement, Value};

use super::Failed;
use crate::plan::Plan;

/// Sends so many rows a packet, each packet with the types of its own values: the client would
/// take those of a second packet for the first's.
pub(super) async fn send(
    conn: &mut Conn,
    plan: &Plan,
    values: Vec<Value>,
    packets: &[usize],
) -> Result<u64, Failed> {
    let width = plan.columns.len();
    let statement = conn.prep(plan.texts.row.as_str()).await;
    let statement = statement.map_err(|error| Failed::Write(error, None))?;
    let sent = send_prepared(conn, &statement, width, values, packets).await;
    if conn.opts().stmt_cache_size() == 0 {
        // A given pool's client that keeps none: nobody else would close it.
        let closed = conn.close(statement).await;
        return sent.and_then(|affected| {
            closed.map(|()| affected).map_err(|error| Failed::Write(error, None))
        });
    }
    sent
}

async fn send_prepared(
    conn: &mut Conn,
    statement: &Statement,
    width: usize,
    values: Vec<Value>,
    packets: &[usize],
) -> Result<u64, Failed> {
    let mut values = values.into_iter();
    let (mut first, mut affected) = (0, 0);
    for &rows in packets {
        let row = |_| Params::Positional(values.by_ref().take(width).collect());
        let sent = conn.exec_batch(statement, (0..rows).map(row)).await;
        sent.map_err(|error| Failed::Write(error, Some((first, rows))))?;
        affected += conn.affected_rows();
        first += rows;
    }
    Ok(affected)
}
