//! A batch that is one statement in autocommit: a transaction of its own, written and committed in one
//! round trip.
//!
//! From the moment it is sent it may be committed, so it is only taken where repeating the rows is
//! harmless. What is given up, or lost, is ended on the server as any other statement; then core
//! asks whether it has ended, and writes the rows again.

use batchflow_core::{Batch, CommitToken, ErrorKind, Stage, WriteError};
use mysql_async::consts::StatusFlags;
use mysql_async::{Conn, OkPacket};

use crate::error::translate;
use crate::fence::Whom;
use crate::guarded::Guarded;
use crate::server::Known;
use crate::settle::Started;
use crate::transaction::{Ended, Sent, Transaction};
use crate::verdict::{error_of, refuses_alone};
use crate::way::Payload;

/// Whether a batch may be a transaction of its own statement's, where there is no ledger to note it.
///
/// If the answer is lost, nobody can tell whether it is committed, so that repeating it must be
/// harmless. Nor may a commit wait for a replica: a repetition that changes nothing would not.
pub(crate) fn may_be(known: &Known, payload: &Payload, batch: &Batch) -> bool {
    !known.waits_for_replicas && payload.is_one_statement() && batch.is_idempotent()
}

impl Transaction<'_> {
    /// Writes the batch in a session that is in autocommit.
    pub(crate) async fn run_alone(
        &self,
        payload: Payload,
        mut open: Guarded<'_>,
    ) -> Result<Option<u64>, Ended> {
        let session = open.session()?;
        // Before it can become durable.
        self.attempt.record(CommitToken::new(Started { whom: Whom::of(session), page: None }));
        let conn = session.conn()?;
        let why = match self.send(payload, conn).await {
            Ok(affected) if is_committed(conn) => {
                if let Some(habit) = session.habit() {
                    habit.note_alone();
                }
                open.give_back().await;
                return Ok(affected);
            }
            Ok(_) => {
                let error = WriteError::new(ErrorKind::Internal).at(Stage::Commit);
                error.with_message("the session was taken out of autocommit")
            }
            Err(Sent::Failed(failed)) if refuses_alone(error_of(&failed)) => {
                open.end(Some(error_of(&failed)), self.deadline.grace()).await;
                return Err(Ended::Refused(failed));
            }
            Err(Sent::Failed(failed)) => {
                let about = Some((self.batch, &*self.plan.table));
                let error = translate(error_of(&failed), Stage::Commit, about);
                if error.kind() == ErrorKind::TooLarge {
                    // The client has not sent it.
                    open.discard();
                    return Err(Ended::Error(error));
                }
                error
            }
            Err(Sent::Stopped(why)) => why.at(Stage::Commit),
        };
        let has_ended = open.fence(self.deadline.grace()).await;
        Err(Ended::Error(if has_ended { why.outcome_unknown() } else { why.still_running() }))
    }
}

/// Whether the server says, with the last answer, that nothing is left to be committed.
fn is_committed(conn: &Conn) -> bool {
    let status = conn.last_ok_packet().map_or(StatusFlags::empty(), OkPacket::status_flags);
    status.contains(StatusFlags::SERVER_STATUS_AUTOCOMMIT)
        && !status.contains(StatusFlags::SERVER_STATUS_IN_TRANS)
}
