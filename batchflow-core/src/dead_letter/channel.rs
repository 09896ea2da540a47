//! Dead letters through a bounded channel.

use std::collections::VecDeque;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};

use super::{DeadLetter, DeadLetterError, DeadLetterSink};

/// A channel that holds up to `capacity` letters, at least 1.
///
/// While it is full, the flow starts no new batch: read the stream. When the stream is dropped,
/// later letters are logged without their values and counted as undeliverable.
///
/// ```
/// use batchflow_core::dead_letter;
///
/// let (sink, mut letters) = dead_letter::channel(1_000);
/// // BatchFlow::builder(driver).dead_letters(sink)
/// # drop(sink);
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// while let Some(letter) = letters.recv().await {
///     eprintln!("row {} was not written: {}", letter.submission(), letter.error());
/// }
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn channel(capacity: usize) -> (ChannelSink, DeadLetterStream) {
    let (sender, receiver) = mpsc::channel(capacity.clamp(1, Semaphore::MAX_PERMITS));
    (ChannelSink { sender }, DeadLetterStream { receiver })
}

/// The sending end of a [`channel`]. A clone sends into the same channel.
#[derive(Clone, Debug)]
pub struct ChannelSink {
    sender: mpsc::Sender<DeadLetter>,
}

#[async_trait]
impl DeadLetterSink for ChannelSink {
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        while !letters.is_empty() {
            let place = self.sender.reserve().await.map_err(|_| DeadLetterError::Closed)?;
            if let Some(letter) = letters.pop_front() {
                place.send(letter);
            }
        }
        Ok(())
    }
}

/// The receiving end of a [`channel`].
///
/// It ends when every flow that holds the sink, and every clone of it, is gone. With the feature
/// `futures-03` it is a `Stream`.
#[derive(Debug)]
pub struct DeadLetterStream {
    receiver: mpsc::Receiver<DeadLetter>,
}

impl DeadLetterStream {
    /// The next letter; `None` when there will be none.
    ///
    /// Cancel safe: a dropped `recv` has taken no letter.
    pub async fn recv(&mut self) -> Option<DeadLetter> {
        self.receiver.recv().await
    }

    /// The next letter, if one is there.
    pub fn try_recv(&mut self) -> Option<DeadLetter> {
        self.receiver.try_recv().ok()
    }
}

#[cfg(feature = "futures-03")]
impl futures_core::Stream for DeadLetterStream {
    type Item = DeadLetter;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<DeadLetter>> {
        self.receiver.poll_recv(context)
    }
}
