//! Who does what to the flow of one schedule, and how it ends.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use batchflow_core::conformance::EntryId;
use batchflow_core::{BatchFlow, Receipt, Request, SubmitError, Summary};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::plan::{Ending, Keys, Plan};
use crate::world::{PATIENCE, World};

/// Plays the schedule. Returns what the close told, where there was one.
pub(crate) async fn play(plan: &Plan, world: &World) -> Option<Summary> {
    let flow = world.flow(plan);
    let markers = Arc::new(AtomicI64::new(1));
    let mut watchers = JoinSet::new();
    let ended = {
        let (done, mut receipts) = tokio::sync::mpsc::unbounded_channel();
        let actors = (0..plan.actors).map(|number| {
            let actor = Actor {
                plan,
                world,
                flow: flow.clone(),
                markers: Arc::clone(&markers),
                dice: plan.dice(100 + number as u64),
                receipts: done.clone(),
            };
            actor.run()
        });
        let actors: Vec<_> = actors.collect();
        drop(done);
        let history = world.history.clone();
        let watch = async {
            while let Some((entry, receipt)) = receipts.recv().await {
                let history = history.clone();
                let receipt: Receipt = receipt;
                watchers.spawn(async move { history.settled(entry, &receipt.await) });
            }
        };
        let (ended, ()) = tokio::join!(end(plan, world, flow, actors), watch);
        ended
    };
    // Every receipt resolves, whatever happened.
    while let Ok(Some(watched)) = timeout(PATIENCE, watchers.join_next()).await {
        watched.unwrap();
    }
    if !watchers.is_empty() {
        world.complain(format!("promise 2: {} receipts hang", watchers.len()));
    }
    ended
}

/// Runs the actors, and ends the flow amid or after them.
async fn end(
    plan: &Plan,
    world: &World,
    flow: BatchFlow,
    actors: Vec<impl Future<Output = ()>>,
) -> Option<Summary> {
    let mut together = Together::new(actors);
    let abort_at = plan.aborts_an_actor.then(|| plan.dice(6).f64());
    let abort_at = abort_at.map(|share| plan.ends_at.mul_f64(share));
    if let Some(at) = abort_at {
        let _ = timeout(at, together.all()).await;
        together.drop_one();
    }
    let rest = plan.ends_at.saturating_sub(abort_at.unwrap_or_default());
    match plan.ending {
        Ending::CloseAfter => {
            together.all().await;
            Some(close(world, flow, None).await)
        }
        Ending::CloseAmid | Ending::CloseWithin(_) | Ending::Cancel { .. } => {
            let _ = timeout(rest, together.all()).await;
            let limit = match plan.ending {
                Ending::CloseWithin(limit) => Some(limit),
                Ending::Cancel { .. } => {
                    world.cancel.send_replace(true);
                    cancelled_means_not_queued(world, &flow).await;
                    None
                }
                _ => None,
            };
            let (summary, ()) = tokio::join!(close(world, flow, limit), together.all());
            Some(summary)
        }
        Ending::Drop => {
            let _ = timeout(rest, together.all()).await;
            drop(together);
            drop(flow);
            let closed = async {
                while world.driver.inner().inner().closed() == 0 {
                    sleep(plan.grace).await;
                }
            };
            if timeout(PATIENCE, closed).await.is_err() {
                world.complain("promise 9: a dropped flow never ended".to_owned());
            }
            None
        }
    }
}

async fn close(world: &World, flow: BatchFlow, limit: Option<Duration>) -> Summary {
    let closing = async {
        match limit {
            Some(limit) => flow.close_within(limit).await,
            None => flow.close().await,
        }
    };
    let summary = timeout(PATIENCE, closing).await.expect("promise 9: a close never ended");
    let summary = summary.expect("the runtime is there");
    let closed = world.driver.inner().inner().closed();
    if closed != 1 {
        world.complain(format!("the driver was closed {closed} times"));
    }
    let late = world.schemas[1].row((1_i64, -1_i64)).unwrap();
    let refused = flow.submit(late.clone()).await;
    if !refused.is_err_and(|error| error.is_closed() && *error.request() == late) {
        world.complain("promise 7: a closed flow took a row".to_owned());
    }
    summary
}

async fn cancelled_means_not_queued(world: &World, flow: &BatchFlow) {
    let late = world.schemas[1].row((1_i64, -2_i64)).unwrap();
    if flow.submit(late).await.is_ok() {
        world.complain("promise 7: a cancelled flow took a row".to_owned());
    }
}

struct Actor<'a> {
    plan: &'a Plan,
    world: &'a World,
    flow: BatchFlow,
    markers: Arc<AtomicI64>,
    dice: fastrand::Rng,
    receipts: tokio::sync::mpsc::UnboundedSender<(EntryId, Receipt)>,
}

impl Actor<'_> {
    async fn run(mut self) {
        for _ in 0..self.plan.steps {
            self.step().await;
            self.world.look(self.flow.stats());
            let pause = self.plan.pace.mul_f64(self.dice.f64().powi(4));
            match self.dice.u8(..8) {
                0..=2 => sleep(pause).await,
                3 => tokio::task::yield_now().await,
                _ => {}
            }
        }
    }

    async fn step(&mut self) {
        match self.dice.u8(..32) {
            0 => {
                let _ = timeout(PATIENCE, self.flow.flush()).await.map_err(|_| {
                    self.world.complain("promise 9: a flush never ended".to_owned());
                });
            }
            1 => {
                let wait = self.plan.pace;
                let _ = timeout(wait, self.flow.flush()).await;
            }
            2 => self.tune(),
            3 => self.submit_all().await,
            4..=6 => self.submit_and_drop().await,
            7..=8 => self.try_submit(),
            9..=12 => self.submit_and_wait().await,
            13..=20 => self.submit().await,
            _ => {
                self.submit_tracked().await;
            }
        }
    }

    fn tune(&mut self) {
        let (size, concurrency) = (self.dice.usize(1..16), self.dice.usize(1..5));
        let interval = self.plan.pace.mul_f64(self.dice.f64());
        let mut most = self.world.concurrency.lock().unwrap();
        *most = concurrency.max(*most);
        self.flow
            .tune(|tune| tune.flush_size(size).concurrency(concurrency).flush_interval(interval));
        drop(self.flow.health());
    }

    /// A row with its entry in the history, begun.
    fn begin(&mut self, tracked: bool) -> (EntryId, Request) {
        let marker = self.markers.fetch_add(1, Ordering::Relaxed);
        let request = self.request(marker);
        let entry = self.world.history.begin(&request);
        self.world.markers.lock().unwrap().insert(marker, (entry, tracked));
        (entry, request)
    }

    fn request(&mut self, marker: i64) -> Request {
        let dice = &mut self.dice;
        let key = dice.i64(0..5);
        let bad = self.plan.bad_rows && dice.u8(..6) == 0;
        if dice.u8(..5) == 0 {
            let log = Request::new(&self.world.schemas[1]);
            // Most keys of the log are new, some collide, some are NULL.
            let log = match dice.u8(..8) {
                0 => log.set_null("id"),
                1 => log.set("id", key),
                _ => log.set("id", 1_000 + marker),
            };
            return log.set("marker", marker).set("bad", i64::from(bad));
        }
        let request = Request::new(&self.world.schemas[0]);
        let request = match self.plan.keys {
            Keys::Integers if dice.u8(..3) == 0 => request.set("id", key as u64),
            Keys::Integers => request.set("id", key),
            _ if dice.bool() => request.set("id", format!("k{key}")),
            _ => request.set("id", format!("K{key}")),
        };
        let mut request = request.set("marker", marker);
        if !self.plan.partial_rows {
            return request.set("hits", dice.i64(-3..9)).set("bad", i64::from(bad));
        }
        if dice.u8(..3) > 0 {
            request = request.set("hits", dice.i64(-3..9));
        }
        if dice.u8(..4) == 0 {
            request = request.set("note", "x".repeat(dice.usize(..60)));
        }
        if dice.u8(..8) == 0 {
            request = request.set_null("note");
        }
        if bad {
            request = request.set("bad", 1_i64);
        } else if dice.u8(..4) == 0 {
            request = request.set("bad", 0_i64);
        }
        request
    }

    /// What may come of a submit that did not queue its row.
    fn refused(&self, request: &Request, error: SubmitError, may_be_full: bool) {
        let sane = error.is_closed() || (may_be_full && error.is_full());
        if !sane || error.into_request() != *request {
            self.world.complain("promise 7: a refused row came back changed".to_owned());
        }
    }

    async fn submit(&mut self) {
        let (entry, request) = self.begin(false);
        match self.flow.submit(request.clone()).await {
            Ok(()) => self.world.history.queued(entry, None),
            Err(error) => self.refused(&request, error, false),
        }
    }

    fn try_submit(&mut self) {
        let (entry, request) = self.begin(false);
        match self.flow.try_submit(request.clone()) {
            Ok(()) => self.world.history.queued(entry, None),
            Err(error) => self.refused(&request, error, true),
        }
    }

    async fn submit_tracked(&mut self) -> Option<EntryId> {
        let (entry, request) = self.begin(true);
        match self.flow.submit_tracked(request.clone()).await {
            Ok(receipt) => {
                self.world.history.queued(entry, Some(receipt.submission()));
                let _ = self.receipts.send((entry, receipt));
                Some(entry)
            }
            Err(error) => {
                self.refused(&request, error, false);
                None
            }
        }
    }

    async fn submit_and_wait(&mut self) {
        if let Some(entry) = self.submit_tracked().await {
            let verdict = async {
                while self.world.history.fate(entry).is_none() {
                    sleep(Duration::from_millis(1) + self.plan.pace / 8).await;
                }
            };
            let _ = timeout(self.plan.pace * 20, verdict).await;
        }
    }

    /// A submit that is given up after a moment: it is queued, or it is not.
    async fn submit_and_drop(&mut self) {
        let (entry, request) = self.begin(true);
        let wait = self.plan.pace.mul_f64(self.dice.f64().powi(3));
        match timeout(wait, self.flow.submit_tracked(request.clone())).await {
            Err(_elapsed) => {}
            Ok(Ok(receipt)) => {
                self.world.history.queued(entry, Some(receipt.submission()));
                let _ = self.receipts.send((entry, receipt));
            }
            Ok(Err(error)) => self.refused(&request, error, false),
        }
    }

    /// Each row is queued once the next is asked for, also if the rest never is.
    async fn submit_all(&mut self) {
        let count = self.dice.usize(1..10);
        let rows: Vec<_> = (0..count).map(|_| self.begin(false)).collect();
        let history = self.world.history.clone();
        let mut taken = rows.iter().map(|(entry, _)| *entry);
        let (mut last, goes_on) = (None, Cell::new(true));
        let requests = rows.iter().map(|(_, request)| Some(request.clone())).chain([None]);
        let requests = requests.map_while(|request| {
            let before = std::mem::replace(&mut last, taken.next());
            if let Some(entry) = before.filter(|_| goes_on.get()) {
                history.queued(entry, None);
            }
            request
        });
        if let Err(error) = self.flow.submit_all(requests).await {
            goes_on.set(false);
            let rest = rows.len() - 1 - error.submitted;
            if error.rest.count() != rest || error.request != rows[error.submitted].1 {
                self.world.complain("promise 7: submit_all lost a row".to_owned());
            }
        }
    }
}

/// Futures that run together on one task, each of which can be dropped by itself.
struct Together<F>(Vec<Option<std::pin::Pin<Box<F>>>>);

impl<F: Future<Output = ()>> Together<F> {
    fn new(futures: Vec<F>) -> Self {
        Self(futures.into_iter().map(|future| Some(Box::pin(future))).collect())
    }

    /// Runs all to their ends. Cancel safe.
    async fn all(&mut self) {
        std::future::poll_fn(|cx| {
            for slot in &mut self.0 {
                if slot.as_mut().is_some_and(|future| future.as_mut().poll(cx).is_ready()) {
                    *slot = None;
                }
            }
            if self.0.iter().all(Option::is_none) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    /// Drops one in the middle of what it does.
    fn drop_one(&mut self) {
        self.0.pop();
    }
}
