//! [`Guarded`]: a session in use. Dropped in the middle, what it runs is ended on the server.

use std::time::Duration;

use batchflow_core::{ErrorKind, WriteError};
use mysql_async::Error;
use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use crate::fence::Fences;
use crate::session::Session;
use crate::verdict::is_read_only;

/// How long the end of a failed transaction is waited for.
const ROLLBACK: Duration = Duration::from_secs(5);

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
    /// used again. A session that was lost may still run: it is ended, and its locks with it.
    pub(crate) async fn end(mut self, why: Option<&Error>) {
        let Ok(session) = self.session() else { return };
        // Another server may take writes by now: it is asked which when a connection is opened.
        if !why.is_some_and(is_read_only) && roll_back(session).await {
            self.give_back().await;
        }
    }

    /// Ends what is running, and waits for that so long.
    pub(crate) async fn fence(mut self, grace: Duration) {
        let Some(session) = self.session.take() else { return };
        if let Some(ended) = self.fences.end(session) {
            // Nothing was committed and nothing will be: that it goes on is no danger, only a
            // nuisance to who needs its locks.
            let _ = timeout(grace, ended).await;
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
async fn roll_back(session: &mut Session) -> bool {
    let Ok(conn) = session.conn() else { return false };
    if conn.is_disconnected() {
        return false;
    }
    matches!(timeout(ROLLBACK, conn.query_drop("ROLLBACK")).await, Ok(Ok(())))
}
