//! Asks the server what became of commits whose answer never came.

use std::sync::Arc;

use tokio::time::Instant;

use super::classify::Classes;
use super::policy::Backoff;
use super::timeout::{GRACE, Limit};
use crate::driver::{
    Attempt, CommitToken, Driver, ErrorClass, ErrorKind, Settled, Stage, Verdict, WriteError,
};
use crate::metrics::{LookupEvent, Reporter};
use crate::unwind::{Panicked, catch_async};

/// What came of one question.
type Answer = Result<Result<Settled, WriteError>, Panicked>;

/// Asks a driver that [can tell](crate::Capabilities::settles).
#[derive(Debug)]
pub(super) struct Settler {
    driver: Arc<dyn Driver>,
    /// How long one question may take.
    limit: Limit,
    reporter: Reporter,
}

/// What is known of an attempt after asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    NotApplied,
    /// It ended; how, nobody can tell.
    Ended,
    /// It has not ended in all the time there was.
    Running,
    /// Nothing was learnt.
    Unclear,
}

impl Fate {
    /// What is known of two commits of one attempt that fared differently.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Running, _) | (_, Self::Running) => Self::Running,
            (Self::Unclear, _) | (_, Self::Unclear) => Self::Unclear,
            _ => Self::Ended,
        }
    }

    /// The verdict of a row that was unknown because of `error`.
    pub(super) fn verdict(self, error: WriteError) -> Verdict {
        match self {
            Self::Committed => Verdict::Written,
            Self::NotApplied => Verdict::NotApplied(error.nothing_applied()),
            Self::Ended => Verdict::Unknown(error.ended()),
            Self::Running => Verdict::Unknown(error.still_running()),
            Self::Unclear => Verdict::Unknown(error),
        }
    }
}

impl Settler {
    /// A settler, if the driver can tell.
    pub(super) fn new(driver: Arc<dyn Driver>, limit: Limit) -> Option<Self> {
        let reporter = Reporter::default();
        driver.capabilities().settles().then_some(Self { driver, limit, reporter })
    }

    pub(super) fn with_reporter(mut self, reporter: Reporter) -> Self {
        self.reporter = reporter;
        self
    }

    /// What became of an attempt. At least one question is asked for each token; none after
    /// `give_up`, or once the flow has stopped.
    pub(super) async fn fate(
        &self,
        attempt: &Attempt,
        give_up: Instant,
        backoff: &Backoff,
        classes: &Classes,
    ) -> Fate {
        let mut fate = None;
        for token in attempt.tokens() {
            let own = self.ask(&token, attempt, give_up, backoff, classes).await;
            match fate {
                None => fate = Some(own),
                Some(others) if others == own => {}
                Some(others) => fate = Some(others.and(own)),
            }
        }
        // The driver records its token before anything can become durable.
        fate.unwrap_or(Fate::NotApplied)
    }

    fn tell(&self, began: Instant, answer: &Result<Answer, tokio::time::error::Elapsed>) {
        let (stage, duration) = (Stage::Settle, began.elapsed());
        let error = match answer {
            Ok(Ok(Ok(_))) => None,
            Ok(Ok(Err(error))) => Some(error.clone().at(stage)),
            Ok(Err(_panicked)) => Some(WriteError::new(ErrorKind::Internal).at(stage)),
            Err(_too_long) => Some(WriteError::new(ErrorKind::Timeout).at(stage)),
        };
        let error = error.as_ref();
        self.reporter.tell(|backend, metrics| {
            metrics.lookup(&LookupEvent { backend, stage, duration, error });
        });
    }

    async fn ask(
        &self,
        token: &CommitToken,
        attempt: &Attempt,
        give_up: Instant,
        backoff: &Backoff,
        classes: &Classes,
    ) -> Fate {
        // The attempt itself has been cancelled; this one tells when the flow stops.
        let flow = attempt.next();
        let mut known = Fate::Unclear;
        for asked in 1.. {
            let limit =
                if flow.is_stopped() { self.limit.get().min(GRACE) } else { self.limit.get() };
            let question = async { self.driver.settle(token).await };
            let began = Instant::now();
            let answer = tokio::time::timeout(limit, catch_async(question)).await;
            self.tell(began, &answer);
            match answer {
                Ok(Ok(Ok(Settled::Committed))) => return Fate::Committed,
                Ok(Ok(Ok(Settled::NotApplied))) => return Fate::NotApplied,
                Ok(Ok(Ok(Settled::Unknown))) => return Fate::Ended,
                Ok(Ok(Ok(Settled::Running))) => known = Fate::Running,
                Err(_too_long) => {}
                Ok(Ok(Err(error))) => {
                    if classes.of(&error.at(Stage::Settle)) != ErrorClass::Transient {
                        return known;
                    }
                }
                Ok(Err(_panicked)) => return known,
            }
            let delay = backoff.delay(asked);
            let next = super::after(Instant::now(), delay);
            if next > give_up || flow.is_stopped() {
                break;
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next) => {}
                () = flow.cancelled() => break,
            }
        }
        known
    }
}
