//! What became of a commit whose answer never came: asked of the server by the transaction's id.
//!
//! A server that crashed may have lost the last transactions of its log, and then gives their ids
//! to others; so does a standby that was promoted without them. So what the id says is believed
//! whole only by the server that gave it, and if that has not crashed since. After a crash or a
//! failover it is still certain that a transaction was *not* committed: one that was is in the log,
//! and its id is never given again.

use std::time::Duration;

use batchflow_core::{ErrorKind, Settled, Stage, WriteError};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::error::translate;
use crate::fence::terminate;
use crate::transaction::Started;

/// How often a transaction that is being ended is looked at before core is told that it runs.
const LOOKS: u32 = 10;

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(30);

/// What the server says about a transaction's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Committed,
    Aborted,
    InProgress,
    /// So old that nothing is kept of it.
    Forgotten,
    /// No transaction has had it.
    Unused,
}

/// Asks on a connection that is not the transaction's own. One that still runs is ended, unless it
/// is about to commit.
pub(crate) async fn settle(client: &Client, started: &Started) -> Result<Settled, WriteError> {
    let same_server = is_same_server(client, started).await?;
    for _ in 0..LOOKS {
        match judge(status(client, started).await?, same_server) {
            Settled::Running => {
                terminate(client, started).await;
                tokio::time::sleep(PAUSE).await;
            }
            settled => return Ok(settled),
        }
    }
    Ok(Settled::Running)
}

fn judge(status: Status, same_server: bool) -> Settled {
    match status {
        Status::Committed if same_server => Settled::Committed,
        // The id may have been given again.
        Status::Committed | Status::Forgotten => Settled::Unknown,
        Status::InProgress if same_server => Settled::Running,
        // Its own backend ended with its server.
        Status::InProgress | Status::Aborted | Status::Unused => Settled::NotApplied,
    }
}

/// Whether this is the server that the transaction ran on, and it has not crashed since. A crash
/// empties the statistics, which notes the time.
async fn is_same_server(client: &Client, started: &Started) -> Result<bool, WriteError> {
    let Started { server, at, .. } = started;
    let text = format!(
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.encode(pg_catalog.timestamptz_send(\
         pg_catalog.pg_postmaster_start_time()), 'hex') = '{server}', pg_catalog.timestamptz_send(\
         pg_catalog.pg_stat_get_bgwriter_stat_reset_time()) < pg_catalog.decode('{at}', 'hex')"
    );
    let row = ask(client, &text).await.map_err(|error| translate(&error, Stage::Settle, None))?;
    let is = |at: usize| row.get(at).is_some_and(|value| value.as_deref() == Some("t"));
    if is(0) {
        // It may not have heard yet.
        let error = WriteError::new(ErrorKind::ReadOnly).at(Stage::Settle);
        return Err(error.with_message("a standby cannot tell"));
    }
    Ok(is(1) && is(2))
}

async fn status(client: &Client, started: &Started) -> Result<Status, WriteError> {
    let text = format!("SELECT pg_catalog.pg_xact_status('{}'::pg_catalog.xid8)", started.xid);
    match ask(client, &text).await {
        Ok(row) => match row.first().and_then(Option::as_deref) {
            Some("committed") => Ok(Status::Committed),
            Some("aborted") => Ok(Status::Aborted),
            Some("in progress") => Ok(Status::InProgress),
            _ => Ok(Status::Forgotten),
        },
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
            Ok(Status::Unused)
        }
        Err(error) => Err(translate(&error, Stage::Settle, None)),
    }
}

/// The first row of an answer, as text.
async fn ask(client: &Client, text: &str) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
    let messages = client.simple_query(text).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let Some(row) = row else { return Ok(Vec::new()) };
    (0..row.len()).map(|at| Ok(row.try_get(at)?.map(str::to_owned))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_server_is_believed_that_a_commit_was_ours() {
        use Status::{Aborted, Committed, Forgotten, InProgress, Unused};
        let cases = [
            (Committed, Settled::Committed, Settled::Unknown),
            (Aborted, Settled::NotApplied, Settled::NotApplied),
            (InProgress, Settled::Running, Settled::NotApplied),
            (Forgotten, Settled::Unknown, Settled::Unknown),
            (Unused, Settled::NotApplied, Settled::NotApplied),
        ];
        for (status, same, other) in cases {
            assert_eq!(judge(status, true), same, "{status:?}");
            assert_eq!(judge(status, false), other, "{status:?}");
        }
    }
}
