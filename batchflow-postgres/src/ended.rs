//! What became of a statement that was a transaction of its own, and whose answer never came: nobody
//! can tell whether it was applied, but its backend can be ended, and seen gone.
//!
//! Nothing of it arrives later, then: what may still be on its way runs on that backend alone, by
//! the [mark](crate::connect::Identity) that it asks for.

use std::sync::Arc;

use batchflow_core::{ErrorKind, Settled, Stage, WriteError};
use tokio_postgres::Client;

use crate::connect::Identity;
use crate::error::translate;
use crate::settle::{LOOKS, PAUSE, ask};

/// A statement that was sent: what its fate is asked by.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) backend: Arc<Identity>,
    pub(crate) text: Arc<str>,
}

/// How a statement's backend is found by another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It has ended, or its whole server has.
    Gone,
    There,
}

/// Asks on a connection that is not the statement's own. A backend that is there is ended, unless
/// it commits or does somebody else's work.
pub(crate) async fn settle(client: &Client, sent: &Sent) -> Result<Settled, WriteError> {
    for _ in 0..LOOKS {
        if find(client, &sent.backend).await? == Found::Gone {
            return Ok(Settled::Unknown);
        }
        // That it was refused, the next look tells.
        let _ = client.simple_query(&terminate(sent)).await;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Settled::Running)
}

/// Asks the server to cancel the statement, if it runs and does not commit. Whether it was asked.
pub(crate) async fn cancel(client: &Client, sent: &Sent) -> bool {
    let Identity { pid, began, .. } = &*sent.backend;
    let text = format!(
        "SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE pid = {pid} AND {} AND state = 'active' AND {DOES_NOT_COMMIT}",
        is_of(began)
    );
    // Where the answer is lost, it may have been.
    ask(client, &text).await.map_or(true, |row| !row.is_empty())
}

/// Whether a backend is seen not to commit. A commit that waits for a standby, or is about to, would
/// end without it. Where there are standbys to wait for, what neither idles nor waits for a lock or
/// for time to pass is left to the server's own limit, which ends no commit.
const DOES_NOT_COMMIT: &str = "wait_event IS DISTINCT FROM 'SyncRep' \
     AND (state = 'idle' OR wait_event_type IN ('Lock', 'Client', 'Timeout') \
     OR pg_catalog.current_setting('synchronous_standby_names') = '')";

/// A backend's number is used again, its start is not.
fn is_of(began: &str) -> String {
    format!("pg_catalog.encode(pg_catalog.timestamptz_send(backend_start), 'hex') = '{began}'")
}

/// What a backend does that is not this statement is not ours: then it serves others too, and is
/// waited for.
fn terminate(sent: &Sent) -> String {
    let Identity { pid, began, .. } = &*sent.backend;
    format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE pid = {pid} AND {} AND {DOES_NOT_COMMIT} \
         AND (state IN ('idle', 'disabled') OR pg_catalog.starts_with({}, query))",
        is_of(began),
        literal(&sent.text)
    )
}

async fn find(client: &Client, backend: &Identity) -> Result<Found, WriteError> {
    let Identity { pid, began, server, .. } = backend;
    let text = format!(
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.encode(pg_catalog.timestamptz_send(\
         pg_catalog.pg_postmaster_start_time()), 'hex') = '{server}', \
         EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = {pid} \
         AND (backend_start IS NULL OR {}))",
        is_of(began)
    );
    let row = ask(client, &text).await.map_err(|error| translate(&error, Stage::Settle, None))?;
    let says = |at: usize| row.get(at).and_then(Option::as_deref);
    match (says(0), says(1), says(2)) {
        (Some("f"), Some("f"), _) | (Some("f"), Some("t"), Some("f")) => Ok(Found::Gone),
        (Some("f"), Some("t"), Some("t")) => Ok(Found::There),
        (Some("t"), ..) => {
            // It may have taken over, and not know it yet.
            let error = WriteError::new(ErrorKind::ReadOnly).at(Stage::Settle);
            Err(error.with_message("a standby cannot tell"))
        }
        _ => {
            let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Settle);
            Err(error.with_message("the server answers as no PostgreSQL does"))
        }
    }
}

/// A text that means the same whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::connect::Backend;
    use crate::unit::{clean_up, column, connect, is_pooled, run};

    const TEXT: &str = "SELECT 'it''s', E'a\\'";

    async fn sent(client: &Client) -> Sent {
        let backend = Backend::new(Arc::new(AtomicBool::new(true)));
        let identity = backend.identify(client, None).await.unwrap().unwrap();
        Sent { backend: identity, text: TEXT.into() }
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_8_a_backend_that_may_still_write_is_ended_and_seen_gone() {
        if is_pooled() {
            return;
        }
        let (client, other) = (connect().await, connect().await);
        let sent = sent(&client).await;
        // Idle, or at this very statement: it may not have arrived yet, or wait for a lock.
        assert_eq!(settle(&other, &sent).await.unwrap(), Settled::Unknown);
        assert!(client.simple_query("SELECT 1").await.is_err(), "its backend has ended");
        assert_eq!(settle(&other, &sent).await.unwrap(), Settled::Unknown, "and stays so");
        clean_up(other).await;
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_8_a_backend_that_does_others_work_is_waited_for_and_not_ended() {
        if is_pooled() {
            return;
        }
        let (client, other) = (connect().await, connect().await);
        let sent = sent(&client).await;
        run(&client, "BEGIN; CREATE TABLE t (id int8)").await;
        assert_eq!(settle(&other, &sent).await.unwrap(), Settled::Running);
        run(&client, "INSERT INTO t VALUES (1); COMMIT").await;
        let found = column(&client, "SELECT id FROM t").await.unwrap();
        assert_eq!(found, [Some("1".to_owned())]);
        // Its number alone says nothing: another may have it by now.
        let identity = Identity { began: "00".repeat(8), ..(*sent.backend).clone() };
        let gone = Sent { backend: Arc::new(identity), ..sent.clone() };
        assert_eq!(settle(&other, &gone).await.unwrap(), Settled::Unknown);
        // Nor does it on another server.
        let identity = Identity { server: "00".to_owned(), ..(*sent.backend).clone() };
        let elsewhere = Sent { backend: Arc::new(identity), ..sent };
        assert_eq!(settle(&other, &elsewhere).await.unwrap(), Settled::Unknown);
        run(&client, "SELECT 1").await;
        clean_up(client).await;
        clean_up(other).await;
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_9_only_what_runs_is_cancelled() {
        if is_pooled() {
            return;
        }
        let (client, other) = (connect().await, connect().await);
        let sent = sent(&client).await;
        assert!(!cancel(&other, &sent).await, "it is idle");
        let cancelling = async {
            while !cancel(&other, &sent).await {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let sleeping = client.simple_query("SELECT pg_sleep(60)");
        let (answer, ()) = futures_util::future::join(sleeping, cancelling).await;
        let code = answer.unwrap_err().code().cloned();
        assert_eq!(code, Some(tokio_postgres::error::SqlState::QUERY_CANCELED));
        clean_up(client).await;
        clean_up(other).await;
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn a_text_means_the_same_whatever_the_session_says_of_backslashes() {
        let client = connect().await;
        for conforming in ["on", "off"] {
            let ask =
                format!("SET standard_conforming_strings = {conforming}; SELECT {}", literal(TEXT));
            let found = column(&client, &ask).await.unwrap();
            assert_eq!(found, [Some(TEXT.to_owned())], "{conforming}");
        }
        clean_up(client).await;
    }
}
