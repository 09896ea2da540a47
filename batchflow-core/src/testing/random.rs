//! [`RandomFaults`]: faults drawn by a seed.

use std::time::Duration;

use crate::driver::{ErrorKind, Stage, WriteError};

use super::fault::Fault;

/// Faults drawn by a seed: the same seed draws the same faults.
///
/// ```
/// use batchflow_core::testing::{FaultDriver, MemoryDriver, RandomFaults};
///
/// let driver = FaultDriver::new(MemoryDriver::new());
/// driver.random(RandomFaults::seeded(7).rate(0.2).without_panics());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RandomFaults {
    dice: fastrand::Rng,
    rate: f64,
    panics: bool,
    orphans: bool,
    lost_answers: bool,
    longest_delay: Duration,
}

const TRANSIENT: [ErrorKind; 8] = [
    ErrorKind::Deadlock,
    ErrorKind::Serialization,
    ErrorKind::LockTimeout,
    ErrorKind::Timeout,
    ErrorKind::Connection,
    ErrorKind::Io,
    ErrorKind::ReadOnly,
    ErrorKind::Resource,
];

impl RandomFaults {
    /// Faults of every kind in a third of the attempts, with delays of up to a minute.
    pub fn seeded(seed: u64) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed),
            rate: 1.0 / 3.0,
            panics: true,
            orphans: true,
            lost_answers: true,
            longest_delay: Duration::from_secs(60),
        }
    }

    /// The share of attempts that meet a fault, 0 to 1.
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// No attempt panics.
    pub fn without_panics(mut self) -> Self {
        self.panics = false;
        self
    }

    /// No attempt outlives its cancellation.
    pub fn without_orphans(mut self) -> Self {
        self.orphans = false;
        self
    }

    /// No answer is lost: every failure leaves surely nothing.
    pub fn without_lost_answers(mut self) -> Self {
        self.lost_answers = false;
        self
    }

    /// The longest delay of an attempt, and the longest time until an orphan commits.
    pub fn longest_delay(mut self, delay: Duration) -> Self {
        self.longest_delay = delay;
        self
    }

    /// Draws the next fault.
    pub fn draw(&mut self) -> Fault {
        if self.dice.f64() >= self.rate {
            return Fault::Pass;
        }
        match self.dice.u8(..16) {
            0..=4 => Fault::Fail(self.transient()),
            5 if self.lost_answers => Fault::LoseAnswer(self.lost()),
            6 if self.lost_answers => Fault::LoseRequest(self.lost()),
            7 => Fault::Hang,
            8 if self.orphans => {
                let commit_after = self.dice.bool().then(|| self.delay());
                Fault::Orphan { commit_after }
            }
            9 if self.panics => Fault::Panic,
            10 if self.panics => Fault::PanicAfter,
            11 => Fault::Partial(self.transient()),
            12 if self.lost_answers => Fault::ShortReport,
            13 => {
                let then = Fault::Fail(self.transient());
                Fault::Delay(self.delay(), Box::new(then))
            }
            _ => Fault::Delay(self.delay(), Box::new(Fault::Pass)),
        }
    }

    fn transient(&mut self) -> WriteError {
        let kind = self.dice.choice(TRANSIENT).unwrap_or(ErrorKind::Connection);
        let error = WriteError::new(kind);
        if self.dice.u8(..8) == 0 { error.with_retry_after(self.delay()) } else { error }
    }

    fn lost(&mut self) -> WriteError {
        let kind = if self.dice.bool() { ErrorKind::Connection } else { ErrorKind::Timeout };
        WriteError::new(kind).at(Stage::Commit)
    }

    fn delay(&mut self) -> Duration {
        self.longest_delay.mul_f64(self.dice.f64().powi(3))
    }
}
