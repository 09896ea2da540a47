//! [`Throttle`]: at most so many attempts at once.

use std::sync::Arc;

use async_trait::async_trait;

use super::slots::Slots;
use super::{Executor, stopped};
use crate::batch::Batch;
use crate::driver::{Attempt, Report};

/// Lets at most so many attempts run at once; the others wait in the order they came.
#[derive(Debug)]
pub struct Throttle {
    inner: Arc<dyn Executor>,
    slots: Arc<Slots>,
}

impl Throttle {
    /// At most `concurrency` attempts at once, at least one.
    pub fn new(inner: Arc<dyn Executor>, concurrency: usize) -> Self {
        Self::with_slots(inner, Slots::new(concurrency))
    }

    pub(crate) fn with_slots(inner: Arc<dyn Executor>, slots: Arc<Slots>) -> Self {
        Self { inner, slots }
    }
}

#[async_trait]
impl Executor for Throttle {
    async fn execute(&self, batch: Batch, attempt: &Attempt) -> Report {
        let handed = attempt.take_permit();
        let permit = if let Some(permit) = handed {
            permit
        } else {
            tokio::select! {
                biased;
                permit = self.slots.acquire() => permit,
                () = attempt.cancelled() => return stopped(&batch, None),
            }
        };
        let report = self.inner.execute(batch, attempt).await;
        drop(permit);
        report
    }
}
