//! What a proxy is told to do, and what it did.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::cut::{Cut, Direction, Ending};

/// How bytes flow through a [`Proxy`](super::Proxy) in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// As they come.
    Pass,
    /// Not at all.
    Stall,
    /// A few at a time.
    Drip {
        /// At most so many at once; 0 counts as 1.
        bytes: usize,
        /// The pause after each.
        every: Duration,
    },
}

/// The first bytes of a message, for who tells how long it is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Head<'a> {
    /// Who sent it.
    pub direction: Direction,
    /// Which message it is of this direction of its connection, counted from 1.
    pub nth: u64,
    /// Its bytes so far; what follows it may stand behind.
    pub bytes: &'a [u8],
}

/// Tells how long a message is.
pub(super) type Frame = Box<dyn Fn(Head<'_>) -> Option<usize> + Send + Sync>;

/// What a proxy and its connections share.
pub(super) struct Shared {
    pub(super) frame: Option<Frame>,
    orders: Mutex<Orders>,
    flows: [watch::Sender<Flow>; 2],
    /// Counted up when every connection is to be cut.
    cut_all: watch::Sender<(u64, Ending)>,
}

#[derive(Debug)]
struct Orders {
    upstream: String,
    refused: bool,
    armed: Option<Cut>,
    /// Counted up each time a cut is armed: what connections count begins anew.
    epoch: u64,
    counts: Counts,
}

/// What a proxy did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: usize,
    pub(super) cuts: usize,
    pub(super) messages: [u64; 2],
    pub(super) bytes: [u64; 2],
}

impl Shared {
    pub(super) fn new(upstream: String, frame: Option<Frame>) -> Self {
        Self {
            frame,
            orders: Mutex::new(Orders {
                upstream,
                refused: false,
                armed: None,
                epoch: 0,
                counts: Counts::default(),
            }),
            flows: [watch::Sender::new(Flow::Pass), watch::Sender::new(Flow::Pass)],
            cut_all: watch::Sender::new((0, Ending::Reset)),
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn redirect(&self, upstream: String) {
        self.orders().upstream = upstream;
    }

    pub(super) fn set_refused(&self, refused: bool) {
        self.orders().refused = refused;
    }

    /// Where a connection that came goes; `None`: nowhere.
    pub(super) fn admit(&self) -> Option<String> {
        let mut orders = self.orders();
        orders.counts.connections += 1;
        (!orders.refused).then(|| orders.upstream.clone())
    }

    pub(super) fn arm(&self, cut: Option<Cut>) {
        let mut orders = self.orders();
        orders.armed = cut;
        orders.epoch += 1;
    }

    /// The cut that waits in a direction, if one does, and since when it is counted.
    pub(super) fn armed(&self, direction: Direction) -> (u64, Option<Cut>) {
        let orders = self.orders();
        (orders.epoch, orders.armed.filter(|cut| cut.direction == direction))
    }

    /// Takes the cut, if it is still the one of this epoch: only one connection meets it.
    pub(super) fn spend(&self, epoch: u64) -> Option<Cut> {
        let mut orders = self.orders();
        let cut = if orders.epoch == epoch { orders.armed.take() } else { None };
        orders.counts.cuts += usize::from(cut.is_some());
        cut
    }

    pub(super) fn count(&self, direction: Direction, bytes: u64, messages: u64) {
        let counts = &mut self.orders().counts;
        counts.bytes[direction as usize] += bytes;
        counts.messages[direction as usize] += messages;
    }

    pub(super) fn counts(&self) -> Counts {
        self.orders().counts
    }

    pub(super) fn set_flow(&self, direction: Direction, flow: Flow) {
        self.flows[direction as usize].send_replace(flow);
    }

    pub(super) fn flow(&self, direction: Direction) -> watch::Receiver<Flow> {
        self.flows[direction as usize].subscribe()
    }

    pub(super) fn cut_all(&self, ending: Ending) {
        self.cut_all.send_modify(|(times, last)| (*times, *last) = (*times + 1, ending));
    }

    pub(super) fn cut_all_orders(&self) -> watch::Receiver<(u64, Ending)> {
        self.cut_all.subscribe()
    }
}
