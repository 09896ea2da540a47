//! Panics of user code, caught where they happen.
//!
//! The payload of a panic is dropped unseen: it may hold values.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// User code panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Calls user code.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// Drives a future of user code. As cancel safe as the future is; dropped half-way, it also catches
/// a panic of the future's clean-up.
pub(crate) async fn catch_async<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut guarded = Guarded(Some(Box::pin(future)));
    poll_fn(|context| {
        let Some(future) = &mut guarded.0 else { return Poll::Pending };
        match catch(|| future.as_mut().poll(context)) {
            Ok(poll) => poll.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    })
    .await
}

/// A future whose drop panics nowhere.
struct Guarded<F>(Option<Pin<Box<F>>>);

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        // A clean-up that panics has nowhere else to go.
        let _ = catch(|| drop(self.0.take()));
    }
}
