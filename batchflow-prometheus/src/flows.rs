//! [`Flows`]: the flows that are watched, and what those that ended had counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batchflow_core::FlowProbe;
use batchflow_core::metrics::{FlowReading, Trigger};

/// Whose series: a backend's, and a flow's where flows are told apart.
pub(crate) type Whose = (&'static str, Option<Arc<str>>);

/// The flows that are watched.
#[derive(Debug, Default)]
pub(crate) struct Flows(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// By numbers that are never given twice.
    running: BTreeMap<u64, (Whose, FlowProbe)>,
    next: u64,
    ended: BTreeMap<Whose, Sums>,
}

/// The readings of several flows in one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) flows: u64,
    pub(crate) submitted: u64,
    pub(crate) settled: [(&'static str, u64); 6],
    pub(crate) pending: [(&'static str, u64); 3],
    pub(crate) pending_bytes: u64,
    pub(crate) buffer_rows: u64,
    pub(crate) buffer_bytes: u64,
    pub(crate) oldest: Duration,
    pub(crate) drift: u64,
    pub(crate) refused: [(&'static str, u64); 4],
    pub(crate) waits: u64,
    pub(crate) merged: u64,
    pub(crate) batches: Vec<(&'static str, u64)>,
    pub(crate) in_flight: u64,
    pub(crate) concurrency: u64,
    pub(crate) stalled: u64,
    pub(crate) letters: [(&'static str, u64); 3],
    pub(crate) backlog: u64,
}

impl From<&FlowReading> for Sums {
    fn from(reading: &FlowReading) -> Self {
        let FlowReading { stats, activity, letters, .. } = reading;
        let running = u64::from(reading.running);
        let lanes = stats.pending.saturating_sub(stats.queued + stats.in_flight);
        Self {
            flows: running,
            submitted: stats.submitted,
            settled: [
                ("written", stats.written),
                ("superseded", stats.superseded),
                ("rejected", stats.rejected),
                ("unknown", stats.unknown),
                ("returned", stats.returned),
                ("abandoned", stats.abandoned),
            ],
            pending: [("queue", stats.queued), ("waiting", lanes), ("flight", stats.in_flight)],
            pending_bytes: stats.pending_bytes,
            buffer_rows: running * reading.buffer_rows as u64,
            buffer_bytes: running * reading.buffer_bytes as u64,
            oldest: reading.oldest_pending.unwrap_or_default(),
            drift: stats.drift().unsigned_abs(),
            refused: [
                ("full", activity.refused_full),
                ("closed", activity.refused_closed),
                ("invalid", activity.refused_invalid),
                ("too_large", activity.refused_too_large),
            ],
            waits: activity.waits,
            merged: activity.merged,
            batches: Trigger::ALL
                .iter()
                .map(|trigger| (trigger.as_str(), activity.batches_by(*trigger)))
                .collect(),
            in_flight: reading.in_flight,
            concurrency: running * reading.concurrency as u64,
            stalled: running * reading.stalled as u64,
            letters: [
                ("delivered", letters.delivered),
                ("logged", letters.logged),
                ("lost", letters.undeliverable),
            ],
            backlog: letters.backlog as u64,
        }
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        fn each(own: &mut [(&'static str, u64)], other: &[(&'static str, u64)]) {
            for (own, (name, count)) in own.iter_mut().zip(other) {
                *own = (name, own.1 + count);
            }
        }
        self.flows += other.flows;
        self.submitted += other.submitted;
        each(&mut self.settled, &other.settled);
        each(&mut self.pending, &other.pending);
        self.pending_bytes += other.pending_bytes;
        self.buffer_rows = self.buffer_rows.saturating_add(other.buffer_rows);
        self.buffer_bytes = self.buffer_bytes.saturating_add(other.buffer_bytes);
        self.oldest = self.oldest.max(other.oldest);
        // Of each flow by itself: two that are wrong must not make up for each other.
        self.drift += other.drift;
        each(&mut self.refused, &other.refused);
        self.waits += other.waits;
        self.merged += other.merged;
        self.batches.resize(other.batches.len(), ("", 0));
        each(&mut self.batches, &other.batches);
        self.in_flight += other.in_flight;
        self.concurrency += other.concurrency;
        self.stalled += other.stalled;
        each(&mut self.letters, &other.letters);
        self.backlog += other.backlog;
    }
}

impl Flows {
    /// A flow begins.
    pub(crate) fn watch(&self, whose: Whose, probe: FlowProbe) {
        self.read();
        let mut watched = self.lock();
        let number = watched.next;
        watched.next += 1;
        watched.running.insert(number, (whose, probe));
    }

    /// What all flows count, those that ended included. Probes of flows that ended are let go.
    ///
    /// The probes are read outside the lock: one of them may hold a flow's last clone, whose end
    /// is the user's code.
    pub(crate) fn read(&self) -> BTreeMap<Whose, Sums> {
        let (running, mut all) = {
            let watched = self.lock();
            (watched.running.clone(), watched.ended.clone())
        };
        for (number, (whose, probe)) in running {
            let reading = probe.read();
            let sums = Sums::from(&reading);
            if reading.ended {
                self.end(number, &sums);
            }
            all.entry(whose).or_default().add(&sums);
        }
        all
    }

    /// A flow has ended: from here on its counts stand with those that ended. Another scrape may
    /// have seen it first.
    fn end(&self, number: u64, sums: &Sums) {
        let mut watched = self.lock();
        let Watched { running, ended, .. } = &mut *watched;
        if let Some((whose, _)) = running.remove(&number) {
            ended.entry(whose).or_default().add(sums);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
