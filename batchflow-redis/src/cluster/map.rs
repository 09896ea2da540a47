//! [`Map`]: which node serves which slot, as a node of the cluster tells.

use std::collections::HashMap;

use super::slot::SLOTS;
use crate::connect::{Node, Reply};

/// Which node serves which slot.
pub(crate) struct Map {
    /// The positions of the slots' owners among the members.
    owners: Vec<Option<u16>>,
    members: Vec<Member>,
}

/// A node that serves slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) node: Node,
    /// How recent its claim to its slots is: of two claims the later one holds.
    pub(crate) epoch: u64,
}

impl Map {
    /// Reads the answers to `CLUSTER SLOTS` and `CLUSTER NODES` of a node that was reached at a
    /// host; `None` where they tell of no slot.
    pub(crate) fn read(slots: &Reply, nodes: &str, host: &str) -> Option<Self> {
        let epochs: HashMap<&str, u64> = nodes
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(' ');
                Some((fields.next()?, fields.nth(5)?.parse().ok()?))
            })
            .collect();
        let mut map = Self { owners: vec![None; SLOTS], members: Vec::new() };
        for range in slots.array()? {
            let [start, end, primary, ..] = range.array()? else { return None };
            let [address, port, id, ..] = primary.array()? else { return None };
            let own = address.text().filter(|address| !matches!(*address, "" | "?"));
            let host = own.unwrap_or(host).to_owned();
            let node = Node { host, port: u16::try_from(port.int()?).ok()? };
            // No claim is later than one whose time is not known.
            let epoch = id.text().and_then(|id| epochs.get(id)).copied().unwrap_or(u64::MAX);
            let at = map.members.iter().position(|member| member.node == node);
            let at = at.unwrap_or_else(|| {
                map.members.push(Member { node, epoch });
                map.members.len() - 1
            });
            let (start, end) = (start.int()?.try_into().ok()?, end.int()?.try_into().ok()?);
            let place = u16::try_from(at).ok()?;
            map.owners.get_mut::<std::ops::RangeInclusive<usize>>(start..=end)?.fill(Some(place));
        }
        (!map.members.is_empty()).then_some(map)
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The position of a slot's owner among the members.
    pub(crate) fn owner(&self, slot: u16) -> Option<usize> {
        self.owners.get(usize::from(slot)).copied().flatten().map(usize::from)
    }
}

/// What a node says of itself in `CLUSTER NODES`: since when it has served what.
pub(crate) struct Claim {
    epoch: u64,
    slots: Vec<(u16, u16)>,
}

impl Claim {
    /// Reads the line of the node that was asked; `None` where it serves nothing.
    pub(crate) fn read(nodes: &str) -> Option<Self> {
        let line =
            nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| {
                let flags = fields.get(2).map(|flags| flags.split(',').collect::<Vec<_>>());
                flags.is_some_and(|flags| flags.contains(&"myself") && flags.contains(&"master"))
            })?;
        let epoch = line.get(6)?.parse().ok()?;
        // What is in brackets is on its way.
        let ranges = line.get(8..)?.iter().filter(|range| !range.starts_with('['));
        let slots = ranges.map(|range| {
            let (start, end) = range.split_once('-').unwrap_or((range, range));
            Some((start.parse().ok()?, end.parse().ok()?))
        });
        Some(Self { epoch, slots: slots.collect::<Option<_>>()? })
    }

    /// Whether it serves a slot, and by a later claim than one of an epoch.
    pub(crate) fn replaces(&self, slot: u16, epoch: u64) -> bool {
        self.epoch > epoch && self.slots.iter().any(|&(start, end)| (start..=end).contains(&slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
8b43 127.0.0.1:7101@17101 myself,master - 0 1795337353000 1 connected 0-5460 [93->-a000]
a000 127.0.0.1:7103@17103,host master - 0 1795337353288 3 connected 10923-16383 5461
de92 127.0.0.1:7102@17102 slave a000 0 1795337353287 3 connected
";

    fn text(text: &str) -> Reply {
        Reply::Text(text.to_owned().into())
    }

    fn range(start: i64, end: i64, host: Reply, port: i64, id: &str) -> Reply {
        let primary = Reply::Array(vec![host, Reply::Int(port), text(id), Reply::Other]);
        let replica = Reply::Array(vec![text("r"), Reply::Int(1), text("x")]);
        Reply::Array(vec![Reply::Int(start), Reply::Int(end), primary, replica])
    }

    #[test]
    fn a_map_tells_each_slots_owner() {
        let slots = Reply::Array(vec![
            range(0, 5_460, Reply::Nil, 7_101, "8b43"),
            range(10_923, 16_383, text("b"), 7_103, "a000"),
            range(5_461, 5_461, text("b"), 7_103, "a000"),
        ]);
        let map = Map::read(&slots, NODES, "asked").unwrap();
        let node = |host: &str, port| Node { host: host.to_owned(), port };
        let (first, second) = (node("asked", 7_101), node("b", 7_103));
        let members = [Member { node: first, epoch: 1 }, Member { node: second, epoch: 3 }];
        assert_eq!(map.members(), members);
        let owners = [0, 5_460, 5_461, 5_462, 16_383].map(|slot| map.owner(slot));
        assert_eq!(owners, [Some(0), Some(0), Some(1), None, Some(1)]);
    }

    #[test]
    fn what_is_no_map_is_none() {
        for slots in [
            Reply::Array(Vec::new()),
            Reply::Nil,
            Reply::Array(vec![range(0, 16_384, text("a"), 1, "x")]),
            Reply::Array(vec![range(-1, 5, text("a"), 1, "x")]),
            Reply::Array(vec![range(0, 5, text("a"), 70_000, "x")]),
        ] {
            assert!(Map::read(&slots, "", "asked").is_none(), "{slots:?}");
        }
    }

    #[test]
    fn promise_3_a_node_replaces_another_by_a_later_claim_alone() {
        let claim = Claim::read(NODES).unwrap();
        assert!(claim.replaces(0, 0) && claim.replaces(5_460, 0));
        assert!(!claim.replaces(0, 1), "its claim is no later");
        assert!(!claim.replaces(5_461, 0), "another's slot");
        assert!(Claim::read(&NODES.replace("myself,master", "myself,slave")).is_none());
        assert!(Claim::read("").is_none());
    }
}
