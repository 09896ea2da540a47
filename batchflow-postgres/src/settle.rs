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
pub(crate) const LOOKS: u32 = 10;

/// How long between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(30);

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
    let server = server(client, started).await?;
    for _ in 0..LOOKS {
        let found = status(client, started).await?;
        // Asked twice: it may have ended between the two questions.
        if (server, found) == (Server::InDoubt, Status::InProgress)
            && !is_run_by_its_backend(client, started).await?
            && status(client, started).await? == Status::InProgress
        {
            return Ok(Settled::NotApplied);
        }
        match judge(found, server) {
            Settled::Running => {
                terminate(client, started).await;
                tokio::time::sleep(PAUSE).await;
            }
            settled => return Ok(settled),
        }
    }
    Ok(Settled::Running)
}

/// Which server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// The one that the transaction ran on.
    Same,
    /// The same, but it crashed since, or somebody has emptied its statistics.
    InDoubt,
    /// Another one, or the same started anew.
    Other,
}

fn judge(status: Status, server: Server) -> Settled {
    match status {
        Status::Committed if server == Server::Same => Settled::Committed,
        // The id may have been given again.
        Status::Committed | Status::Forgotten => Settled::Unknown,
        Status::InProgress if server != Server::Other => Settled::Running,
        // Its own backend ended with its server.
        Status::InProgress | Status::Aborted | Status::Unused => Settled::NotApplied,
    }
}

/// Whether the transaction's own backend is still at it. After a crash its id may be another's.
async fn is_run_by_its_backend(client: &Client, started: &Started) -> Result<bool, WriteError> {
    let Started { pid, xid, .. } = started;
    let text = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = {pid} \
         AND backend_xid = '{xid}'::pg_catalog.xid8::pg_catalog.xid)"
    );
    let row = ask(client, &text).await.map_err(|error| translate(&error, Stage::Settle, None))?;
    Ok(row.first().is_some_and(|value| value.as_deref() == Some("t")))
}

/// Whether this is the server that the transaction ran on, and it has not crashed since. A crash
/// empties the statistics, which notes the time; so does `pg_stat_reset_shared`.
async fn server(client: &Client, started: &Started) -> Result<Server, WriteError> {
    let Started { server: began, at, .. } = started;
    let text = format!(
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.encode(pg_catalog.timestamptz_send(\
         pg_catalog.pg_postmaster_start_time()), 'hex') = '{began}', pg_catalog.timestamptz_send(\
         pg_catalog.pg_stat_get_bgwriter_stat_reset_time()) < pg_catalog.decode('{at}', 'hex')"
    );
    let row = ask(client, &text).await.map_err(|error| translate(&error, Stage::Settle, None))?;
    let is = |at: usize| row.get(at).is_some_and(|value| value.as_deref() == Some("t"));
    if is(0) {
        // It may not have heard yet.
        let error = WriteError::new(ErrorKind::ReadOnly).at(Stage::Settle);
        return Err(error.with_message("a standby cannot tell"));
    }
    Ok(match (is(1), is(2)) {
        (true, true) => Server::Same,
        (true, false) => Server::InDoubt,
        (false, _) => Server::Other,
    })
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
pub(crate) async fn ask(
    client: &Client,
    text: &str,
) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
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
    #![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::transaction::Begin;
    use crate::unit::{clean_up, column, connect, run};

    /// Begins a transaction as an attempt does.
    async fn begin(client: &Client) -> Started {
        let begin = Begin::new(None);
        begin.send(client).await.unwrap();
        begin.started().cloned().unwrap()
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_8_a_transaction_that_runs_is_ended_and_then_not_applied() {
        let (client, other) = (connect().await, connect().await);
        run(&client, "CREATE TABLE t (id int8)").await;
        let schema = column(&client, "SELECT current_schema()").await.unwrap();
        let schema = schema[0].clone().unwrap();
        let started = begin(&client).await;
        run(&client, "INSERT INTO t VALUES (1)").await;
        assert_eq!(settle(&other, &started).await.unwrap(), Settled::NotApplied);
        assert!(client.batch_execute("COMMIT").await.is_err(), "its backend has ended");
        let sql = format!("SELECT count(*) FROM {schema}.t");
        assert_eq!(column(&other, &sql).await.unwrap(), [Some("0".to_owned())]);
        run(&other, &format!("DROP SCHEMA {schema} CASCADE")).await;
        clean_up(other).await;
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_8_what_its_backend_does_later_is_left_alone() {
        let (client, other) = (connect().await, connect().await);
        run(&client, "CREATE TABLE t (id int8)").await;
        let kept = begin(&client).await;
        run(&client, "INSERT INTO t VALUES (1); COMMIT").await;
        let undone = begin(&client).await;
        run(&client, "INSERT INTO t VALUES (2); ROLLBACK").await;
        let later = begin(&client).await;
        run(&client, "INSERT INTO t VALUES (3)").await;
        assert_eq!(settle(&other, &kept).await.unwrap(), Settled::Committed);
        assert_eq!(settle(&other, &undone).await.unwrap(), Settled::NotApplied);
        // Nobody has had this number, and neither ends who shares the backend.
        let unused = Started { xid: later.xid + 1_000_000, ..later.clone() };
        assert_eq!(settle(&other, &unused).await.unwrap(), Settled::NotApplied);
        run(&client, "COMMIT").await;
        assert_eq!(settle(&other, &later).await.unwrap(), Settled::Committed);
        // To this number the server says nothing, as it does to one that it has forgotten.
        let forgotten = Started { xid: 0, ..kept.clone() };
        assert_eq!(settle(&other, &forgotten).await.unwrap(), Settled::Unknown);
        // By another server's start it is another server.
        let elsewhere = Started { server: "00".to_owned(), ..kept };
        assert_eq!(settle(&other, &elsewhere).await.unwrap(), Settled::Unknown);
        let found = column(&client, "SELECT id FROM t ORDER BY id").await.unwrap();
        assert_eq!(found, [Some("1".to_owned()), Some("3".to_owned())]);
        clean_up(client).await;
        clean_up(other).await;
    }

    /// As after `pg_stat_reset_shared` on a server that is well: the statistics are younger than
    /// the transaction seems to be.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_8_a_commit_that_hangs_is_running_though_the_statistics_were_emptied() {
        let (client, other) = (connect().await, connect().await);
        let started = Started { at: "00".repeat(8), ..begin(&client).await };
        assert_eq!(server(&other, &started).await.unwrap(), Server::InDoubt);
        assert!(is_run_by_its_backend(&other, &started).await.unwrap());
        // After a crash another may have the number; its own backend is gone.
        let reused = Started { pid: started.pid + 1_000_000, ..started };
        assert!(!is_run_by_its_backend(&other, &reused).await.unwrap());
        assert_eq!(settle(&other, &reused).await.unwrap(), Settled::NotApplied);
        run(&client, "ROLLBACK").await;
        clean_up(client).await;
        clean_up(other).await;
    }

    #[test]
    fn only_the_same_server_is_believed_that_a_commit_was_ours() {
        use Status::{Aborted, Committed, Forgotten, InProgress, Unused};
        let cases = [
            (Committed, Settled::Committed, Settled::Unknown, Settled::Unknown),
            (Aborted, Settled::NotApplied, Settled::NotApplied, Settled::NotApplied),
            (InProgress, Settled::Running, Settled::Running, Settled::NotApplied),
            (Forgotten, Settled::Unknown, Settled::Unknown, Settled::Unknown),
            (Unused, Settled::NotApplied, Settled::NotApplied, Settled::NotApplied),
        ];
        for (status, same, in_doubt, other) in cases {
            assert_eq!(judge(status, Server::Same), same, "{status:?}");
            assert_eq!(judge(status, Server::InDoubt), in_doubt, "{status:?}");
            assert_eq!(judge(status, Server::Other), other, "{status:?}");
        }
    }
}
