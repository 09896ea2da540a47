//! [`Cluster`]: a cluster of a test's own.

use std::time::Duration;

use super::servers::{OwnServer, Servers};
use super::{Direct, address};

#[path = "../../../xtask/shared/redis_cluster.rs"]
mod redis_cluster;

use redis_cluster::Plan;

/// A cluster of a test's own, whose nodes lose nothing that they have answered.
pub(crate) struct Cluster {
    /// Its primaries, then its replicas.
    pub(crate) nodes: Vec<OwnServer>,
    /// How its primaries are reached.
    pub(crate) url: String,
    /// How all its nodes are reached.
    pub(crate) all: String,
    password: String,
}

impl Cluster {
    /// Three primaries, and a replica of the first if one is wanted.
    pub(crate) async fn start(servers: &Servers, with_replica: bool) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 + usize::from(with_replica) {
            let settings = "cluster-enabled=yes cluster-node-timeout=1000";
            nodes.push(servers.server(settings).await);
        }
        let ports: Vec<u16> = nodes.iter().map(|node| port(&node.url)).collect();
        let password = nodes[0].url.split(['@', ':']).nth(2).unwrap().to_owned();
        let own = password.clone();
        let made = tokio::task::spawn_blocking(move || {
            let (primaries, replicas) = ports.split_at(3);
            let replicas: Vec<(u16, usize)> = replicas.iter().map(|&port| (port, 0)).collect();
            let plan = Plan { primaries, replicas: &replicas, password: &own };
            plan.make()?;
            let all = Plan { primaries: &ports, replicas: &[], password: &own };
            Ok::<_, String>((plan.url(), all.url()))
        });
        let (url, all) = made.await.unwrap().unwrap_or_else(|why| panic!("no cluster: {why}"));
        Self { nodes, url, all, password }
    }

    /// The place of the primary that serves a slot.
    pub(crate) async fn owner(&self, slot: u16) -> usize {
        for (at, node) in self.nodes[..3].iter().enumerate() {
            let mut direct = Direct::connect(&node.url).await;
            if owns(&direct.ask("CLUSTER NODES").await, slot) {
                return at;
            }
        }
        panic!("nobody has slot {slot}")
    }

    /// How many keys of a slot a node has.
    pub(crate) async fn keys_in(&self, node: usize, slot: u16) -> usize {
        let mut direct = Direct::connect(&self.nodes[node].url).await;
        direct.ask(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).await.parse().unwrap()
    }

    /// Puts a slot on its way, and leaves all its keys where they are.
    pub(crate) async fn begin_to_move(&self, slot: u16, to: usize) {
        let from = self.owner(slot).await;
        let mut source = Direct::connect(&self.nodes[from].url).await;
        let mut target = Direct::connect(&self.nodes[to].url).await;
        let (source_id, target_id) =
            (source.ask("CLUSTER MYID").await, target.ask("CLUSTER MYID").await);
        target.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}")).await;
        source.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}")).await;
    }

    /// Moves a slot from whichever primary has it to another, as redis-cli does.
    pub(crate) async fn move_slot(&self, slot: u16, to: usize) {
        let mut primaries = Vec::new();
        for node in &self.nodes[..3] {
            let mut direct = Direct::connect(&node.url).await;
            let id = direct.ask("CLUSTER MYID").await;
            primaries.push((direct, id, port(&node.url)));
        }
        let from = self.owner(slot).await;
        if from == to {
            return;
        }
        self.begin_to_move(slot, to).await;
        let (target, target_port) = (primaries[to].1.clone(), primaries[to].2);
        loop {
            let keys = primaries[from].0.ask(&format!("CLUSTER GETKEYSINSLOT {slot} 10")).await;
            if keys.is_empty() {
                break;
            }
            let password = &self.password;
            let migrate =
                format!("MIGRATE 127.0.0.1 {target_port}  0 5000 AUTH {password} KEYS {keys}");
            primaries[from].0.ask(&migrate).await;
        }
        for at in [to, from].into_iter().chain((0..3).filter(|at| *at != to && *at != from)) {
            primaries[at].0.ask(&format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
        }
        // Else a claim that is under way may be taken for a later one than the next.
        loop {
            let mut views = Vec::new();
            for (direct, ..) in &mut primaries {
                views.push(view(&direct.ask("CLUSTER NODES").await));
            }
            if views.iter().all(|other| *other == views[0]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Each node's name, epoch and slots, without those that are on their way.
fn view(nodes: &str) -> Vec<Vec<String>> {
    let line = |line: &str| {
        let fields = line.split_whitespace().enumerate();
        let told =
            fields.filter(|(at, field)| matches!(at, 0 | 6 | 8..) && !field.starts_with('['));
        told.map(|(_, field)| field.to_owned()).collect()
    };
    let mut view: Vec<Vec<String>> = nodes.lines().map(line).collect();
    view.sort();
    view
}

/// Whether the node that says this serves a slot.
fn owns(nodes: &str, slot: u16) -> bool {
    let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
    own.split_whitespace().skip(8).filter(|range| !range.starts_with('[')).any(|range| {
        let (start, end) = range.split_once('-').unwrap_or((range, range));
        (start.parse().unwrap()..=end.parse().unwrap()).contains(&slot)
    })
}

fn port(url: &str) -> u16 {
    address(url).rsplit_once(':').unwrap().1.parse().unwrap()
}
