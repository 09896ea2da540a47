//! [`Guarded`]: a session in use. Dropped in the middle, what it runs is ended on the server.

use std::time::Duration;

use batchflow_core::{Attempt, Deadline, ErrorKind, Stage, WriteError};
use mysql_async::Error;
use mysql_async::prelude::Queryable as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::fence::Fences;
use crate::limit::Limit;
use crate::session::Session;
use crate::verdict::is_read_only;

/// A session with a transaction open. Dropped in the middle, it is fenced and never used again.
pub(crate) struct Guarded<'a> {
    session: Option<Session>,
    fences: &'a Fences,
    /// What it runs is its commit, which is left to be settled.
    commits: bool,
}

impl<'a> Guarded<'a> {
    pub(crate) fn new(session: Session, fences: &'a Fences) -> Self {
        Self { session: Some(session), fences, commits: false }
    }

    /// Begins a transaction whose statements are given what the attempt has left; or none, where
    /// the batch is one statement that may be `alone`.
    pub(crate) async fn begin(
        mut self,
        attempt: &Attempt,
        deadline: Deadline,
        alone: bool,
    ) -> Result<Self, WriteError> {
        let begun = {
            let session = self.session()?;
            tokio::select! {
                biased;
                why = deadline.stopped(attempt) => Err((why.at(Stage::Connect), true)),
                begun = session.begin(Limit::of(deadline.left()), alone) => begun.map_err(|error| (error, false)),
            }
        };
        match begun {
            Ok(()) => Ok(self),
            Err((why, true)) => {
                self.fence(deadline.grace()).await;
                Err(why)
            }
            Err((error, false)) => {
                self.end(None, deadline.grace()).await;
                Err(error)
            }
        }
    }

    /// Whether what it runs is its commit, which nobody may end.
    pub(crate) fn leave_alone(&mut self, commits: bool) {
        self.commits = commits;
    }

    pub(crate) fn session(&mut self) -> Result<&mut Session, WriteError> {
        self.session.as_mut().ok_or_else(|| WriteError::new(ErrorKind::Internal))
    }

    /// The transaction has ended, and the session is as it was.
    pub(crate) async fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            session.give_back().await;
        }
    }

    pub(crate) fn discard(mut self) {
        drop(self.session.take());
    }

    /// Ends a transaction that the server has refused, and gives the session back if it can be
    /// used again. A session that was lost may still run: it is ended, and its locks with it. All
    /// this is waited for so long.
    pub(crate) async fn end(mut self, why: Option<&Error>, grace: Duration) {
        let until = Instant::now() + grace;
        let Ok(session) = self.session() else { return };
        if !roll_back(session, until).await {
            self.fence(until.saturating_duration_since(Instant::now())).await;
        } else if why.is_some_and(is_read_only) {
            // Another server may take writes by now: it is asked which when a connection is opened.
            self.discard();
        } else {
            self.give_back().await;
        }
    }

    /// Ends what is running, and waits for that so long: whether it was seen to end.
    ///
    /// Before a COMMIT is sent nothing was committed and nothing will be: that it goes on is then no
    /// danger, only a nuisance to who needs its locks.
    pub(crate) async fn fence(mut self, grace: Duration) -> bool {
        let Some(session) = self.session.take() else { return false };
        match self.fences.end(session) {
            Some(ended) => matches!(timeout(grace, ended).await, Ok(Ok(true))),
            None => false,
        }
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if !self.commits {
            self.fences.end(session);
        }
    }
}

/// Whether the session's transaction was rolled back, and the session can be used again.
async fn roll_back(session: &mut Session, until: Instant) -> bool {
    let Ok(conn) = session.conn() else { return false };
    if conn.is_disconnected() {
        return false;
    }
    matches!(timeout_at(until, conn.query_drop("ROLLBACK")).await, Ok(Ok(())))
}
