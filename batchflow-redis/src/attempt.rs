//! One attempt at a batch: sent, answered, or ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::{
    Attempt, Batch, CommitToken, ErrorClass, ErrorKind, Report, Stage, Verdict, WriteError,
};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::ask;
use crate::connect::{Lost, Opener};
use crate::fence::{Fences, Ticket};
use crate::leg::{Leg, legs};
use crate::plan::Plan;
use crate::send::{Line, Verdicts, is_elsewhere, send};
use crate::servers::Servers;

/// How long it is waited to see a connection ended that is in doubt; core asks again later.
const FENCE: Duration = Duration::from_secs(2);

/// One attempt at a batch.
pub(crate) struct Sending<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) batch: &'a Batch,
    pub(crate) attempt: &'a Attempt,
    pub(crate) opener: &'a Opener,
    pub(crate) servers: &'a Servers,
    pub(crate) fences: &'a Fences,
    pub(crate) connect_timeout: Duration,
}

/// Why a leg ended before every answer came.
enum Ended {
    Lost(Lost),
    /// Nothing was sent.
    Refused(WriteError),
}

/// How each leg ended that did so before every answer came.
type Ends = Mutex<Vec<Option<Ended>>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sending<'_> {
    pub(crate) async fn run(self) -> Result<Report, WriteError> {
        let map = tokio::select! {
            biased;
            kind = self.stopped() => return Err(WriteError::new(kind).at(Stage::Connect)),
            map = self.servers.map() => map?,
        };
        let mut verdicts = vec![None; self.batch.len()];
        let legs = legs(self.plan, self.batch, map.as_deref(), &mut verdicts);
        let verdicts: Verdicts = Mutex::new(verdicts);
        if !legs.is_empty() {
            let ticket = Arc::new(Ticket::default());
            self.attempt.record(CommitToken::new(Arc::clone(&ticket)));
            let way = self.plan.way(self.batch);
            self.attempt.writes_by(way.as_str(), self.plan.fingerprint());
            self.write_to(&legs, 0, &ticket, &verdicts).await?;
            let asking = self.asking(&legs, &verdicts).await;
            for row in asking.iter().flat_map(Leg::rows) {
                if let Some(verdict) = lock(&verdicts).get_mut(row) {
                    *verdict = None;
                }
            }
            self.write_to(&asking, legs.len(), &ticket, &verdicts).await?;
        }
        let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = self.servers.cluster()
            && verdicts.iter().flatten().filter_map(Verdict::error).any(is_passing)
        {
            cluster.age();
        }
        if verdicts.iter().all(|verdict| matches!(verdict, Some(Verdict::Written))) {
            return Ok(Report::all());
        }
        Ok(Report::each(
            verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(missing)).collect(),
        ))
    }

    /// Writes. A node that could not be reached leaves the map in doubt.
    async fn write_to(
        &self,
        legs: &[Leg],
        first: usize,
        ticket: &Arc<Ticket>,
        verdicts: &Verdicts,
    ) -> Result<(), WriteError> {
        let written = self.write(legs, first, ticket, verdicts).await;
        if let (Err(error), Some(cluster)) = (&written, self.servers.cluster())
            && is_passing(error)
        {
            cluster.age();
        }
        written
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

    /// The rows that another node is to be asked to take.
    async fn asking(&self, legs: &[Leg], verdicts: &Verdicts) -> Vec<Leg> {
        let is_refused = |verdict: &Verdict| {
            let said = verdict.error().and_then(WriteError::server_message);
            said.is_some_and(is_elsewhere)
        };
        if self.servers.cluster().is_none() || !lock(verdicts).iter().flatten().any(is_refused) {
            return Vec::new();
        }
        tokio::select! {
            biased;
            _ = self.stopped() => Vec::new(),
            legs = ask::legs(self.plan, self.batch, self.servers, legs, verdicts) => legs,
        }
    }

    /// Sends legs at once, which are numbered from `first` on, and gives every row of theirs a
    /// verdict.
    async fn write(
        &self,
        legs: &[Leg],
        first: usize,
        ticket: &Ticket,
        verdicts: &Verdicts,
    ) -> Result<(), WriteError> {
        if legs.is_empty() {
            return Ok(());
        }
        let ends: Ends = Mutex::new(legs.iter().map(|_| None).collect());
        let one = async |(at, leg): (usize, &Leg)| {
            if let Err(ended) = self.send(first + at, leg, ticket, verdicts).await
                && let Some(end) = lock(&ends).get_mut(at)
            {
                *end = Some(ended);
            }
        };
        let stopped = tokio::select! {
            biased;
            kind = self.stopped() => Some(kind),
            _ = join_all(legs.iter().enumerate().map(one)) => None,
        };
        let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
        if stopped.is_none() && ends.iter().all(Option::is_none) {
            return Ok(());
        }
        self.conclude(legs, first, stopped, ends, ticket, verdicts).await
    }

    async fn send(
        &self,
        at: usize,
        leg: &Leg,
        ticket: &Ticket,
        verdicts: &Verdicts,
    ) -> Result<(), Ended> {
        let until = Instant::now() + self.connect_timeout;
        let node = leg.home.as_ref().map(|home| &home.member.node);
        let Some(pool) = self.servers.pool(node) else {
            return Err(Ended::Refused(WriteError::new(ErrorKind::Internal)));
        };
        let lease = match timeout_at(until, pool.acquire()).await {
            Ok(lease) => lease.map_err(Ended::Refused)?,
            Err(_too_long) => {
                let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
                return Err(Ended::Refused(
                    error.with_message("no connection was free or could be opened in time"),
                ));
            }
        };
        let connection = lease.connection().map_err(Ended::Refused)?;
        ticket.sends(at, leg.home.clone(), connection.identity().cloned());
        let ordered = !self.batch.has_distinct_keys();
        let line = Line { connection, asking: leg.asking };
        send(line, self.plan, &leg.units, ordered, verdicts).await.map_err(Ended::Lost)?;
        ticket.answered(at);
        if is_stale(verdicts) {
            pool.forget();
        } else {
            lease.give_back();
        }
        Ok(())
    }

    /// Gives every row without one a verdict, once it is seen that nothing more will be executed.
    async fn conclude(
        &self,
        legs: &[Leg],
        first: usize,
        stopped: Option<ErrorKind>,
        ends: Vec<Option<Ended>>,
        ticket: &Ticket,
        verdicts: &Verdicts,
    ) -> Result<(), WriteError> {
        if ticket.was_sent() {
            // What could not be ended stays in doubt.
            let _ = timeout(FENCE, self.fences.end(self.opener, self.servers, ticket)).await;
        }
        let mut refusal = None;
        for (at, (leg, end)) in (first..).zip(legs.iter().zip(ends)) {
            let error = match (end, stopped) {
                (Some(Ended::Refused(error)), _) => error,
                (Some(Ended::Lost(Lost(why))), _) => WriteError::new(ErrorKind::Connection)
                    .with_message("the connection was lost")
                    .with_server_message(why),
                (None, Some(kind)) => WriteError::new(kind),
                // Every answer came.
                (None, None) => continue,
            };
            let verdict = if !ticket.has_sent(at) {
                let error = error.at(Stage::Connect);
                refusal.get_or_insert_with(|| error.clone());
                Verdict::NotApplied(error)
            } else if ticket.is_in_doubt(at) {
                Verdict::Unknown(error.still_running())
            } else {
                Verdict::Unknown(error.outcome_unknown())
            };
            let mut verdicts = lock(verdicts);
            for row in leg.rows() {
                if let Some(place @ None) = verdicts.get_mut(row) {
                    *place = Some(verdict.clone());
                }
            }
        }
        match refusal {
            // Nothing was sent at all, and no row is at fault.
            Some(error) if !ticket.was_sent() && is_nothing_else(verdicts) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether no row was written or refused.
fn is_nothing_else(verdicts: &Verdicts) -> bool {
    lock(verdicts).iter().all(|verdict| matches!(verdict, Some(Verdict::NotApplied(_))))
}

/// Whether an error may be due to a map that has aged.
fn is_passing(error: &WriteError) -> bool {
    error.kind().class() == ErrorClass::Transient
}

/// Whether the server answered as one that takes no writes: another may be the primary by now, and
/// connections opened anew will find it.
fn is_stale(verdicts: &Verdicts) -> bool {
    let verdicts = lock(verdicts);
    let errors = verdicts.iter().flatten().filter_map(Verdict::error);
    errors.into_iter().any(|error| error.kind() == ErrorKind::ReadOnly)
}

fn missing() -> Verdict {
    let error = WriteError::new(ErrorKind::Internal).outcome_unknown();
    Verdict::Unknown(error.with_message("a row was left without a verdict"))
}
