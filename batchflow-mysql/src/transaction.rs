//! One attempt: write, commit; and what is known when it fails.
//!
//! A session writes in transactions, so a batch takes two round trips: the write, which begins one,
//! and the commit. Until the commit is sent nothing can be applied, whatever becomes of the
//! connection. From then on a lost answer leaves the batch unknown, with a token to ask by.

use std::time::Duration;

use batchflow_core::{Attempt, Batch, CommitToken, ErrorKind, Stage, WriteError};
use mysql_async::Error;
use mysql_async::prelude::Queryable as _;
use tokio::time::{Instant, timeout};

use crate::error::translate;
use crate::fence::{Fences, Whom};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::session::{Limit, Session};
use crate::settle::Started;
use crate::verdict::refuses_commit;
use crate::way::{Failed, Payload};

/// How long the end of a failed transaction is waited for.
const ROLLBACK: Duration = Duration::from_secs(5);

/// What an attempt has of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    began: Instant,
    deadline: Option<Instant>,
}

impl Time {
    pub(crate) fn of(attempt: &Attempt) -> Self {
        Self { began: Instant::now(), deadline: attempt.deadline() }
    }

    /// The earlier of the deadline and so long from now.
    pub(crate) fn within(&self, most: Duration) -> Instant {
        let most = Instant::now() + most;
        self.deadline.map_or(most, |deadline| deadline.min(most))
    }

    /// What the server gives one statement.
    fn limit(&self) -> Limit {
        Limit::of(self.deadline.map(|end| end.saturating_duration_since(Instant::now())))
    }

    /// How long a stopped attempt may take to end: less than the executor's grace, which is as
    /// long as the attempt was given, 5 seconds at most.
    fn grace(&self) -> Duration {
        let most = Duration::from_secs(5);
        let given = self.deadline.map_or(most, |deadline| (deadline - self.began).min(most));
        given.mul_f32(0.6)
    }

    /// Resolves with the reason when the attempt has to stop.
    pub(crate) async fn stopped(&self, attempt: &Attempt) -> WriteError {
        let over = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = attempt.cancelled() => self.why(),
            () = over => self.why(),
        }
    }

    fn why(&self) -> WriteError {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            WriteError::new(ErrorKind::Timeout).with_message("the attempt's deadline is over")
        } else {
            WriteError::new(ErrorKind::Cancelled).with_message("the attempt was cancelled")
        }
    }
}

/// Why an attempt has written nothing, or nobody knows.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The server refused it, and it was rolled back.
    Refused(Failed),
    /// Anything else.
    Error(WriteError),
}

impl From<WriteError> for Ended {
    fn from(error: WriteError) -> Self {
        Self::Error(error)
    }
}

/// One batch on its way.
pub(crate) struct Transaction<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) batch: &'a Batch,
    pub(crate) attempt: &'a Attempt,
    pub(crate) time: Time,
    pub(crate) ledger: Option<&'a Ledger>,
}

impl Transaction<'_> {
    /// Writes the batch, whole or not at all. How many rows the server says it changed.
    pub(crate) async fn run(
        &self,
        payload: Payload,
        fences: &Fences,
        session: Session,
    ) -> Result<u64, Ended> {
        let mut open = Open { session: Some(session), fences, committing: false };
        let sent = {
            let session = open.session()?;
            let send = async {
                session.begin(self.time.limit()).await.map_err(Sent::NotBegun)?;
                let conn = session.conn().map_err(Sent::Error)?;
                payload.send(conn, self.plan).await.map_err(Sent::Failed)
            };
            tokio::select! {
                biased;
                why = self.time.stopped(self.attempt) => Err(Sent::Stopped(why)),
                sent = send => sent,
            }
        };
        let affected = match sent {
            Ok(affected) => affected,
            Err(Sent::Failed(failed)) => return Err(open.roll_back(failed).await),
            Err(Sent::NotBegun(error)) => {
                open.end().await;
                return Err(Ended::Error(translate(&error, Stage::Connect, None)));
            }
            Err(Sent::Stopped(why)) => {
                open.fence(self.time.grace()).await;
                return Err(Ended::Error(why));
            }
            Err(Sent::Error(error)) => return Err(Ended::Error(error)),
        };
        self.commit(open).await.map(|()| affected).map_err(Ended::Error)
    }

    async fn commit(&self, mut open: Open<'_>) -> Result<(), WriteError> {
        let session = open.session()?;
        let page = session.turn_page();
        // Before it can become durable.
        self.attempt.record(CommitToken::new(Started { whom: Whom::of(session), page }));
        open.committing = true;
        let answer = {
            let conn = open.session()?.conn()?;
            let mut commit = std::pin::pin!(async {
                let Some(ledger) = self.ledger else {
                    return conn.query_drop("COMMIT").await.map_err(NotCommitted::Commit);
                };
                let both = format!("{}; COMMIT", ledger.note(page));
                let first = conn.query_iter(both).await.map_err(|error| match error {
                    // What follows a statement that fails is not run.
                    Error::Server(_) => NotCommitted::Note(error),
                    lost => NotCommitted::Commit(lost),
                })?;
                first.drop_result().await.map_err(NotCommitted::Commit)
            });
            tokio::select! {
                biased;
                answer = &mut commit => Some(answer),
                // A commit is never cancelled: one that waits for a replica would then return
                // without it.
                _ = self.time.stopped(self.attempt) => {
                    timeout(self.time.grace(), commit).await.ok()
                }
            }
        };
        match answer {
            Some(Ok(())) => {
                open.committing = false;
                if let Some(ledger) = self.ledger
                    && !ledger.purge(open.session()?.conn()?, page).await
                {
                    open.discard();
                    return Ok(());
                }
                open.give_back().await;
                Ok(())
            }
            Some(Err(NotCommitted::Note(error))) => {
                open.committing = false;
                let told = match self.ledger {
                    Some(ledger) => ledger.place(&error, Stage::Write),
                    None => translate(&error, Stage::Write, None),
                };
                open.end().await;
                Err(told)
            }
            Some(Err(NotCommitted::Commit(error))) => {
                let about = Some((self.batch, &*self.plan.table));
                if refuses_commit(&error) {
                    open.committing = false;
                    // At this stage it would be in doubt.
                    let told = translate(&error, Stage::Write, about);
                    open.end().await;
                    return Err(told.at(Stage::Commit));
                }
                open.discard();
                Err(translate(&error, Stage::Commit, about).still_running())
            }
            None => {
                open.discard();
                let error = WriteError::new(ErrorKind::Timeout).at(Stage::Commit);
                Err(error.with_message("the commit was not answered in time").still_running())
            }
        }
    }
}

/// Why a batch was not written up to its commit.
enum Sent {
    NotBegun(Error),
    Failed(Failed),
    Stopped(WriteError),
    Error(WriteError),
}

/// What was answered with an error.
enum NotCommitted {
    /// Noting the batch in the ledger: the commit was not run.
    Note(Error),
    Commit(Error),
}

/// A session with a transaction open. Dropped in the middle, it is fenced and never used again.
struct Open<'a> {
    session: Option<Session>,
    fences: &'a Fences,
    committing: bool,
}

impl Open<'_> {
    fn session(&mut self) -> Result<&mut Session, WriteError> {
        self.session.as_mut().ok_or_else(|| WriteError::new(ErrorKind::Internal))
    }

    /// The transaction has ended, and the session is as it was.
    async fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            session.give_back().await;
        }
    }

    fn discard(mut self) {
        drop(self.session.take());
    }

    /// Ends a transaction that the server has refused, and gives the session back if it can be
    /// used again. A session that was lost may still run: it is ended, and its locks with it.
    async fn end(mut self) {
        let Ok(session) = self.session() else { return };
        if roll_back(session).await {
            self.give_back().await;
        }
    }

    async fn roll_back(self, failed: Failed) -> Ended {
        self.end().await;
        Ended::Refused(failed)
    }

    /// Ends what is running, and waits for that so long.
    async fn fence(mut self, grace: Duration) {
        let Some(session) = self.session.take() else { return };
        if let Some(ended) = self.fences.end(session) {
            // Nothing was committed and nothing will be: that it goes on is no danger, only a
            // nuisance to who needs its locks.
            let _ = timeout(grace, ended).await;
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        // A commit is left to be settled.
        if !self.committing {
            self.fences.end(session);
        }
    }
}

/// Whether the session's transaction was rolled back, and the session can be used again.
pub(crate) async fn roll_back(session: &mut Session) -> bool {
    let Ok(conn) = session.conn() else { return false };
    if conn.is_disconnected() {
        return false;
    }
    matches!(timeout(ROLLBACK, conn.query_drop("ROLLBACK")).await, Ok(Ok(())))
}
