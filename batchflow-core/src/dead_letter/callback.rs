//! Dead letters to a function.

use std::collections::VecDeque;
use std::fmt;

use async_trait::async_trait;

use super::{DeadLetter, DeadLetterError, DeadLetterSink};
use crate::unwind;

/// Calls `function` with each letter.
///
/// It runs on the flow's runtime: it must not block. A letter on which it panics counts as
/// delivered; the panic is logged without the row's values.
///
/// ```
/// use batchflow_core::dead_letter;
///
/// let sink = dead_letter::callback(|letter| eprintln!("{}", letter.error()));
/// # let _ = sink;
/// ```
pub fn callback<F>(function: F) -> CallbackSink<F>
where
    F: Fn(DeadLetter) + Send + Sync + 'static,
{
    CallbackSink { function }
}

/// Made by [`callback`].
#[derive(Clone)]
pub struct CallbackSink<F> {
    function: F,
}

#[async_trait]
impl<F> DeadLetterSink for CallbackSink<F>
where
    F: Fn(DeadLetter) + Send + Sync + 'static,
{
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        while let Some(letter) = letters.pop_front() {
            let submission = letter.submission();
            let table = letter.request().schema().table().clone();
            if unwind::catch(|| (self.function)(letter)).is_err() {
                tracing::error!(%table, submission, "the dead-letter callback panicked");
            }
        }
        Ok(())
    }
}

impl<F> fmt::Debug for CallbackSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackSink").finish_non_exhaustive()
    }
}
