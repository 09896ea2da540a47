//! [`Receipt`]: the verdict of one row, to be awaited.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::driver::{ErrorKind, WriteError};
use crate::outcome::{Outcome, RowError};

/// The verdict of one row, to be awaited; from
/// [`submit_tracked`](crate::BatchFlow::submit_tracked).
///
/// It resolves once, whatever happens to the flow, and never lies. Dropping it changes nothing for
/// the row. Cancel safe: a `&mut Receipt` can be awaited again.
#[derive(Debug)]
#[must_use = "a receipt that is not awaited tells nothing; use `submit` for unwatched rows"]
pub struct Receipt {
    submission: u64,
    verdict: oneshot::Receiver<Result<Outcome, RowError>>,
}

impl Receipt {
    pub(super) fn new(
        submission: u64,
        verdict: oneshot::Receiver<Result<Outcome, RowError>>,
    ) -> Self {
        Self { submission, verdict }
    }

    /// The row's number among all that its flow was given, from 0; its dead letter bears it too.
    pub fn submission(&self) -> u64 {
        self.submission
    }
}

impl Future for Receipt {
    type Output = Result<Outcome, RowError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.verdict).poll(cx).map(|verdict| {
            verdict.unwrap_or_else(|_| {
                let lost = WriteError::new(ErrorKind::Internal).outcome_unknown();
                Err(RowError::Unknown(lost.with_message("the flow ended without a verdict")))
            })
        })
    }
}
