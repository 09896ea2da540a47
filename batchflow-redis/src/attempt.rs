//! One attempt at a batch: sent, answered, or ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::{Attempt, Batch, CommitToken, ErrorKind, Report, Stage, Verdict, WriteError};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::connect::{Lost, Opener};
use crate::fence::{Fences, Ticket};
use crate::plan::Plan;
use crate::pool::Pool;
use crate::send::{Verdicts, send};
use crate::units::{Unit, units};

/// How long it is waited to see a connection ended that is in doubt; core asks again later.
const FENCE: Duration = Duration::from_secs(2);

/// One attempt at a batch.
pub(crate) struct Sending<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) batch: &'a Batch,
    pub(crate) attempt: &'a Attempt,
    pub(crate) opener: &'a Opener,
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) fences: &'a Fences,
    pub(crate) connect_timeout: Duration,
}

/// Why an attempt ended before every answer came.
enum Ended {
    Lost(Lost),
    Stopped(ErrorKind),
    /// Nothing was sent.
    Refused(WriteError),
}

impl Sending<'_> {
    pub(crate) async fn run(self) -> Result<Report, WriteError> {
        let mut verdicts = vec![None; self.batch.len()];
        let units = units(self.plan, self.batch, 0..self.batch.len(), &mut verdicts);
        let verdicts: Verdicts = Mutex::new(verdicts);
        if !units.is_empty() {
            let ticket = Arc::new(Ticket::default());
            self.attempt.record(CommitToken::new(Arc::clone(&ticket)));
            let ended = tokio::select! {
                biased;
                kind = self.stopped() => Err(Ended::Stopped(kind)),
                sent = self.send(&units, &ticket, &verdicts) => sent,
            };
            if let Err(ended) = ended {
                self.conclude(ended, &ticket, &verdicts).await?;
            }
        }
        let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        if verdicts.iter().all(|verdict| matches!(verdict, Some(Verdict::Written))) {
            return Ok(Report::all());
        }
        Ok(Report::each(
            verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(missing)).collect(),
        ))
    }

    /// Waits for the attempt to be cancelled, or for its deadline, and tells which it was: who was
    /// cancelled is not tried again.
    async fn stopped(&self) -> ErrorKind {
        let deadline = async {
            match self.attempt.deadline() {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = deadline => ErrorKind::Timeout,
            () = self.attempt.cancelled() => ErrorKind::Cancelled,
        }
    }

    async fn send(
        &self,
        units: &[Unit],
        ticket: &Ticket,
        verdicts: &Verdicts,
    ) -> Result<(), Ended> {
        let until = Instant::now() + self.connect_timeout;
        let lease = match timeout_at(until, self.pool.acquire()).await {
            Ok(lease) => lease.map_err(Ended::Refused)?,
            Err(_too_long) => {
                let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
                return Err(Ended::Refused(
                    error.with_message("no connection was free or could be opened in time"),
                ));
            }
        };
        let connection = lease.connection().map_err(Ended::Refused)?;
        let node = self.pool.node();
        ticket.sends(node, connection.identity());
        let way = self.plan.way(self.batch.len());
        self.attempt.writes_by(way.as_str(), self.plan.fingerprint());
        let ordered = !self.batch.has_distinct_keys();
        send(connection, self.plan, units, ordered, verdicts).await.map_err(Ended::Lost)?;
        ticket.answered(node, connection.identity());
        if is_stale(verdicts) {
            self.pool.forget();
        } else {
            lease.give_back();
        }
        Ok(())
    }

    /// Gives every row without one a verdict, once it is seen that nothing more will be executed.
    async fn conclude(
        &self,
        ended: Ended,
        ticket: &Ticket,
        verdicts: &Verdicts,
    ) -> Result<(), WriteError> {
        let error = match ended {
            Ended::Refused(error) => error,
            Ended::Lost(Lost(why)) => WriteError::new(ErrorKind::Connection)
                .with_message("the connection was lost")
                .with_server_message(why),
            Ended::Stopped(kind) => WriteError::new(kind),
        };
        let verdict = if ticket.was_sent() {
            match timeout(FENCE, self.fences.end(self.opener, ticket)).await {
                Ok(Ok(())) => Verdict::Unknown(error.outcome_unknown()),
                _ => Verdict::Unknown(error.still_running()),
            }
        } else {
            let error = error.at(Stage::Connect);
            let verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            if verdicts.iter().all(Option::is_none) {
                return Err(error);
            }
            Verdict::NotApplied(error)
        };
        let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        for place in verdicts.iter_mut().filter(|place| place.is_none()) {
            *place = Some(verdict.clone());
        }
        Ok(())
    }
}

/// Whether the server answered as one that takes no writes: another may be the primary by now, and
/// connections opened anew will find it.
fn is_stale(verdicts: &Verdicts) -> bool {
    let verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
    let errors = verdicts.iter().flatten().filter_map(Verdict::error);
    errors.into_iter().any(|error| error.kind() == ErrorKind::ReadOnly)
}

fn missing() -> Verdict {
    let error = WriteError::new(ErrorKind::Internal).outcome_unknown();
    Verdict::Unknown(error.with_message("a row was left without a verdict"))
}
