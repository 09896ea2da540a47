//! One row in one round trip: a statement that is a transaction of its own.
//!
//! Nothing is known of that transaction but where it runs, so a lost answer leaves the row unknown
//! until its backend is [seen gone](crate::ended). Then it goes again: only a row whose repetition is
//! harmless is written so, and the next time it goes in a transaction whose fate can be asked for.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use batchflow_core::{CommitToken, ErrorKind, Stage, WriteError};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Statement};

use crate::connect::{Backend, Identity, Lease};
use crate::ended::Sent;
use crate::error::{is_plain, translate};
use crate::fence::{Doing, Fences};
use crate::plan::OwnTransaction;
use crate::transaction::{Ended, Sending, is_read_only, refuses_commit, statement_timeout};
use crate::way::Failed;

/// What the way is called in metrics and previews.
pub(crate) const AT_ONCE: &str = "at once";

/// What became of the row.
pub(crate) enum Came {
    /// It is written; how many the server says it changed.
    Written(u64),
    /// Nothing is written, nor can be in this way on this connection.
    Not(Box<dyn Lease>),
}

/// One row on its way.
pub(crate) struct AtOnce<'a> {
    pub(crate) of: Sending<'a>,
    pub(crate) own: &'a OwnTransaction,
    pub(crate) backend: &'a Backend,
}

impl AtOnce<'_> {
    /// Writes the row, or does not.
    pub(crate) async fn run(
        &self,
        fences: &Arc<Fences>,
        lease: Box<dyn Lease>,
    ) -> Result<Came, Ended> {
        let mut open = Open { lease: Some(lease), fences, sent: None };
        let limit = self.of.attempt.deadline().map(statement_timeout);
        let identified = self.in_time(self.backend.identify(open.client()?, limit)).await?;
        let sent = match identified {
            Ok(Some(backend)) => Sent { backend, text: self.own.text.clone() },
            Ok(None) => return open.into_lease().map(Came::Not),
            Err(error) => return Err(open.refused(error)),
        };
        open.sent = Some(sent.clone());
        let preparing = self.backend.prepare(open.client()?, &self.own.text, &self.own.types);
        let statement = match self.in_time(preparing).await? {
            Ok(statement) => statement,
            Err(error) => return Err(open.refused(error)),
        };
        // Before it can become durable.
        self.of.attempt.record(CommitToken::new(sent.clone()));
        let answer = match self.send(&open, &statement, &sent).await? {
            Answer::InTime(answer) => answer,
            Answer::Late(answer, was_asked, why) => return late(answer, was_asked, why, open),
        };
        let error = match answer {
            Ok(affected) => {
                open.give_back();
                return Ok(Came::Written(affected));
            }
            Err(error) => error,
        };
        match Refusal::of(&error, &sent.backend) {
            Refusal::Sure => Err(open.refused(error)),
            Refusal::Elsewhere => {
                self.backend.disown();
                open.into_lease().map(Came::Not)
            }
            Refusal::Unprepared => {
                self.backend.forget_prepared();
                open.into_lease().map(Came::Not)
            }
            Refusal::InDoubt if open.is_well(self.of.deadline.grace()).await => {
                Err(open.refused(error))
            }
            Refusal::InDoubt => {
                open.discard();
                let of = Some((self.of.batch, &*self.of.plan.table));
                let error = translate(&error, Stage::Write, of);
                Err(Ended::Error(error.still_running()))
            }
        }
    }

    /// What comes of it before the attempt is over. Nothing is written by it.
    async fn in_time<T>(&self, of: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::select! {
            biased;
            why = self.of.deadline.stopped(self.of.attempt) => Err(Ended::Error(why)),
            came = of => Ok(came),
        }
    }

    /// Sends the statement, and has it cancelled once the attempt is over.
    async fn send(
        &self,
        open: &Open<'_>,
        statement: &Statement,
        sent: &Sent,
    ) -> Result<Answer, WriteError> {
        let mark = &sent.backend.mark;
        let sending = self.of.payload.send_at_once(open.client()?, statement, mark);
        let mut sending = std::pin::pin!(sending);
        let why = tokio::select! {
            biased;
            answer = &mut sending => return Ok(Answer::InTime(answer)),
            why = self.of.deadline.stopped(self.of.attempt) => why,
        };
        let was_asked = AtomicBool::new(false);
        let late = tokio::select! {
            biased;
            late = timeout(self.of.deadline.grace(), sending) => late.ok(),
            () = open.fences.cancel(open.client()?, sent, &was_asked) => None,
        };
        Ok(Answer::Late(late, was_asked.into_inner(), why))
    }
}

/// The server's answer.
enum Answer {
    InTime(Result<u64, Error>),
    /// After the attempt was over, if it came at all; whether the server may have been asked to
    /// cancel, and why the attempt was over.
    Late(Option<Result<u64, Error>>, bool, WriteError),
}

/// What comes of an attempt that was over before the server answered.
fn late(
    answer: Option<Result<u64, Error>>,
    was_asked: bool,
    why: WriteError,
    open: Open<'_>,
) -> Result<Came, Ended> {
    let error = match answer {
        Some(Ok(affected)) if !was_asked => {
            open.give_back();
            return Ok(Came::Written(affected));
        }
        // A commit that waits for a standby returns without it if it is cancelled.
        Some(Ok(_)) => why.outcome_unknown(),
        Some(Err(error)) if is_refused(&error) => why,
        // The fence ends it now.
        Some(Err(_)) | None => {
            drop(open);
            return Err(Ended::Error(why.still_running()));
        }
    };
    // A request to cancel may hit what is sent next.
    open.discard();
    Err(Ended::Error(error))
}

/// Whether the answer says for certain that nothing was written.
fn is_refused(error: &Error) -> bool {
    // A cancel does not reach a commit.
    refuses_commit(error) || (error.code() == Some(&SqlState::QUERY_CANCELED) && is_plain(error))
}

/// What an answer says.
enum Refusal {
    /// Nothing was written.
    Sure,
    /// Nothing was written: it ran on a backend that is not the connection's own.
    Elsewhere,
    /// Nothing was written: it is not prepared any more.
    Unprepared,
    /// Perhaps it was.
    InDoubt,
}

impl Refusal {
    fn of(error: &Error, identity: &Identity) -> Self {
        let Some(db) = error.as_db_error() else {
            // Too large to be sent.
            let kind = translate(error, Stage::Write, None).kind();
            return if kind == ErrorKind::TooLarge { Self::Sure } else { Self::InDoubt };
        };
        if db.code() == &SqlState::UNDEFINED_OBJECT && db.message().contains(&identity.mark) {
            Self::Elsewhere
        } else if db.code() == &SqlState::INVALID_SQL_STATEMENT_NAME {
            Self::Unprepared
        } else if is_refused(error) {
            Self::Sure
        } else {
            Self::InDoubt
        }
    }
}

/// A connection with a statement perhaps under way. Dropped then, it is fenced and never used again.
struct Open<'a> {
    lease: Option<Box<dyn Lease>>,
    fences: &'a Arc<Fences>,
    sent: Option<Sent>,
}

impl Open<'_> {
    fn client(&self) -> Result<&Client, WriteError> {
        match &self.lease {
            Some(lease) => Ok(lease.client()),
            None => Err(WriteError::new(ErrorKind::Internal)),
        }
    }

    fn into_lease(mut self) -> Result<Box<dyn Lease>, Ended> {
        self.lease.take().ok_or_else(|| Ended::Error(WriteError::new(ErrorKind::Internal)))
    }

    fn give_back(mut self) {
        drop(self.lease.take());
    }

    fn discard(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
    }

    /// Whether the session goes on. A server that has answered with an error has then rolled back:
    /// it would rather go down than go on after an error in a commit.
    async fn is_well(&self, grace: Duration) -> bool {
        let (Some(lease), Some(sent)) = (&self.lease, &self.sent) else { return false };
        let ask = format!("SELECT pg_catalog.current_setting('{}')", sent.backend.mark);
        matches!(timeout(grace, lease.client().simple_query(&ask)).await, Ok(Ok(_)))
    }

    /// Nothing was written, and nothing runs.
    fn refused(self, error: Error) -> Ended {
        let may_go_on = is_plain(&error);
        let failed = Failed::write(error);
        // Another may take writes by now: it is asked which when a connection is opened.
        if may_go_on && !is_read_only(&failed) {
            self.give_back();
        } else {
            self.discard();
        }
        Ended::Refused(failed)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        match self.sent.take() {
            Some(sent) => {
                self.fences.end(lease, Doing::Statement(sent));
            }
            None => lease.discard(),
        }
    }
}
