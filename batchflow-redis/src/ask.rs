//! Rows whose slot is on its way from one node to another.
//!
//! As long as it is, the one that had the slot serves the keys that are still there. Of one that is
//! not it says whom to ask; the other takes it from who says that they were told so. Only the row's
//! own answer counts: a key that is still there would be two.

use std::collections::HashMap;

use batchflow_core::{Batch, Verdict};

use crate::cluster::{Member, slot};
use crate::connect::{Lost, Node, Reply, Words};
use crate::encode::Row;
use crate::leg::{Home, Leg, key};
use crate::plan::Plan;
use crate::send::{Verdicts, is_elsewhere};
use crate::servers::Servers;
use crate::units::units;

/// The most keys that a node is asked about at one time.
const MOST: usize = 1_000;

/// What is to be sent to other nodes of what these legs were refused.
pub(crate) async fn legs(
    plan: &Plan,
    batch: &Batch,
    servers: &Servers,
    sent: &[Leg],
    verdicts: &Verdicts,
) -> Vec<Leg> {
    let mut targets: HashMap<usize, Node> = HashMap::new();
    for leg in sent {
        let Some(home) = &leg.home else { continue };
        let refused = refused(plan, batch, leg, verdicts);
        let keys = refused.iter().map(|(_, key)| key);
        let Ok(told) = ask(servers, &home.member.node, keys).await else { continue };
        for ((row, key), reply) in refused.iter().zip(told) {
            let node = reply.error().and_then(|text| target(text, slot(key), home));
            targets.extend(node.map(|node| (*row, node)));
        }
    }
    let mut nodes: Vec<Node> = targets.values().cloned().collect();
    nodes.sort();
    nodes.dedup();
    let place = |at, _: &Row| {
        Ok(targets.get(&at).and_then(|node| nodes.iter().position(|other| other == node)))
    };
    let mut again = vec![None; batch.len()];
    let units = units(plan, batch, plan.way_of_calls(batch), nodes.len(), place, &mut again);
    let leg = |(node, units)| {
        // It may not keep the slot, so that nobody's claim tells that it is replaced.
        let member = Member { node, epoch: u64::MAX };
        Leg { home: Some(Home { member, slots: Vec::new() }), units, asking: true }
    };
    nodes.iter().cloned().zip(units).map(leg).filter(|leg| !leg.units.is_empty()).collect()
}

/// The rows of a leg that were refused because their keys are not there, and their keys.
fn refused(plan: &Plan, batch: &Batch, leg: &Leg, verdicts: &Verdicts) -> Vec<(usize, Vec<u8>)> {
    let rows: Vec<usize> = {
        let verdicts = verdicts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_refused = |row: &usize| match verdicts.get(*row) {
            Some(Some(Verdict::NotApplied(error))) => {
                error.server_message().is_some_and(is_elsewhere)
            }
            _ => false,
        };
        leg.rows().filter(is_refused).take(MOST).collect()
    };
    let mut row = Row::default();
    let key_of = |at| {
        row.encode(&plan.shape, batch, at).ok()?;
        Some((at, key(plan, &row).to_vec()))
    };
    rows.into_iter().filter_map(key_of).collect()
}

/// Asks a node whether keys are there; the errors are what matters.
async fn ask(
    servers: &Servers,
    node: &Node,
    keys: impl Iterator<Item = &Vec<u8>>,
) -> Result<Vec<Reply>, Lost> {
    let words: Vec<Words> = keys.map(|key| Words::of("EXISTS", &[]).with(key.clone())).collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let nothing = |_| Lost(String::new());
    let pool = servers.pool(Some(node)).ok_or_else(|| Lost(String::new()))?;
    let lease = pool.acquire().await.map_err(nothing)?;
    let connection = lease.connection().map_err(nothing)?;
    let told = connection.call_all(words).await.into_iter().collect::<Result<_, _>>()?;
    lease.give_back();
    Ok(told)
}

/// Whom to ask: `ASK 3999 127.0.0.1:6381`.
fn target(text: &str, slot: u16, home: &Home) -> Option<Node> {
    let (of, address) = text.strip_prefix("ASK ")?.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { &home.member.node.host } else { host };
    let node = Node { host: host.to_owned(), port: port.parse().ok()? };
    (of.parse() == Ok(slot)).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_whom_to_ask() {
        let node = |host: &str, port| Node { host: host.to_owned(), port };
        let home = Home { member: Member { node: node("own", 1), epoch: 1 }, slots: Vec::new() };
        for (text, expected) in [
            ("ASK 3999 127.0.0.1:6381", Some(node("127.0.0.1", 6_381))),
            ("ASK 3999 ::1:6381", Some(node("::1", 6_381))),
            ("ASK 3999 :6381", Some(node("own", 6_381))),
            ("ASK 4000 127.0.0.1:6381", None),
            ("MOVED 3999 127.0.0.1:6381", None),
            ("ASK 3999 127.0.0.1", None),
        ] {
            assert_eq!(target(text, 3_999, &home), expected, "{text}");
        }
    }
}
