//! [`Deadline`]: what an attempt has of time.

use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, ErrorKind, WriteError};
use crate::executor::{GRACE, after};

/// What an attempt has of time, as a driver's write looks at it.
///
/// ```
/// use std::time::Duration;
///
/// use batchflow_core::{Attempt, Deadline, ErrorKind};
/// use tokio::time::Instant;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_secs(2));
/// let deadline = Deadline::of(&attempt);
/// let why = tokio::select! {
///     why = deadline.stopped(&attempt) => why,
///     () = tokio::time::sleep(Duration::from_secs(60)) => unreachable!("the server's answer"),
/// };
/// assert_eq!(why.kind(), ErrorKind::Timeout);
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    at: Option<Instant>,
}

impl Deadline {
    /// That of an attempt, which begins now.
    pub fn of(attempt: &Attempt) -> Self {
        Self { began: Instant::now(), at: attempt.deadline() }
    }

    /// None: whatever is done may take as long as it does.
    pub fn none() -> Self {
        Self { began: Instant::now(), at: None }
    }

    /// How much is left; `None` where there is no deadline.
    pub fn left(&self) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The earlier of the deadline and so long from now; where the clock does not reach that far,
    /// 30 years from now.
    pub fn within(&self, most: Duration) -> Instant {
        let most = after(Instant::now(), most);
        self.at.map_or(most, |at| at.min(most))
    }

    /// How long an attempt that was stopped may take to end: three fifths of what it was given, 3
    /// seconds at most. Whoever stopped it waits a little longer.
    pub fn grace(&self) -> Duration {
        let given = self.at.map_or(GRACE, |at| (at - self.began).min(GRACE));
        given * 3 / 5
    }

    /// Resolves once the attempt has to stop, with the reason: its deadline is over, or it was
    /// [cancelled](Attempt::cancelled).
    ///
    /// Cancel safe.
    pub async fn stopped(&self, attempt: &Attempt) -> WriteError {
        let over = async {
            match self.at {
                Some(at) => tokio::time::sleep_until(at).await,
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
        if self.at.is_some_and(|at| Instant::now() >= at) {
            WriteError::new(ErrorKind::Timeout).with_message("the attempt's deadline is over")
        } else {
            WriteError::new(ErrorKind::Cancelled).with_message("the attempt was cancelled")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_stops_at_its_deadline_or_when_it_is_told() {
        let started = Instant::now();
        let attempt = Attempt::new().with_deadline(started + Duration::from_secs(2));
        let deadline = Deadline::of(&attempt);
        assert_eq!(deadline.left(), Some(Duration::from_secs(2)));
        assert_eq!(deadline.within(Duration::from_secs(1)), started + Duration::from_secs(1));
        assert_eq!(deadline.within(Duration::from_secs(9)), started + Duration::from_secs(2));
        assert_eq!(deadline.within(Duration::MAX), started + Duration::from_secs(2));
        assert_eq!(deadline.grace(), Duration::from_millis(1_200));
        let why = deadline.stopped(&attempt).await;
        assert_eq!((why.kind(), started.elapsed()), (ErrorKind::Timeout, Duration::from_secs(2)));
        assert_eq!(deadline.left(), Some(Duration::ZERO));

        let (attempt, unlimited) = (Attempt::new(), Deadline::none());
        assert_eq!((unlimited.left(), unlimited.grace()), (None, Duration::from_secs(3)));
        let year = Duration::from_secs(365 * 24 * 3_600);
        assert!(unlimited.within(Duration::MAX) >= started + 29 * year);
        attempt.cancel();
        assert_eq!(unlimited.stopped(&attempt).await.kind(), ErrorKind::Cancelled);
    }
}
