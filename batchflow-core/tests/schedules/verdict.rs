//! Judges how a schedule ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use batchflow_core::conformance::Fate;
use batchflow_core::{ConflictStrategy, ErrorKind, Stats, Summary};

use crate::plan::{Ending, Plan};
use crate::world::{World, is_bad};

/// What all schedules together came to: a test of nothing but sunny days shows here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    fates: BTreeMap<&'static str, usize>,
    /// Attempts that met a fault.
    faults: usize,
    /// Tables that had too many rows in doubt to be judged.
    pub(crate) undecided: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, world: &World) {
        self.faults += world.driver.inner().faults();
        for (_, fate) in world.history.fates() {
            let name = match fate {
                Some(Fate::Written) => "written",
                Some(Fate::Superseded) => "superseded",
                Some(Fate::Applied) => "written or superseded",
                Some(Fate::Rejected(_)) => "rejected",
                Some(Fate::NotSent) => "not sent",
                Some(Fate::Unknown) => "unknown",
                Some(Fate::StillRunning) => "still running",
                Some(Fate::Returned) => "returned",
                _ => "abandoned, or nobody looked",
            };
            *self.fates.entry(name).or_default() += 1;
        }
    }
}

pub(crate) fn judge(
    plan: &Plan,
    world: &World,
    ended: Option<&Summary>,
    tally: &Mutex<Tally>,
) -> Result<(), String> {
    if let Some(why) = world.broken.lock().unwrap().take() {
        return Err(why);
    }
    driver_was_respected(plan, world)?;
    untracked(world, ended)?;
    if let Some(summary) = ended {
        counts_agree(plan, world, summary.stats)?;
    }
    world.history.check_verdicts().map_err(|violation| violation.to_string())?;
    only_the_bad_were_rejected(plan, world)?;
    tally.lock().unwrap().add(world);
    for table in &world.tables {
        let rows = world.driver.inner().inner().rows(table.name());
        match world.history.check_table(table, &rows) {
            Err(violation) if !violation.is_undecided() => {
                return Err(format!("{violation}{}", applied(world, table.name())));
            }
            Err(_) => tally.lock().unwrap().undecided += 1,
            Ok(()) => {}
        }
    }
    Ok(())
}

/// The markers of the rows that the driver applied to a table, batch by batch.
fn applied(world: &World, table: &str) -> String {
    let batches = world.driver.inner().inner().batches();
    let of_table = batches.iter().filter(|batch| batch.schema().table().name() == table);
    let markers = of_table.map(|batch| {
        let markers = batch.requests().filter_map(|row| row.get("marker").unwrap());
        format!("{:?}", markers.collect::<Vec<i64>>())
    });
    let markers: Vec<String> = markers.collect();
    format!("  the driver applied, by marker: {}", markers.join(" "))
}

/// Promises 3 and 6 as the driver sees them.
fn driver_was_respected(plan: &Plan, world: &World) -> Result<(), String> {
    if let Some(violation) = world.driver.violations().first() {
        return Err(format!("promise 3: {violation}"));
    }
    let (attempts, most) = (world.driver.most_attempts(), *world.concurrency.lock().unwrap());
    if attempts > most {
        return Err(format!("promise 6: {attempts} attempts at once, of {most}"));
    }
    let rows = world.driver.most_rows();
    if rows > plan.buffer_size {
        return Err(format!("promise 6: {rows} rows in flight, of {}", plan.buffer_size));
    }
    Ok(())
}

/// Gives the rows that nobody tracked their fates: from their letters, from what the close
/// handed back, and from the counts.
fn untracked(world: &World, ended: Option<&Summary>) -> Result<(), String> {
    let markers = world.markers.lock().unwrap();
    let mut letters: HashMap<i64, Fate> = HashMap::new();
    for (marker, error) in world.letters.lock().unwrap().iter() {
        let fate = Fate::from(&Err(error.clone()));
        if letters.insert(*marker, fate).is_some() {
            return Err(format!("promise 2: two dead letters for row {marker}"));
        }
    }
    for (marker, fate) in &letters {
        let (entry, tracked) = markers[marker];
        if !tracked {
            world.history.settled(entry, *fate);
        } else if world.history.fate(entry) != Some(*fate) {
            return Err(format!("promise 2: row {marker} has a receipt unlike its letter"));
        }
    }
    for request in ended.map(|summary| &summary.returned).into_iter().flatten() {
        let marker: i64 = request.get("marker").unwrap().unwrap();
        match markers.get(&marker) {
            Some((entry, false)) => world.history.settled(*entry, Fate::Returned),
            Some((entry, true)) if world.history.fate(*entry) == Some(Fate::NotSent) => {}
            _ => return Err(format!("promise 7: row {marker} was returned, and more")),
        }
    }
    let told = ended.is_some_and(|summary| summary.stats.abandoned == 0);
    world.history.settle_rest(if told { Fate::Applied } else { Fate::Abandoned });
    Ok(())
}

/// Promise 1: the flow's counts are those of the receipts, the letters and what came back.
fn counts_agree(plan: &Plan, world: &World, stats: Stats) -> Result<(), String> {
    let history = &world.history;
    let applied = |fate| matches!(fate, Fate::Written | Fate::Superseded | Fate::Applied);
    let unknown = |fate| matches!(fate, Fate::Unknown | Fate::StillRunning);
    let mut agree = stats.is_conserved()
        && stats.pending == 0
        && stats.submitted == history.queued_rows() as u64
        && stats.unknown == history.count(unknown) as u64
        && stats.superseded >= history.count(|fate| fate == Fate::Superseded) as u64;
    if stats.abandoned == 0 {
        agree &= stats.written + stats.superseded == history.count(applied) as u64;
    }
    // A cancelled flow that drains is closed too: its grace over, whoever closes gets the rest.
    let returns = matches!(plan.ending, Ending::CloseWithin(_) | Ending::Cancel { drain: true });
    let may_return = returns || stats.returned == 0;
    let may_abandon = matches!(plan.ending, Ending::Cancel { .. }) || stats.abandoned == 0;
    if agree && may_return && may_abandon {
        return Ok(());
    }
    Err(format!("promise 1: {stats:?} is not what the receipts and letters say"))
}

/// Promise 4: only rows that the database refuses by themselves are rejected.
fn only_the_bad_were_rejected(plan: &Plan, world: &World) -> Result<(), String> {
    for (request, fate) in world.history.fates() {
        let Some(Fate::Rejected(kind)) = fate else { continue };
        let fails = request.schema().strategy() == ConflictStrategy::Fail;
        let duplicate = fails && kind == ErrorKind::DuplicateKey;
        // A driver that panics over a row alone has refused it; a description that was refused
        // condemns every row that waited for it.
        let excused = kind == ErrorKind::Internal && plan.driver_panics
            || kind == ErrorKind::Permission && plan.describe_faults > 0;
        if !is_bad(&request) && !duplicate && !excused {
            let marker: Option<i64> = request.get("marker").unwrap();
            return Err(format!("promise 4: the good row {marker:?} was rejected for {kind}"));
        }
    }
    Ok(())
}
