//! Submitting: what may go wrong.

use std::fmt;

use crate::request::{Request, RequestError};

/// Why a row was not queued. It hands the row back.
///
/// ```
/// use batchflow_core::{ConflictStrategy, Request, Schema, SubmitError};
///
/// fn keep(error: SubmitError) -> Request {
///     eprintln!("not queued: {error}");
///     error.into_request()
/// }
/// # let _ = keep;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SubmitError(Box<NotQueued>);

/// Apart, so that the result of a submit is small.
#[derive(Clone, Debug, PartialEq)]
struct NotQueued {
    request: Request,
    reason: SubmitReason,
}

/// Why a row was not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitReason {
    /// There is no room just now. Only [`try_submit`](crate::BatchFlow::try_submit) says so.
    Full,
    /// The flow is closed or cancelled, or its runtime is gone.
    Closed,
    /// The row itself cannot be written.
    Invalid(RequestError),
}

impl SubmitError {
    pub(super) fn new(request: Request, reason: SubmitReason) -> Self {
        Self(Box::new(NotQueued { request, reason }))
    }

    /// Why.
    pub fn reason(&self) -> &SubmitReason {
        &self.0.reason
    }

    /// The row.
    pub fn request(&self) -> &Request {
        &self.0.request
    }

    /// The row, taken back.
    pub fn into_request(self) -> Request {
        self.0.request
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        self.0.reason == SubmitReason::Full
    }

    /// Whether the flow is closed.
    pub fn is_closed(&self) -> bool {
        self.0.reason == SubmitReason::Closed
    }

    /// Whether the row itself is at fault.
    pub fn is_invalid(&self) -> bool {
        matches!(self.0.reason, SubmitReason::Invalid(_))
    }
}

impl fmt::Display for SubmitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the flow's buffer is full"),
            Self::Closed => f.write_str("the flow is closed"),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.reason.fmt(f)
    }
}

impl std::error::Error for SubmitError {}

/// Where [`submit_all`](crate::BatchFlow::submit_all) stopped, and everything that was not queued.
#[non_exhaustive]
pub struct SubmitAllError<I> {
    /// How many rows were queued before.
    pub submitted: usize,
    /// The row that was not.
    pub request: Request,
    /// Why.
    pub reason: SubmitReason,
    /// The rows after it.
    pub rest: I,
}

impl<I> SubmitAllError<I> {
    pub(super) fn new(submitted: usize, error: SubmitError, rest: I) -> Self {
        let NotQueued { request, reason } = *error.0;
        Self { submitted, request, reason, rest }
    }
}

impl<I> fmt::Debug for SubmitAllError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitAllError")
            .field("submitted", &self.submitted)
            .field("request", &self.request)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<I> fmt::Display for SubmitAllError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} rows: {}", self.submitted, self.reason)
    }
}

impl<I> std::error::Error for SubmitAllError<I> {}
