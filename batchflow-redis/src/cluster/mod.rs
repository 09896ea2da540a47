//! [`Cluster`]: the connections to a cluster's nodes, and which of them serves which slot.
//!
//! The map of slots is the driver's own, and each node is connected to as a single server is: what
//! was sent where is known at any time. A map that has aged does no harm: a node refuses what is
//! not its own.

mod map;
mod slot;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use futures_util::future::{join_all, select_ok};
use tokio::time::{Instant, timeout};

pub(crate) use map::{Map, Member};
pub(crate) use slot::slot;

use crate::connect::{Connection, Node, Opener, Reply, Words};
use crate::error;
use crate::pool::Pool;
use map::Claim;

/// How long a map is kept at least, also where it seems to have aged.
const PAUSE: Duration = Duration::from_secs(1);

/// How many nodes are asked at one time, and how long it is waited for the first answer while there
/// are others to ask.
const AT_ONCE: usize = 3;
const PATIENCE: Duration = Duration::from_secs(2);

/// The connections to a cluster's nodes, and which of them serves which slot.
pub(crate) struct Cluster {
    opener: Arc<Opener>,
    seeds: Vec<Node>,
    /// How many connections there are to each node at most.
    pool_size: usize,
    state: Mutex<State>,
    /// Held by who reads the map.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    map: Option<Arc<Map>>,
    pools: HashMap<Node, Arc<Pool>>,
    /// When it was last tried to read the map.
    read: Option<Instant>,
    /// How often.
    reads: usize,
    /// How often it was said that the map may be wrong, and how often when it was read last.
    doubts: u64,
    answered: u64,
    is_closed: bool,
}

impl Cluster {
    /// A cluster some of whose nodes are known; nothing is opened yet.
    pub(crate) fn new(opener: Arc<Opener>, seeds: Vec<Node>, pool_size: usize) -> Self {
        let (state, reading) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { opener, seeds, pool_size, state, reading }
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The map, read anew where it has aged, at most once a second.
    pub(crate) async fn map(&self) -> Result<Arc<Map>, WriteError> {
        if let Some(map) = self.current() {
            return Ok(map);
        }
        let _reading = self.reading.lock().await;
        if let Some(map) = self.current() {
            return Ok(map);
        }
        let (old, doubts) = self.state(|state| {
            state.read = Some(Instant::now());
            state.reads += 1;
            (state.map.clone(), state.doubts)
        });
        match (self.read(old.as_deref()).await, old) {
            (Ok(map), _) => {
                let map = Arc::new(map);
                self.state(|state| {
                    let is_member =
                        |node: &Node| map.members().iter().any(|member| member.node == *node);
                    state.pools.retain(|node, _| is_member(node));
                    state.map = Some(Arc::clone(&map));
                    state.answered = doubts;
                });
                Ok(map)
            }
            (Err(_), Some(map)) => Ok(map),
            (Err(error), None) => Err(error),
        }
    }

    fn current(&self) -> Option<Arc<Map>> {
        self.state(|state| {
            let has_aged = state.doubts != state.answered;
            let is_fresh = !has_aged || state.read.is_some_and(|at| at.elapsed() < PAUSE);
            state.map.clone().filter(|_| is_fresh)
        })
    }

    /// The map may be wrong by now.
    pub(crate) fn age(&self) {
        self.state(|state| state.doubts += 1);
    }

    /// The connections to a node.
    pub(crate) fn pool(&self, node: &Node) -> Arc<Pool> {
        let pool = || {
            let opener = Arc::clone(&self.opener);
            Arc::new(Pool::new(opener, Some(node.clone()), self.pool_size))
        };
        self.state(|state| {
            let pool = Arc::clone(state.pools.entry(node.clone()).or_insert_with(pool));
            if state.is_closed {
                pool.close();
            }
            pool
        })
    }

    /// Reads the map from whichever node answers first.
    async fn read(&self, old: Option<&Map>) -> Result<Map, WriteError> {
        let mut nodes: Vec<Node> =
            old.iter().flat_map(|map| map.members()).map(|member| member.node.clone()).collect();
        // Not the same ones each time: they may be those that have not heard.
        let turn = self.state(|state| state.reads) % nodes.len().max(1);
        nodes.rotate_left(turn);
        for seed in &self.seeds {
            if !nodes.contains(seed) {
                nodes.push(seed.clone());
            }
        }
        let mut last = refused("no node of the cluster can be reached");
        let mut chunks = nodes.chunks(AT_ONCE).peekable();
        while let Some(some) = chunks.next() {
            let asked = some.iter().map(|node| Box::pin(self.read_from(node)));
            // The last ones have as long as it takes to connect to any.
            let patience = if chunks.peek().is_some() { PATIENCE } else { Duration::MAX };
            match timeout(patience, select_ok(asked)).await {
                Ok(Ok((map, _others))) => return Ok(map),
                Ok(Err(error)) => last = error,
                Err(_too_long) => {}
            }
        }
        Err(last)
    }

    async fn read_from(&self, node: &Node) -> Result<Map, WriteError> {
        let connection = self.opener.open(Some(node)).await?;
        let slots = ask(&connection, "SLOTS").await?;
        let nodes = ask(&connection, "NODES").await?;
        let map = Map::read(&slots, nodes.text().unwrap_or_default(), &node.host);
        map.ok_or_else(|| refused("a node serves no slots, and knows none that does"))
    }

    /// Whether other nodes have taken over all of these slots, by later claims than one of an epoch.
    /// Of no slots nobody's claim tells.
    ///
    /// Then nothing that the earlier owner still executes is kept: once it learns of the claim it
    /// becomes a replica, and takes over what is there.
    pub(crate) async fn is_replaced(&self, member: &Member, slots: &[u16]) -> bool {
        if slots.is_empty() {
            return false;
        }
        self.age();
        let Ok(map) = self.map().await else { return false };
        let mut of: HashMap<usize, Vec<u16>> = HashMap::new();
        for &slot in slots {
            match map.owner(slot) {
                Some(owner) => of.entry(owner).or_default().push(slot),
                None => return false,
            }
        }
        let confirm = async |(owner, slots): (usize, Vec<u16>)| {
            let Some(owner) = map.members().get(owner) else { return false };
            if owner.node == member.node {
                return false;
            }
            // The owner itself has to say so: others may not have heard of what came later.
            let Ok(connection) = self.opener.open(Some(&owner.node)).await else { return false };
            let nodes = ask(&connection, "NODES").await.ok();
            let claim = nodes.as_ref().and_then(|nodes| Claim::read(nodes.text()?));
            claim.is_some_and(|claim| slots.iter().all(|&slot| claim.replaces(slot, member.epoch)))
        };
        join_all(of.into_iter().map(confirm)).await.into_iter().all(|is_replaced| is_replaced)
    }

    /// Closes what is idle, and gives out nothing more.
    pub(crate) fn close(&self) {
        self.state(|state| {
            state.is_closed = true;
            state.pools.values().for_each(|pool| pool.close());
        });
    }
}

async fn ask(connection: &Connection, what: &'static str) -> Result<Reply, WriteError> {
    let reply = connection.call(Words::of("CLUSTER", &[what])).await;
    let reply =
        reply.map_err(|lost| refused("the connection was lost").with_server_message(lost.0))?;
    match reply.error() {
        Some(text) => Err(error::of_reply(text).at(Stage::Connect)),
        None => Ok(reply),
    }
}

fn refused(why: &str) -> WriteError {
    WriteError::new(ErrorKind::Connection).at(Stage::Connect).with_message(why)
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_the_server_looks_for_them() {
        let known = [("", 0), ("123456789", 0x31c3), ("k1", 12_706), ("foo", 12_182)];
        for (key, expected) in known {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        for (tagged, tag) in [("{foo}.bar", "foo"), ("a{user}b{x}", "user"), ("a{{b}c}", "{b")] {
            assert_eq!(slot(tagged.as_bytes()), slot(tag.as_bytes()), "{tagged}");
        }
        // As redis-cli says.
        for (untagged, expected) in [("a{}b", 13_694), ("a{b", 13_340), ("a}b{", 6_027)] {
            assert_eq!(slot(untagged.as_bytes()), expected, "{untagged}");
        }
    }
}
