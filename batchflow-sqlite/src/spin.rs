//! [`Spin`]: waiting awake for the answer to a small batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use batchflow_core::Batch;
use tokio::sync::oneshot::{self, error::RecvError};

/// A batch of at most so many rows is small: its commit is most of what it takes.
const SMALL: usize = 8;

/// Keeps a thread of the runtime awake until a small batch is written.
///
/// A thread that sleeps has to be woken, by the writer for the answer and for the next row the
/// other way round. On many machines either takes as long as a small commit.
#[derive(Debug)]
pub(crate) struct Spin {
    limit: Duration,
    /// What the last small batch took, in nanoseconds.
    last: AtomicU64,
}

impl Spin {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, last: AtomicU64::new(0) }
    }

    /// When a batch is sent, if it is small.
    pub(crate) fn start(batch: &Batch) -> Option<Instant> {
        (batch.len() <= SMALL).then(Instant::now)
    }

    /// The answer to a batch: awaited awake for a while, where it is a small one, sent then, and its
    /// answer is likely to come soon. What else is ready to run does so meanwhile. Cancel safe.
    pub(crate) async fn answer<T>(
        &self,
        sent: Option<Instant>,
        answer: &mut oneshot::Receiver<T>,
    ) -> Result<T, RecvError> {
        let Some(sent) = sent else { return answer.await };
        while self.is_worth_it() && answer.is_empty() && sent.elapsed() < self.limit {
            // The writer may share the processor with this thread.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
        let answered = answer.await;
        self.note(sent);
        answered
    }

    fn note(&self, sent: Instant) {
        let took = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(took, Ordering::Relaxed);
    }

    /// Whether the last small batch was written soon enough.
    fn is_worth_it(&self) -> bool {
        Duration::from_nanos(self.last.load(Ordering::Relaxed)) < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_is_not_waited_for_awake() {
        let spin = Spin::new(Duration::from_secs(5));
        assert!(spin.is_worth_it());
        spin.note(Instant::now().checked_sub(Duration::from_secs(6)).unwrap());
        assert!(!spin.is_worth_it());
        spin.note(Instant::now());
        assert!(spin.is_worth_it());
        assert!(!Spin::new(Duration::ZERO).is_worth_it());
    }

    #[tokio::test]
    async fn an_answer_that_comes_after_the_limit_is_waited_for_all_the_same() {
        for limit in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
            let spin = Spin::new(limit);
            let (sender, mut receiver) = oneshot::channel();
            let mut answer = std::pin::pin!(spin.answer(Some(Instant::now()), &mut receiver));
            tokio::select! {
                biased;
                _ = &mut answer => panic!("there is no answer yet"),
                () = tokio::time::sleep(Duration::from_millis(5)) => sender.send(7).unwrap(),
            }
            assert_eq!(answer.await, Ok(7));
        }
    }
}
