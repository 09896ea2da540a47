//! [`Throttle`]: at most so many attempts at once.

use std::sync::Arc;

use async_trait::async_trait;

use super::drive::describe;
use super::slots::Slots;
use super::{Executor, stopped};
use crate::batch::Batch;
use crate::driver::{Attempt, ErrorKind, Report, Verdict, WriteError};

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
        let handed = attempt.take_permit(&self.slots);
        let permit = if let Some(permit) = handed {
            permit
        } else {
            let given_up = async {
                match attempt.begins_by() {
                    Some(latest) => tokio::time::sleep_until(latest).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                permit = self.slots.acquire() => permit,
                () = attempt.cancelled() => return stopped(&batch, None),
                () = given_up => return too_late(&batch),
            }
        };
        let report = self.inner.execute(batch, attempt).await;
        drop(permit);
        report
    }
}

/// The rows of a retry were given up while it waited for its turn.
fn too_late(batch: &Batch) -> Report {
    let error = WriteError::new(ErrorKind::Timeout)
        .with_message("no attempt could begin again before the row was given up");
    Report::same(Verdict::NotApplied(describe(error, batch)))
}
