//! One attempt: begin, write, commit; and what is known when it fails.
//!
//! A batch takes two round trips: the beginning with the write behind it, then the commit. Until
//! the commit is sent nothing can be applied, whatever becomes of the connection. From then on a
//! lost answer leaves the batch unknown, with a token to ask by.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use batchflow_core::{Attempt, Batch, CommitToken, Deadline, ErrorKind, Stage, WriteError};
use tokio::time::{Instant, timeout};
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::{Client, Error, SimpleQueryMessage, SimpleQueryRow};

use crate::connect::Lease;
use crate::error::translate;
use crate::fence::{Doing, Fences};
use crate::plan::Plan;
use crate::statement::MARK;
use crate::way::{Failed, Payload};

/// What the server said about a transaction as it began: what its fate is asked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) pid: i32,
    pub(crate) xid: u64,
    /// When the server was started, which no other server shares; in hexadecimal.
    pub(crate) server: String,
    /// When the transaction began by the server's clock; in hexadecimal.
    pub(crate) at: String,
}

impl Started {
    fn read(row: &SimpleQueryRow) -> Option<Self> {
        let hexadecimal = |at| {
            let text: &str = row.try_get(at).ok()??;
            text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| text.to_owned())
        };
        Some(Self {
            pid: row.try_get(0).ok()??.parse().ok()?,
            xid: row.try_get(1).ok()??.parse().ok()?,
            server: hexadecimal(2)?,
            at: hexadecimal(3)?,
        })
    }
}

/// The beginning of a transaction.
#[derive(Debug)]
pub(crate) struct Begin {
    text: String,
    started: OnceLock<Started>,
}

impl Begin {
    /// The server ends a statement a little before `deadline`, so that its answer still arrives.
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        let mut text = format!(
            "BEGIN; SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_current_xact_id(), \
             pg_catalog.encode(pg_catalog.timestamptz_send(\
             pg_catalog.pg_postmaster_start_time()), 'hex'), \
             pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.now()), 'hex'), \
             pg_catalog.set_config('{MARK}', 'on', true)"
        );
        if let Some(deadline) = deadline {
            let limit = statement_timeout(deadline);
            // Writing to a string cannot fail.
            let _ = write!(text, ", pg_catalog.set_config('statement_timeout', '{limit}', true)");
        }
        Self { text, started: OnceLock::new() }
    }

    /// The server ends no statement but by its own rule, whatever the session was told.
    fn unlimited() -> Self {
        let mut begin = Self::new(None);
        begin.text.push_str(", pg_catalog.set_config('statement_timeout', NULL, true)");
        begin
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What the server said, once it has.
    pub(crate) fn started(&self) -> Option<&Started> {
        self.started.get()
    }

    pub(crate) async fn send(&self, client: &Client) -> Result<(), Failed> {
        let messages = client.simple_query(&self.text).await.map_err(Failed::Begin)?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Started::read(row),
            _ => None,
        });
        self.started.set(row.ok_or(Failed::Unreadable)?).map_err(|_| Failed::Unreadable)
    }
}

/// What a statement is given on the server, in milliseconds: a little less than is left.
pub(crate) fn statement_timeout(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    let margin = (left / 10).min(Duration::from_millis(500));
    u64::try_from(left.saturating_sub(margin).as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, 2_147_483_647)
}

/// The beginning of a transaction that only looks; each of its statements ends by `deadline`.
pub(crate) fn begin_to_read(deadline: Instant) -> String {
    let limit = statement_timeout(deadline);
    format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}")
}

/// Whether the server takes no writes: it is a standby, or was told to.
pub(crate) fn is_read_only(failed: &Failed) -> bool {
    failed.error().and_then(Error::code) == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Why an attempt has written nothing, or nobody knows.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The server refused it, and it was rolled back.
    Refused(Failed),
    /// Anything else.
    Error(WriteError),
}

/// What is to be sent, and by when.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) batch: &'a Batch,
    pub(crate) payload: &'a Payload,
    pub(crate) attempt: &'a Attempt,
    pub(crate) deadline: Deadline,
}

/// One batch on its way.
pub(crate) struct Transaction<'a> {
    pub(crate) of: Sending<'a>,
    /// Whether the session limits its statements, which one without a deadline is not to be.
    pub(crate) is_limited: bool,
}

impl Transaction<'_> {
    /// Writes the batch, whole or not at all. How many rows the server says it changed.
    pub(crate) async fn run(
        &self,
        fences: &Arc<Fences>,
        lease: Box<dyn Lease>,
    ) -> Result<u64, Ended> {
        let begin = match self.of.attempt.deadline() {
            None if self.is_limited => Begin::unlimited(),
            deadline => Begin::new(deadline),
        };
        let begin = Arc::new(begin);
        let open = Open { lease: Some(lease), begin, fences, committing: false };
        let sent = {
            let send = self.of.payload.send(open.client()?, self.of.plan, &open.begin);
            tokio::select! {
                biased;
                why = self.of.deadline.stopped(self.of.attempt) => Err(why),
                sent = send => Ok(sent),
            }
        };
        let affected = match sent {
            Ok(Ok(affected)) => affected,
            Ok(Err(failed)) => return Err(open.roll_back(failed, self.of.deadline.grace()).await),
            Err(why) => {
                open.fence(self.of.deadline.grace()).await;
                return Err(Ended::Error(why));
            }
        };
        let started = open.begin.started().cloned();
        let started = started.ok_or_else(|| Ended::Error(unreadable()))?;
        self.commit(open, started).await.map(|()| affected).map_err(Ended::Error)
    }

    async fn commit(&self, mut open: Open<'_>, started: Started) -> Result<(), WriteError> {
        // Before it can become durable.
        self.of.attempt.record(CommitToken::new(started));
        open.committing = true;
        let answer = {
            let mut commit = std::pin::pin!(open.client()?.batch_execute("COMMIT"));
            tokio::select! {
                biased;
                answer = &mut commit => Some(answer),
                // A commit is never cancelled: one that waits for a standby would then return
                // without it.
                _ = self.of.deadline.stopped(self.of.attempt) => {
                    timeout(self.of.deadline.grace(), commit).await.ok()
                }
            }
        };
        match answer {
            Some(Ok(())) => {
                open.give_back();
                Ok(())
            }
            Some(Err(error)) => {
                let told =
                    translate(&error, Stage::Commit, Some((self.of.batch, &self.of.plan.table)));
                if refuses_commit(&error) {
                    open.give_back();
                    Err(told)
                } else {
                    open.discard();
                    Err(told.still_running())
                }
            }
            None => {
                open.discard();
                let error = WriteError::new(ErrorKind::Timeout).at(Stage::Commit);
                Err(error.with_message("the commit was not answered in time").still_running())
            }
        }
    }
}

/// Whether the answer to a COMMIT says for certain that nothing was committed.
pub(crate) fn refuses_commit(error: &Error) -> bool {
    let Some(error) = error.as_db_error() else { return false };
    let class = error.code().code().get(..2).unwrap_or_default();
    // What ends a session may end it after the commit; a pooler's own errors are of class 08.
    error.parsed_severity() == Some(Severity::Error)
        && !matches!(class, "08" | "57" | "58" | "XX" | "")
}

fn unreadable() -> WriteError {
    let error = WriteError::new(ErrorKind::Unsupported);
    error.with_message("the server answers BEGIN as no PostgreSQL does")
}

/// A connection with a transaction open. Dropped in the middle, it is fenced and never used again.
struct Open<'a> {
    lease: Option<Box<dyn Lease>>,
    begin: Arc<Begin>,
    fences: &'a Arc<Fences>,
    committing: bool,
}

impl Open<'_> {
    fn client(&self) -> Result<&Client, WriteError> {
        match &self.lease {
            Some(lease) => Ok(lease.client()),
            None => Err(WriteError::new(ErrorKind::Internal)),
        }
    }

    /// The transaction has ended, and the connection is as it was.
    fn give_back(mut self) {
        drop(self.lease.take());
    }

    fn discard(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
    }

    /// Ends a transaction that the server has refused, and waits for that so long.
    async fn roll_back(self, failed: Failed, grace: Duration) -> Ended {
        let ended = match &failed {
            // The server rolls back when the connection ends.
            Failed::Open(_) => false,
            // Another may take writes by now: it is asked which when a connection is opened.
            failed if is_read_only(failed) => false,
            _ => match self.client() {
                Ok(client) => {
                    let rolled_back = timeout(grace, client.batch_execute("ROLLBACK")).await;
                    matches!(rolled_back, Ok(Ok(())))
                }
                Err(error) => return Ended::Error(error),
            },
        };
        if ended {
            self.give_back();
        } else {
            self.discard();
        }
        match failed {
            Failed::Unreadable => Ended::Error(unreadable()),
            failed => Ended::Refused(failed),
        }
    }

    /// Ends what is running, and waits for that so long.
    async fn fence(mut self, grace: Duration) {
        let Some(lease) = self.lease.take() else { return };
        if let Some(ended) = self.fences.end(lease, Doing::Transaction(Arc::clone(&self.begin))) {
            // Nothing was committed and nothing will be: that it goes on is no danger, only a
            // nuisance to who needs its locks.
            let _ = timeout(grace, ended).await;
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        if self.committing {
            lease.discard();
        } else {
            self.fences.end(lease, Doing::Transaction(Arc::clone(&self.begin)));
        }
    }
}

impl From<WriteError> for Ended {
    fn from(error: WriteError) -> Self {
        Self::Error(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_server_is_given_a_little_less_than_the_attempt_has() {
        let cases =
            [(30_000, Some("'29500'")), (1_000, Some("'900'")), (5, Some("'4'")), (0, Some("'1'"))];
        for (left, limit) in cases {
            let begin = Begin::new(Some(Instant::now() + Duration::from_millis(left)));
            let named = begin.text().split("statement_timeout', ").nth(1);
            assert_eq!(named.and_then(|rest| rest.split(',').next()), limit);
        }
        assert!(!Begin::new(None).text().contains("statement_timeout"));
    }
}
