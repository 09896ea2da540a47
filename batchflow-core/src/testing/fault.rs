//! [`Fault`]: what may go wrong with one attempt, and [`Gate`], which holds attempts up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::driver::WriteError;
use crate::request::Request;

/// What a [`FaultDriver`](super::FaultDriver) does with one attempt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: the batch goes to the driver.
    Pass,
    /// The attempt fails with this error, and nothing is applied.
    Fail(WriteError),
    /// The batch is applied, and the answer is lost: the error says that nobody knows.
    LoseAnswer(WriteError),
    /// The batch is lost on its way, and the error says that nobody knows.
    LoseRequest(WriteError),
    /// Waits until it is cancelled, then returns: nothing is applied.
    Hang,
    /// Never returns, cancelled or not. If `commit_after` is given, the batch is applied that much
    /// later, also when the future was dropped long before: an attempt that nobody could fence.
    Orphan {
        /// When the orphan commits, from the start of its attempt. `None`: never.
        commit_after: Option<Duration>,
    },
    /// Waits this long, or until it is cancelled; then the other fault.
    Delay(Duration, Box<Fault>),
    /// Waits for the gate to open, or until it is cancelled; then the batch goes to the driver.
    Wait(Gate),
    /// Panics, and nothing is applied.
    Panic,
    /// The batch is applied, then the driver panics.
    PanicAfter,
    /// The rows at even positions are written one by one; the others are not applied, for this
    /// reason.
    Partial(WriteError),
    /// The batch is applied, and the report has one verdict too few.
    ShortReport,
}

impl Fault {
    /// [`Fault::Fail`] with a plain error of a kind.
    pub fn fail(error: impl Into<WriteError>) -> Self {
        Self::Fail(error.into())
    }
}

/// Which row of a batch an error names when a [`FaultDriver`](super::FaultDriver) refuses rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blame {
    /// None, as servers do that do not tell.
    Nobody,
    /// The first row at fault.
    First,
    /// Every row at fault.
    Every,
    /// A row that is not at fault.
    Wrong,
}

/// Rows that a [`FaultDriver`](super::FaultDriver) refuses.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) refuses: Arc<dyn Fn(&Request) -> bool + Send + Sync>,
    pub(super) error: WriteError,
    pub(super) blame: Blame,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("blame", &self.blame).finish_non_exhaustive()
    }
}

/// Holds attempts up until a test opens it. A clone is the same gate.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everyone through, now and until it is closed again.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Holds up who comes from now on.
    pub fn close(&self) {
        self.0.send_replace(false);
    }

    /// Whether the gate is open.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the gate is open. Cancel safe.
    pub async fn passed(&self) {
        let mut state = self.0.subscribe();
        if state.wait_for(|open| *open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
