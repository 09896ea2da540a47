//! How a batch is written: by which plan, in which way, and once more where that helps.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use batchflow_core::{Attempt, Batch, Deadline, ErrorKind, Report, Stage, WriteError};
use bytes::BytesMut;

use super::{BUFFER_BYTES, BUFFERS, LOOK_AGAIN, PostgresDriver, place};
use crate::at_once::{AT_ONCE, AtOnce, Came};
use crate::connect::{Backend, Lease};
use crate::plan::{OwnTransaction, Plan};
use crate::transaction::{self, Ended, Sending, Transaction};
use crate::verdict::{self, Next};
use crate::way::{Payload, Way};

impl PostgresDriver {
    /// Writes a batch, trying once more where the table turns out to have changed, where the user
    /// may not stage it, or where rows of one key stand in it.
    pub(super) async fn write_batch(
        &self,
        batch: &Batch,
        attempt: &Attempt,
    ) -> Result<Report, WriteError> {
        let deadline = Deadline::of(attempt);
        let (mut looked_again, mut singly) = (false, false);
        loop {
            let plan = tokio::select! {
                biased;
                why = deadline.stopped(attempt) => return Err(why.at(Stage::Describe)),
                plan = self.plan(batch, deadline) => plan?,
            };
            attempt.note_table(plan.seen);
            let (error, next) = match self.write_once(batch, attempt, deadline, &plan, singly).await
            {
                Ok(affected) => return Ok(Report::all().with_affected(affected)),
                Err(failed) => failed,
            };
            match next {
                Next::LookAgain { at_leisure } if !looked_again => {
                    looked_again = true;
                    let since = self.plans.looked_up(batch.schema()).map(|(_, since)| since);
                    let is_fresh = since.is_some_and(|since| since.elapsed() < LOOK_AGAIN);
                    if at_leisure && is_fresh {
                        return Err(error);
                    }
                    let table = tokio::select! {
                        biased;
                        why = deadline.stopped(attempt) => return Err(why.at(Stage::Describe)),
                        table = self.look_up(batch.schema(), deadline) => table?,
                    };
                    if *table == *plan.table {
                        return Err(error);
                    }
                }
                Next::Unnest if !self.no_stage.swap(true, Ordering::Relaxed) => {
                    tracing::warn!(
                        "this user may make no temporary tables: large batches are written by \
                         UNNEST, which is slower"
                    );
                }
                Next::Unnest => {}
                // No further COPY is chosen, so that this comes once for each batch.
                Next::NoCopy => plan.no_copy.store(true, Ordering::Relaxed),
                Next::Singly if !singly => singly = true,
                _ => return Err(error),
            }
        }
    }

    /// Writes a batch by a plan, and says what to do if that fails.
    async fn write_once(
        &self,
        batch: &Batch,
        attempt: &Attempt,
        deadline: Deadline,
        plan: &Plan,
        singly: bool,
    ) -> Result<u64, (WriteError, Next)> {
        let way = self.choose(plan, batch);
        if singly {
            attempt.writes_by("singly", plan.fingerprint(Way::Unnest, 1));
        } else {
            attempt.writes_by(way.as_str(), plan.fingerprint(way, batch.len()));
        }
        let payload = if singly {
            Payload::encode_singly(plan, batch).await
        } else {
            Payload::encode(way, plan, batch, self.buffer()).await
        };
        let payload = payload.map_err(|error| {
            let error = place(error.at(Stage::Encode), batch.schema());
            let next = verdict::of_encoding(&error);
            (error, next)
        })?;
        let stop = |error| (error, Next::GiveUp);
        let acquired = tokio::select! {
            biased;
            why = deadline.stopped(attempt) => Err(why.at(Stage::Connect)),
            acquired = self.acquire(deadline.within(self.connect_timeout)) => acquired,
        };
        let connection = acquired.map_err(stop)?;
        let backend = connection.backend();
        let Some(lease) = connection.into_lease() else {
            return Err(stop(ErrorKind::Internal.into()));
        };
        let of = Sending { plan, batch, payload: &payload, attempt, deadline };
        // What was tried before goes in a transaction whose fate can be asked for.
        let may_at_once = attempt.number() == 1 && !singly;
        let written = self.send(of, way, backend.as_deref(), may_at_once, lease).await;
        self.keep(payload);
        written.map_err(|ended| match ended {
            Ended::Error(error) => stop(place(error, batch.schema())),
            Ended::Refused(failed) => {
                if transaction::is_read_only(&failed) {
                    self.source.forget_idle();
                }
                let (error, next) = verdict::of_refusal(&failed, way, batch, &plan.table);
                (place(error, batch.schema()), next)
            }
        })
    }

    /// Sends what is encoded: at once where that is possible, else in a transaction.
    async fn send(
        &self,
        of: Sending<'_>,
        way: Way,
        backend: Option<&Backend>,
        may_at_once: bool,
        mut lease: Box<dyn Lease>,
    ) -> Result<u64, Ended> {
        let at_once = backend.filter(|backend| may_at_once && backend.may_be_own());
        if let Some((backend, own)) = at_once.zip(row_at_once(of.plan, of.batch, way)) {
            of.attempt.writes_by(AT_ONCE, own.print);
            match Box::pin(AtOnce { of, own, backend }.run(&self.fences, lease)).await? {
                Came::Written(affected) => return Ok(affected),
                Came::Not(again) => lease = again,
            }
            of.attempt.writes_by(way.as_str(), of.plan.fingerprint(way, of.batch.len()));
        }
        let is_limited = backend.is_some_and(Backend::is_limited);
        Transaction { of, is_limited }.run(&self.fences, lease).await
    }

    pub(super) fn choose(&self, plan: &Plan, batch: &Batch) -> Way {
        Way::choose(self.way, plan, batch, !self.no_stage.load(Ordering::Relaxed))
    }

    fn buffer(&self) -> BytesMut {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn keep(&self, payload: Payload) {
        let Some(mut buffer) = payload.into_buffer() else { return };
        buffer.clear();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS && buffer.capacity() <= BUFFER_BYTES {
            buffers.push(buffer);
        }
    }
}

/// The statement that writes a batch in a transaction of its own, where it may be written so.
pub(super) fn row_at_once<'a>(
    plan: &'a Plan,
    batch: &Batch,
    way: Way,
) -> Option<&'a OwnTransaction> {
    let may = way == Way::Unnest && batch.len() == 1 && batch.is_idempotent();
    plan.at_once.as_ref().filter(|_| may)
}
