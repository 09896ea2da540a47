//! A station: one schema's rows in the pump, from finding out about the table to its lane.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::lane::{Allowance, BatchLimits, ClaimNumber, FlightNumber, Held, Lane};
use super::shared::{after, later};
use crate::coalesce::Coalescer;
use crate::driver::{Capabilities, Driver, ErrorClass, ErrorKind, Stage, TableInfo, WriteError};
use crate::executor::{Backoff, Classes, Slots};
use crate::key::RowKey;
use crate::metrics::{LookupEvent, Reporter};
use crate::outcome::RowError;
use crate::request::Request;
use crate::schema::Schema;
use crate::unwind::catch_async;

/// A table that could not be described is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What every station of a flow shares.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) merging: bool,
    pub(super) coalescer: Option<Arc<dyn Coalescer>>,
    /// Who describes tables; `None` where nobody does.
    pub(super) describer: Option<Describer>,
}

pub(super) struct Station {
    pub(super) schema: Schema,
    pub(super) table: Table,
    /// The fingerprint of the table as it was described last.
    pub(super) described: Option<u64>,
    /// Rows that wait for the table to be described.
    rows: Vec<(Held, Instant)>,
    pub(super) flights: Vec<(FlightNumber, Instant, Instant)>,
}

/// What is known of a station's table.
pub(super) enum Table {
    Unasked,
    Asking,
    /// It could not be described; not before this time is it asked for again.
    Failed(Instant),
    Open(Box<Lane>),
    /// It changed: described again once nothing is in flight.
    Stale(Box<Lane>),
}

impl Station {
    pub(super) fn new(schema: Schema, rules: &Rules) -> Self {
        let mut station = Self {
            schema,
            table: Table::Unasked,
            described: None,
            rows: Vec::new(),
            flights: Vec::new(),
        };
        if rules.describer.is_none() {
            let unchecked = TableInfo::unchecked(&station.schema);
            station.table = Table::Open(station.lane_for(&unchecked, rules));
        }
        station
    }

    /// The key of the next row in submission order; of a table that is not known yet, none.
    #[inline]
    pub(super) fn key_of(&mut self, request: &Request) -> RowKey {
        self.lane_mut().map_or(RowKey::None, |lane| lane.key_of(request))
    }

    /// Adds the next row, with what [`key_of`](Self::key_of) said of it.
    pub(super) fn add(
        &mut self,
        held: Held,
        key: RowKey,
        since: Instant,
        allowance: Allowance<'_>,
    ) {
        match &mut self.table {
            Table::Open(lane) | Table::Stale(lane) => lane.add(held, key, since, allowance),
            _ => self.rows.push((held, since)),
        }
    }

    /// The table is known: rows that waited for it enter the lane.
    pub(super) fn open(&mut self, table: &TableInfo, rules: &Rules, allowance: Allowance<'_>) {
        let mut lane = self.lane_for(table, rules);
        for (held, since) in self.rows.drain(..) {
            let key = held.request.as_ref().map_or(RowKey::None, |request| lane.key_of(request));
            lane.add(held, key, since, allowance);
        }
        self.described = Some(table.fingerprint());
        self.table = Table::Open(lane);
    }

    fn lane_for(&self, table: &TableInfo, rules: &Rules) -> Box<Lane> {
        let (schema, coalescer) = (self.schema.clone(), rules.coalescer.clone());
        Box::new(Lane::new(schema, table, rules.merging, coalescer))
    }

    /// The table could not be described: the rows that waited for it end with this.
    pub(super) fn fail(&mut self, now: Instant) -> Vec<Held> {
        self.ask_later(now);
        self.rows.drain(..).map(|(held, _)| held).collect()
    }

    /// The table could not be described: the rows that wait for it wait until it is asked again.
    pub(super) fn ask_later(&mut self, now: Instant) {
        self.table = Table::Failed(now + LOOK_AGAIN);
    }

    /// Whether the table should be asked for now.
    pub(super) fn wants_describing(&mut self, now: Instant, allowance: Allowance<'_>) -> bool {
        if let Table::Stale(lane) = &mut self.table
            && self.flights.is_empty()
        {
            self.rows = lane.reopen(allowance);
            self.table = Table::Unasked;
        }
        match self.table {
            Table::Unasked => true,
            Table::Failed(until) => !self.rows.is_empty() && until <= now,
            _ => false,
        }
    }

    /// The table is not what was described: it is described again, where anybody does.
    pub(super) fn alter(&mut self, rules: &Rules) {
        if rules.describer.is_none() {
            return;
        }
        self.table = match std::mem::replace(&mut self.table, Table::Unasked) {
            Table::Open(lane) => Table::Stale(lane),
            table => table,
        };
    }

    pub(super) fn lane(&self) -> Option<&Lane> {
        match &self.table {
            Table::Open(lane) => Some(lane),
            _ => None,
        }
    }

    pub(super) fn lane_mut(&mut self) -> Option<&mut Lane> {
        match &mut self.table {
            Table::Open(lane) | Table::Stale(lane) => Some(lane),
            _ => None,
        }
    }

    /// A batch has landed. One that was abandoned may land all the same, where it ended just as it
    /// was aborted: it is forgotten.
    pub(super) fn land(&mut self, flight: FlightNumber, claims: &[ClaimNumber]) {
        let Some(at) = self.flights.iter().position(|(known, ..)| *known == flight) else { return };
        self.flights.swap_remove(at);
        if let Some(lane) = self.lane_mut() {
            lane.land(flight, claims);
        }
    }

    /// Batches and look-ups were aborted: nothing is waited for any more.
    pub(super) fn abandon_tasks(&mut self) {
        self.flights.clear();
        match &mut self.table {
            Table::Open(lane) | Table::Stale(lane) => lane.abandon_flights(),
            table => *table = Table::Unasked,
        }
    }

    /// Whether nothing waits, nothing is in flight and nothing is being asked.
    pub(super) fn is_idle(&self) -> bool {
        self.rows.is_empty()
            && self.flights.is_empty()
            && match &self.table {
                Table::Open(lane) | Table::Stale(lane) => lane.is_idle(),
                Table::Asking => false,
                Table::Unasked | Table::Failed(_) => true,
            }
    }

    /// The time of the oldest row held here.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let waiting = self.rows.first().map(|(_, since)| *since);
        let lane = match &self.table {
            Table::Open(lane) | Table::Stale(lane) => lane.oldest(),
            _ => None,
        };
        let flying = self.flights.iter().map(|(_, since, _)| *since);
        flying.chain(waiting).chain(lane).min()
    }

    /// Takes every waiting row out: the flow stops.
    pub(super) fn sweep(&mut self) -> Vec<Held> {
        let mut held: Vec<Held> = self.rows.drain(..).map(|(held, _)| held).collect();
        if let Some(lane) = self.lane_mut() {
            held.extend(lane.sweep());
        }
        held
    }

    /// When this station next needs the pump: for a batch only where one may start, for its table
    /// only where that may be asked for.
    pub(super) fn next_turn(
        &self,
        interval: Duration,
        may_start: bool,
        may_ask: bool,
    ) -> Option<Instant> {
        match &self.table {
            Table::Open(_) if !may_start => None,
            Table::Open(lane) => lane.oldest_startable().map(|since| later(since, interval)),
            Table::Failed(until) if may_ask && !self.rows.is_empty() => Some(*until),
            _ => None,
        }
    }
}

/// Looks tables up, with deadlines and retries.
#[derive(Clone)]
pub(super) struct Describer {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) backoff: Arc<Backoff>,
    pub(super) classes: Classes,
    pub(super) timeout: Duration,
    pub(super) slots: Arc<Slots>,
    pub(super) reporter: Reporter,
}

impl Describer {
    /// Describes a table; a transient failure is tried again until the retries are over.
    pub(super) async fn describe(&self, schema: &Schema) -> Result<TableInfo, RowError> {
        let give_up = after(self.backoff.policy.limit());
        let mut attempt = 1;
        loop {
            let slot = self.slots.acquire().await;
            let began = Instant::now();
            // In a block of its own, so that a panic before the first await is caught, too.
            let question = catch_async(async { self.driver.describe(schema).await });
            let described = tokio::time::timeout(self.timeout, question).await;
            drop(slot);
            let error = match described {
                Ok(Ok(Ok(table))) => {
                    self.tell(began, None);
                    return Ok(table);
                }
                Ok(Ok(Err(error))) => error,
                Ok(Err(_)) => WriteError::new(ErrorKind::Internal)
                    .at(Stage::Describe)
                    .with_message("the driver panicked"),
                Err(_) => WriteError::new(ErrorKind::Timeout).at(Stage::Describe),
            };
            self.tell(began, Some(&error));
            let error =
                if error.table().is_none() { error.with_table(schema.table()) } else { error };
            if self.classes.of(&error) != ErrorClass::Transient {
                return Err(RowError::Rejected(error));
            }
            let delay = self.backoff.delay(attempt).max(error.retry_after().unwrap_or_default());
            if after(delay) >= give_up || !self.backoff.policy.allows_another(attempt) {
                return Err(RowError::NotSent(error));
            }
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }
}

impl Describer {
    fn tell(&self, began: Instant, error: Option<&WriteError>) {
        let (stage, duration) = (Stage::Describe, began.elapsed());
        self.reporter.tell(|backend, metrics| {
            metrics.lookup(&LookupEvent { backend, stage, duration, error });
        });
    }
}

/// A flow's batch limits: its pace, within what the driver takes at once.
pub(super) fn limits(rows: usize, bytes: usize, capabilities: &Capabilities) -> BatchLimits {
    BatchLimits {
        rows: rows.min(capabilities.max_rows().unwrap_or(usize::MAX)).max(1),
        bytes: bytes.min(capabilities.max_bytes().unwrap_or(usize::MAX)),
        parameters: capabilities.max_parameters().unwrap_or(usize::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::lane::Sent;
    use crate::schema::ConflictStrategy;

    fn held(schema: &Schema, id: i64) -> Held {
        let request = schema.row((id,)).unwrap();
        Held { bytes: request.size_bytes(), request: Some(request), reply: None, submission: 1 }
    }

    /// Two batches fly; they are abandoned, and one of them had ended already.
    #[tokio::test(start_paused = true)]
    async fn a_batch_that_lands_after_it_was_abandoned_is_forgotten() {
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
        let rules = Rules { merging: true, coalescer: None, describer: None };
        let mut station = Station::new(schema.clone(), &rules);
        let now = Instant::now();
        for id in 0..2 {
            let row = held(&schema, id);
            let key = row.request.as_ref().map_or(RowKey::None, |request| station.key_of(request));
            station.add(row, key, now, Allowance::Free);
        }
        let one_row = BatchLimits { rows: 1, bytes: usize::MAX, parameters: usize::MAX };
        let flights: Vec<_> = (0..2)
            .map(|_| {
                let formed = station.lane_mut().unwrap().form(0, &one_row).unwrap();
                station.flights.push((formed.flight, now, now));
                (formed.flight, formed.rows.iter().filter_map(Sent::claim).collect::<Vec<_>>())
            })
            .collect();
        assert!(!station.is_idle());
        station.abandon_tasks();
        assert!(station.is_idle());
        for (flight, claims) in flights {
            station.land(flight, &claims);
            assert!(station.is_idle());
        }
    }
}
