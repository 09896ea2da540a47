//! The fleet: the batches in flight, and the tables that are being looked up.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::task::JoinSet;

use super::lane::{ClaimNumber, FlightNumber};
use crate::driver::TableInfo;
use crate::outcome::RowError;
use crate::unwind::catch;

/// A batch whose rows are settled.
pub(super) struct Landed {
    pub(super) slot: u32,
    pub(super) flight: FlightNumber,
    pub(super) claims: Vec<ClaimNumber>,
}

/// What comes back.
pub(super) enum Event {
    Landed(Landed),
    Described(u32, Result<TableInfo, RowError>),
    /// Something that was under way was aborted, and its rows are settled.
    Aborted,
}

type OwnFlight = Pin<Box<dyn Future<Output = Landed> + Send>>;

/// What the pump has under way. Dropped, all of it ends.
#[derive(Default)]
pub(super) struct Fleet {
    tasks: JoinSet<Event>,
    /// A batch that the pump flies itself: waking a task of its own, from thread to thread, may
    /// take as long as a small batch's write.
    own: Option<OwnFlight>,
}

impl Fleet {
    /// Flies a batch: a small one in [`next`](Self::next), if no other is flown there.
    pub(super) fn fly(
        &mut self,
        flight: impl Future<Output = Landed> + Send + 'static,
        is_small: bool,
    ) {
        if is_small && self.own.is_none() {
            self.own = Some(Box::pin(flight));
        } else {
            self.tasks.spawn(async { Event::Landed(flight.await) });
        }
    }

    /// Looks a schema's table up.
    pub(super) fn describe(
        &mut self,
        slot: u32,
        described: impl Future<Output = Result<TableInfo, RowError>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { Event::Described(slot, described.await) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.own.is_none()
    }

    /// Waits for what comes back next. Cancel safe.
    pub(super) async fn next(&mut self) -> Event {
        poll_fn(|cx| {
            if let Some(own) = &mut self.own
                && let Poll::Ready(landed) = own.as_mut().poll(cx)
            {
                self.own = None;
                return Poll::Ready(Event::Landed(landed));
            }
            match self.tasks.poll_join_next(cx) {
                Poll::Ready(Some(event)) => Poll::Ready(event.unwrap_or(Event::Aborted)),
                // One that is empty is filled by nobody but who waits here.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// What else has come back.
    pub(super) fn try_next(&mut self) -> Option<Event> {
        self.tasks.try_join_next().map(|event| event.unwrap_or(Event::Aborted))
    }

    /// Ends all that is under way; each task that is ended so comes back as such.
    pub(super) fn abort(&mut self) {
        self.tasks.abort_all();
        // What a driver's future does as it is dropped, is the driver's.
        let _ = self.own.take().map(|own| catch(|| drop(own)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed(slot: u32) -> Landed {
        Landed { slot, flight: FlightNumber::MIN, claims: Vec::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn one_small_batch_flies_where_it_is_waited_for_and_all_others_beside_it() {
        let mut fleet = Fleet::default();
        for slot in 0..3 {
            fleet.fly(async move { landed(slot) }, true);
        }
        assert_eq!((fleet.tasks.len(), fleet.own.is_some()), (2, true));
        let mut slots = Vec::new();
        while !fleet.is_empty() {
            if let Event::Landed(landed) = fleet.next().await {
                slots.push(landed.slot);
            }
        }
        assert_eq!(slots[0], 0);
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_aborted_comes_back_as_such() {
        let mut fleet = Fleet::default();
        for is_small in [true, false] {
            fleet.fly(std::future::pending(), is_small);
        }
        fleet.abort();
        assert!(matches!(fleet.next().await, Event::Aborted));
        assert!(fleet.is_empty());
    }
}
