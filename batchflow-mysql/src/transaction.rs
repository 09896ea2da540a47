//! One attempt: write, commit; and what is known when it fails.
//!
//! A batch takes two round trips: the write, which begins a transaction, and the commit; or one,
//! where its statement may be [`alone`](crate::alone). Until the commit is sent nothing can be
//! applied, whatever becomes of the connection. From then on a lost answer leaves the batch unknown,
//! with a token to ask by.

use batchflow_core::{
    Attempt, Batch, CommitToken, ConflictStrategy, Deadline, ErrorKind, Stage, WriteError,
};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};
use tokio::time::timeout;

use crate::error::translate;
use crate::fence::Whom;
use crate::guarded::Guarded;
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::settle::Started;
use crate::verdict::{error_of, refuses_commit};
use crate::way::{Failed, Payload};

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
    pub(crate) deadline: Deadline,
    pub(crate) ledger: Option<&'a Ledger>,
    /// Whether the batch is one statement that may be its own transaction.
    pub(crate) alone: bool,
}

impl Transaction<'_> {
    /// Writes the batch, whole or not at all, in a transaction that has begun or that is its one
    /// statement. How many rows the server says it inserted, where it can tell: an update may count
    /// as two rows, or none.
    pub(crate) async fn run(
        &self,
        payload: Payload,
        mut open: Guarded<'_>,
    ) -> Result<Option<u64>, Ended> {
        if self.alone && open.session()?.is_autocommit() {
            return self.run_alone(payload, open).await;
        }
        if open.session()?.is_autocommit() {
            // Each of its statements would commit itself.
            open.discard();
            let error = WriteError::new(ErrorKind::Internal).at(Stage::Write);
            return Err(Ended::Error(error.with_message("no transaction has begun")));
        }
        let affected = match self.send(payload, open.session()?.conn()?).await {
            Ok(affected) => affected,
            Err(Sent::Failed(failed)) => {
                open.end(Some(error_of(&failed)), self.deadline.grace()).await;
                return Err(Ended::Refused(failed));
            }
            Err(Sent::Stopped(why)) => {
                open.fence(self.deadline.grace()).await;
                return Err(Ended::Error(why));
            }
        };
        self.commit(open).await.map(|()| affected).map_err(Ended::Error)
    }

    /// Sends the batch's statements, as long as the attempt lasts.
    pub(crate) async fn send(
        &self,
        payload: Payload,
        conn: &mut Conn,
    ) -> Result<Option<u64>, Sent> {
        let send = async {
            let affected = payload.send(conn, self.plan).await.map_err(Sent::Failed)?;
            let strategy = self.batch.schema().strategy();
            let counts = matches!(strategy, ConflictStrategy::Fail | ConflictStrategy::Ignore)
                && !conn.opts().client_found_rows();
            Ok(counts.then_some(affected))
        };
        tokio::select! {
            biased;
            why = self.deadline.stopped(self.attempt) => Err(Sent::Stopped(why)),
            sent = send => sent,
        }
    }

    async fn commit(&self, mut open: Guarded<'_>) -> Result<(), WriteError> {
        let session = open.session()?;
        let page = session.turn_page();
        // Into autocommit, for the next batch.
        let changes = self.alone
            && session.habit().is_some_and(|habit| {
                habit.note_alone();
                habit.wants_autocommit()
            });
        // Before it can become durable.
        let whom = Whom::of(session);
        self.attempt.record(CommitToken::new(Started { whom, page: Some(page) }));
        open.leave_alone(true);
        let answer = {
            let conn = open.session()?.conn()?;
            let mut commit = std::pin::pin!(async {
                let Some(ledger) = self.ledger else {
                    return commit(conn, changes).await.map_err(NotCommitted::Commit);
                };
                let both = format!("{}; COMMIT", ledger.note(page));
                let first = conn.query_iter(both).await.map_err(|error| match error {
                    // What follows a statement that fails is not run.
                    Error::Server(_) => NotCommitted::Note(error),
                    lost => NotCommitted::Commit(lost),
                })?;
                first.drop_result().await.map_err(NotCommitted::Commit)?;
                Ok(true)
            });
            tokio::select! {
                biased;
                answer = &mut commit => Some(answer),
                // A commit is never cancelled: one that waits for a replica would then return
                // without it.
                _ = self.deadline.stopped(self.attempt) => {
                    timeout(self.deadline.grace(), commit).await.ok()
                }
            }
        };
        match answer {
            Some(Ok(is_sound)) => {
                open.leave_alone(false);
                if !is_sound {
                    open.discard();
                    return Ok(());
                }
                if changes && let Some(habit) = open.session()?.habit() {
                    habit.begin_autocommit();
                }
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
                open.leave_alone(false);
                let told = match self.ledger {
                    Some(ledger) => ledger.place(&error, Stage::Write),
                    None => translate(&error, Stage::Write, None),
                };
                open.end(Some(&error), self.deadline.grace()).await;
                Err(told)
            }
            Some(Err(NotCommitted::Commit(error))) => {
                let about = Some((self.batch, &*self.plan.table));
                if refuses_commit(&error) {
                    open.leave_alone(false);
                    // At this stage it would be in doubt.
                    let told = translate(&error, Stage::Write, about);
                    open.end(Some(&error), self.deadline.grace()).await;
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

/// Commits, and where wanted has each statement commit itself from then on. Whether the session is
/// as it should be; the transaction is committed.
async fn commit(conn: &mut Conn, changes: bool) -> Result<bool, Error> {
    if !changes {
        return conn.query_drop("COMMIT").await.map(|()| true);
    }
    let committed = conn.query_iter("COMMIT; SET SESSION autocommit = 1").await?;
    Ok(committed.drop_result().await.is_ok())
}

/// Why a batch was not written up to its commit.
pub(crate) enum Sent {
    Failed(Failed),
    Stopped(WriteError),
}

/// What was answered with an error.
enum NotCommitted {
    /// Noting the batch in the ledger: the commit was not run.
    Note(Error),
    Commit(Error),
}
