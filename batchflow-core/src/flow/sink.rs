//! [`FlowSink`]: a flow as a `Sink` of the `futures` crates, version 0.3.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::stats::Counts;
use super::submit::SubmitError;
use super::{BatchFlow, FlowStopped};
use crate::request::Request;

type Submitting = Pin<Box<dyn Future<Output = Result<(), SubmitError>> + Send>>;
type Flushing = Pin<Box<dyn Future<Output = Result<Counts, FlowStopped>> + Send>>;

/// A flow as a [`Sink`]; made by [`BatchFlow::sink`].
///
/// It is ready when its last row is queued. Flushing waits until every row submitted before is
/// settled; closing flushes, and leaves the flow open for its other clones.
#[must_use = "a sink does nothing until rows are sent into it"]
pub struct FlowSink {
    flow: BatchFlow,
    submitting: Option<Submitting>,
    flushing: Option<Flushing>,
}

/// Why a [`FlowSink`] failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SinkError {
    /// A row was not queued; the error hands it back.
    Submit(SubmitError),
    /// The flow's runtime shut down before every row was settled.
    Stopped(FlowStopped),
}

impl std::fmt::Display for SinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Submit(error) => error.fmt(f),
            Self::Stopped(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SinkError {}

impl BatchFlow {
    /// The flow as a [`Sink`] of rows, for [`StreamExt::forward`] and its kin.
    ///
    /// [`StreamExt::forward`]: https://docs.rs/futures/0.3/futures/stream/trait.StreamExt.html
    pub fn sink(&self) -> FlowSink {
        FlowSink { flow: self.clone(), submitting: None, flushing: None }
    }
}

impl FlowSink {
    fn poll_submitted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        let Some(submitting) = &mut self.submitting else { return Poll::Ready(Ok(())) };
        let submitted = ready!(submitting.as_mut().poll(cx));
        self.submitting = None;
        Poll::Ready(submitted.map_err(SinkError::Submit))
    }
}

impl Sink<Request> for FlowSink {
    type Error = SinkError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        self.poll_submitted(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, request: Request) -> Result<(), SinkError> {
        // A flush that has begun is not for this row.
        self.flushing = None;
        match self.flow.try_submit(request) {
            Err(error) if error.is_full() => {
                let (flow, request) = (self.flow.clone(), error.into_request());
                self.submitting = Some(Box::pin(async move { flow.submit(request).await }));
                Ok(())
            }
            done => done.map_err(SinkError::Submit),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        ready!(self.poll_submitted(cx))?;
        let flow = self.flow.clone();
        let flushing =
            self.flushing.get_or_insert_with(|| Box::pin(async move { flow.flush().await }));
        let flushed = ready!(flushing.as_mut().poll(cx));
        self.flushing = None;
        Poll::Ready(flushed.map(drop).map_err(SinkError::Stopped))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        self.poll_flush(cx)
    }
}

impl std::fmt::Debug for FlowSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowSink").field("flow", &self.flow).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::batch::Batch;
    use crate::driver::WriteError;
    use crate::flow::driver_fn;
    use crate::schema::{ConflictStrategy, Schema};

    #[tokio::test(start_paused = true)]
    async fn a_close_waits_for_rows_that_were_sent_after_a_flush_began() {
        let gates: [_; 2] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
        let held = gates.clone();
        let driver = driver_fn("gates", move |batch: Batch| {
            let id: i64 = batch.request(0).unwrap().get("id").unwrap().unwrap();
            let gate = Arc::clone(&held[id as usize]);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok::<_, WriteError>(())
            }
        });
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
        let flow = BatchFlow::builder(driver).flush_size(1).build().unwrap();
        let mut sink = flow.sink();
        let mut sink = Pin::new(&mut sink);

        sink.as_mut().start_send(schema.row((0_i64,)).unwrap()).unwrap();
        let flushed = poll_fn(|cx| Poll::Ready(sink.as_mut().poll_flush(cx))).await;
        assert!(flushed.is_pending());
        sink.as_mut().start_send(schema.row((1_i64,)).unwrap()).unwrap();
        gates[0].add_permits(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(flow.stats().written, 1);
        let closed = poll_fn(|cx| Poll::Ready(sink.as_mut().poll_close(cx))).await;
        assert!(closed.is_pending(), "the second row is not settled");
        gates[1].add_permits(1);
        poll_fn(|cx| sink.as_mut().poll_close(cx)).await.unwrap();
        assert_eq!(flow.stats().written, 2);
    }
}
