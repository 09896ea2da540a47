//! [`Time`]: what an attempt has of time.

use std::time::Duration;

use batchflow_core::{Attempt, ErrorKind, WriteError};
use tokio::time::Instant;

use crate::session::Limit;

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

    /// No deadline.
    pub(crate) fn unlimited() -> Self {
        Self { began: Instant::now(), deadline: None }
    }

    /// The earlier of the deadline and so long from now.
    pub(crate) fn within(&self, most: Duration) -> Instant {
        let most = Instant::now() + most;
        self.deadline.map_or(most, |deadline| deadline.min(most))
    }

    /// What the server gives one statement.
    pub(crate) fn limit(&self) -> Limit {
        Limit::of(self.deadline.map(|end| end.saturating_duration_since(Instant::now())))
    }

    /// The same, and at most so long.
    pub(crate) fn limit_of(&self, most: Duration) -> Limit {
        Limit::of(Some(self.within(most).saturating_duration_since(Instant::now())))
    }

    /// How long a stopped attempt may take to end: less than the executor's grace, which is as
    /// long as the attempt was given, 5 seconds at most.
    pub(crate) fn grace(&self) -> Duration {
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
