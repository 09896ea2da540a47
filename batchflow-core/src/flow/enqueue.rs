//! [`Enqueue`]: a row on its way into the queue.
//!
//! Each move of a row takes a good part of the time that the queue's mutex does. So the row is
//! moved into the future that its submitter polls, and from there into the queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::Thread;
use std::time::Instant as Clock;

use super::queue::{Queue, Refused, Reply};
use super::shared::{Shared, Waiting};
use super::submit::SubmitError;
use crate::request::Request;

/// Queues a row, and waits for room if there is none; ready with the row's submission number.
/// Dropped before it is done, the row is not queued.
pub(super) struct Enqueue<'a> {
    shared: &'a Shared,
    wait: Wait<'a>,
    /// Since when it waits for room, if it does.
    waiting: Option<Waiting>,
}

impl<'a> Enqueue<'a> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, request: Request, reply: Option<Reply>) -> Self {
        Self { shared, wait: Wait::new(&shared.queue, request, reply), waiting: None }
    }

    /// Queues the row if there is room now.
    #[inline]
    pub(super) fn now(mut self) -> Result<(), SubmitError> {
        let sample = self.shared.sample();
        let Err(refused) = self.push(sample) else { return Ok(()) };
        self.take_back(refused).map_or(Ok(()), Err)
    }

    /// Queues the row, blocking this thread until there is room or the flow closes.
    pub(super) fn block(mut self) -> Result<(), SubmitError> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let mut poll = |waker: &Waker| {
            let polled = Pin::new(&mut self).poll(&mut Context::from_waker(waker));
            polled.map_ok(|_submission| ())
        };
        // Mostly there is room, and nobody to wake.
        if let Poll::Ready(done) = poll(Waker::noop()) {
            return done;
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            match poll(&waker) {
                Poll::Ready(done) => return done,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[inline]
    fn push(&mut self, sample: Option<Clock>) -> Result<u64, Refused> {
        let Some(request) = &self.wait.request else { return Err(Refused::Closed) };
        if !self.shared.admits(request) {
            return Err(Refused::Invalid);
        }
        if self.shared.is_cancelled() {
            return Err(Refused::Closed);
        }
        let submission = self.wait.queue.try_push(&mut self.wait.request, &mut self.wait.reply)?;
        if let Some(began) = sample {
            self.shared.tell_submit(began, false, true);
        }
        Ok(submission)
    }

    #[cold]
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64, SubmitError>> {
        // It may have got its room before the flow was cancelled.
        if self.shared.is_cancelled() {
            return self.give_up(Refused::Closed);
        }
        match ready!(Pin::new(&mut self.wait).poll(cx)) {
            Ok(submission) => {
                if let Some(waiting) = self.waiting {
                    self.shared.end_wait(waiting);
                }
                Poll::Ready(Ok(submission))
            }
            Err(refused) => self.give_up(refused),
        }
    }

    #[cold]
    fn give_up(&mut self, refused: Refused) -> Poll<Result<u64, SubmitError>> {
        // Without its row it has been ready before.
        self.take_back(refused).map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
    }

    #[cold]
    fn take_back(&mut self, refused: Refused) -> Option<SubmitError> {
        let request = self.wait.request.take()?;
        Some(self.shared.refuse(request, refused))
    }
}

impl Future for Enqueue<'_> {
    type Output = Result<u64, SubmitError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            let sample = this.shared.sample();
            match this.push(sample) {
                Ok(submission) => return Poll::Ready(Ok(submission)),
                Err(Refused::Full) => this.waiting = Some(this.shared.begin_wait(sample)),
                Err(refused) => return this.give_up(refused),
            }
        }
        this.poll_room(cx)
    }
}

/// [`Enqueue`] for who does not ask for the submission number.
pub(super) struct Submit<'a>(pub(super) Enqueue<'a>);

impl Future for Submit<'_> {
    type Output = Result<(), SubmitError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(|_submission| ())
    }
}

/// Waits for room and queues a row. Where it is refused, the row is left.
pub(super) struct Wait<'a> {
    queue: &'a Queue,
    ticket: Option<u64>,
    pub(super) request: Option<Request>,
    reply: Option<Reply>,
}

impl<'a> Wait<'a> {
    #[inline]
    pub(super) fn new(queue: &'a Queue, request: Request, reply: Option<Reply>) -> Self {
        Self { queue, ticket: None, request: Some(request), reply }
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
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.queue.leave(ticket);
        }
    }
}
