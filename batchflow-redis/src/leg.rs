//! [`Leg`]: the part of a batch that goes to one server.

use batchflow_core::{Batch, ErrorKind, Verdict, WriteError};

use crate::cluster::{Map, Member, slot};
use crate::command;
use crate::encode::Row;
use crate::layout::Kind;
use crate::plan::Plan;
use crate::units::{Unit, units};

/// The part of a batch that goes to one server.
#[derive(Debug)]
pub(crate) struct Leg {
    /// `None` where there is one server.
    pub(crate) home: Option<Home>,
    pub(crate) units: Vec<Unit>,
    /// Whether the slots are on their way to the node, which has to be told that we know.
    pub(crate) asking: bool,
}

impl Leg {
    /// The rows' positions in the batch.
    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.units.iter().flat_map(|unit| unit.rows.iter().copied())
    }
}

/// A node of a cluster, and the slots of the rows that go there.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) member: Member,
    pub(crate) slots: Vec<u16>,
}

/// Divides a batch among the servers. A row that cannot be sent has its verdict at once.
pub(crate) fn legs(
    plan: &Plan,
    batch: &Batch,
    map: Option<&Map>,
    verdicts: &mut [Option<Verdict>],
) -> Vec<Leg> {
    let way = plan.way(batch);
    let legs: Vec<Leg> = match map {
        None => {
            let units = units(plan, batch, way, 1, |_, _| Ok(Some(0)), verdicts);
            units.into_iter().map(|units| Leg { home: None, units, asking: false }).collect()
        }
        Some(map) => {
            let members = map.members();
            let mut slots = vec![Vec::new(); members.len()];
            let place = |_, row: &Row| {
                let slot = slot(key(plan, row));
                let owner = map.owner(slot).ok_or_else(unserved)?;
                if let Some(slots) = slots.get_mut(owner) {
                    slots.push(slot);
                }
                Ok(Some(owner))
            };
            let units = units(plan, batch, way, members.len(), place, verdicts);
            let legs = members.iter().cloned().zip(slots).zip(units);
            legs.map(|((member, mut slots), units)| {
                slots.sort_unstable();
                slots.dedup();
                Leg { home: Some(Home { member, slots }), units, asking: false }
            })
            .collect()
        }
    };
    legs.into_iter().filter(|leg| !leg.units.is_empty()).collect()
}

/// What decides where a row goes.
pub(crate) fn key<'a>(plan: &Plan, row: &'a Row) -> &'a [u8] {
    let key = match plan.shape.kind {
        Kind::Command => command::key(row.parts().flatten()),
        _ => row.parts().next().flatten(),
    };
    key.unwrap_or_default()
}

fn unserved() -> WriteError {
    let error = WriteError::new(ErrorKind::Connection);
    error.with_message("no node of the cluster serves the key's slot")
}
