//! Dead letters: the rows that were not written, with their values and why.
//!
//! Every row that ends rejected or unknown goes to the flow's [`DeadLetterSink`], whether or not
//! anyone awaits its receipt: to a bounded [`channel`], a [`callback`], a file of
//! JSON lines ([`FileSink`]) or a sink of your own.
//! Without a sink, each is logged without its values, and counted.
//!
//! A sink that is full or fails holds back new batches, never verdicts, and loses no letter: what
//! it has not taken is offered again until the flow's close is over.

mod callback;
mod channel;
mod error;
mod file;
mod hub;
mod json;
mod reader;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use callback::{CallbackSink, callback};
pub use channel::{ChannelSink, DeadLetterStream, channel};
pub use error::DeadLetterError;
pub use file::FileSink;
pub(crate) use hub::{Hub, log_undeliverable, log_without_sink};
pub use reader::{LetterLines, read_file, read_lines};

use crate::outcome::RowError;
use crate::request::Request;

/// A row that was not written, or of which nobody knows whether it was.
///
/// `Debug` shows the columns and kinds of the row, never its values.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    submission: u64,
    request: Request,
    error: RowError,
}

impl DeadLetter {
    /// The letter for the row that was submitted as number `submission`.
    pub fn new(submission: u64, request: Request, error: RowError) -> Self {
        Self { submission, request, error }
    }

    /// The row's number among all that its flow or writer was given, from 0.
    pub fn submission(&self) -> u64 {
        self.submission
    }

    /// The row with its values, as it was submitted.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The row with its values, to be submitted again.
    pub fn into_request(self) -> Request {
        self.request
    }

    /// What became of the row, and why.
    pub fn error(&self) -> &RowError {
        &self.error
    }
}

/// Where dead letters go.
///
/// A sink may be shared by flows as an `Arc`. One that panics harms only the letter it panicked
/// on.
#[async_trait]
pub trait DeadLetterSink: fmt::Debug + Send + Sync + 'static {
    /// Takes letters from the front, in order.
    ///
    /// A letter is removed once it is safe, not before: those that are left are offered again,
    /// at once after `Ok`, after a pause after an error, so that none is lost and none delivered
    /// twice. To have no room is no error: wait for it. The future is dropped when the time of
    /// the flow's close is over.
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError>;

    /// Called once by each flow, after its last letter.
    async fn close(&self) {}
}

#[async_trait]
impl<S: DeadLetterSink + ?Sized> DeadLetterSink for Arc<S> {
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        (**self).deliver(letters).await
    }

    async fn close(&self) {
        (**self).close().await;
    }
}

#[cfg(test)]
mod tests;
