//! Submitting: what may go wrong, and waiting for room.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use super::queue::{Queue, Refused, Reply};
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
pub struct SubmitError {
    request: Box<Request>,
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
        Self { request: Box::new(request), reason }
    }

    /// Why.
    pub fn reason(&self) -> &SubmitReason {
        &self.reason
    }

    /// The row.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The row, taken back.
    pub fn into_request(self) -> Request {
        *self.request
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        self.reason == SubmitReason::Full
    }

    /// Whether the flow is closed.
    pub fn is_closed(&self) -> bool {
        self.reason == SubmitReason::Closed
    }

    /// Whether the row itself is at fault.
    pub fn is_invalid(&self) -> bool {
        matches!(self.reason, SubmitReason::Invalid(_))
    }
}

impl From<Refused> for (Request, SubmitReason) {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full(request) => (request, SubmitReason::Full),
            Refused::Closed(request) => (request, SubmitReason::Closed),
        }
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
        self.reason.fmt(f)
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
        let SubmitError { request, reason } = error;
        Self { submitted, request: *request, reason, rest }
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

/// Waits for room and queues a row. Dropped before it is done, the row is not queued.
pub(super) struct Wait<'a> {
    queue: &'a Queue,
    ticket: Option<u64>,
    request: Option<Request>,
    reply: Option<Reply>,
}

impl<'a> Wait<'a> {
    pub(super) fn new(queue: &'a Queue, request: Request, reply: Option<Reply>) -> Self {
        Self { queue, ticket: None, request: Some(request), reply }
    }

    /// Blocks this thread until the row is queued or the flow closes.
    pub(super) fn block(mut self) -> Result<u64, Refused> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut cx) {
                Poll::Ready(done) => return done,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl Future for Wait<'_> {
    type Output = Result<u64, Refused>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.queue.poll_push(&mut this.ticket, &mut this.request, &mut this.reply, cx)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.queue.leave(ticket);
        }
    }
}
