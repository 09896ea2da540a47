//! [`Cluster`]: a cluster of a test's own.

use std::time::{Duration, Instant};

use batchflow_core::testing::Proxy;

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

/// What every node is started with: one that does not answer is given up late, so that no replica
/// takes over before it is meant to; and then one does, however long the others took to let it.
const NODE: &str =
    "cluster-enabled=yes cluster-node-timeout=15000 cluster-replica-validity-factor=0";

/// How long nodes may take to agree on who has a slot; and before they are told again. Redis 7.0 keeps
/// the note that a slot's owner does not claim it when the slot is given to another, who then loses
/// it to any older word of the former, whatever the epochs: each takes the other for it, for good.
const PATIENCE: Duration = Duration::from_secs(60);
const AGREED: Duration = Duration::from_secs(3);

impl Cluster {
    /// Three primaries, and a replica of each of these.
    pub(crate) async fn start(servers: &Servers, replicas_of: &[usize]) -> Self {
        Self::with(servers, &vec![String::new(); 3 + replicas_of.len()], replicas_of).await
    }

    /// The same of nodes with settings of their own.
    pub(crate) async fn with(
        servers: &Servers,
        settings: &[String],
        replicas_of: &[usize],
    ) -> Self {
        let mut nodes = Vec::new();
        for own in settings {
            nodes.push(servers.server(&format!("{NODE} {own}")).await);
        }
        let ports: Vec<u16> = nodes.iter().map(|node| port(&node.url)).collect();
        let password = nodes[0].url.split(['@', ':']).nth(2).unwrap().to_owned();
        let (own, of) = (password.clone(), replicas_of.to_vec());
        let made = tokio::task::spawn_blocking(move || {
            let (primaries, replicas) = ports.split_at(3);
            let replicas: Vec<(u16, usize)> = replicas.iter().copied().zip(of).collect();
            let plan = Plan { primaries, replicas: &replicas, password: &own };
            plan.make()?;
            let all = Plan { primaries: &ports, replicas: &[], password: &own };
            Ok::<_, String>((plan.url(), all.url()))
        });
        let (url, all) = made.await.unwrap().unwrap_or_else(|why| panic!("no cluster: {why}"));
        Self { nodes, url, all, password }
    }

    /// How all its nodes but one are reached.
    pub(crate) fn without(&self, node: usize) -> String {
        let others = self.nodes.iter().enumerate().filter(|(at, _)| *at != node);
        let ports: Vec<u16> = others.map(|(_, node)| port(&node.url)).collect();
        Plan { primaries: &ports, replicas: &[], password: &self.password }.url()
    }

    /// Puts a proxy before each node, which the others tell of in its place, and how those are
    /// reached.
    pub(crate) async fn behind_proxies(&self) -> (Vec<Proxy>, String) {
        let mut proxies = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let proxy = Proxy::start(address(&node.url)).await.unwrap();
            let bus = port(&node.url) + 10_000;
            let announced = format!(
                "cluster-announce-port {} cluster-announce-bus-port {bus}",
                proxy.address().port()
            );
            self.ask(at, &format!("CONFIG SET {announced}")).await;
            proxies.push(proxy);
        }
        let ports: Vec<u16> = proxies.iter().map(|proxy| proxy.address().port()).collect();
        for (at, port) in (0..self.nodes.len()).flat_map(|at| ports.iter().map(move |to| (at, to)))
        {
            self.says(at, "CLUSTER NODES", &format!(" 127.0.0.1:{port}@")).await;
        }
        (proxies, Plan { primaries: &ports, replicas: &[], password: &self.password }.url())
    }

    /// Has nodes that do not answer given up soon. Of the replicas only this one takes over: another
    /// may, without need, where processors are busy.
    pub(crate) async fn give_up_soon(&self, takes_over: usize) {
        for at in 0..self.nodes.len() {
            if at >= 3 && at != takes_over {
                self.ask(at, "CONFIG SET cluster-replica-no-failover yes").await;
            }
            self.ask(at, "CONFIG SET cluster-node-timeout 1000").await;
        }
    }

    /// Asks one node.
    pub(crate) async fn ask(&self, node: usize, words: &str) -> String {
        Direct::connect(&self.nodes[node].url).await.ask(words).await
    }

    /// Waits until a node says something.
    pub(crate) async fn says(&self, node: usize, question: &str, says: &str) {
        while !self.ask(node, question).await.contains(says) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nodes serve every slot.
    pub(crate) async fn is_whole(&self, nodes: impl IntoIterator<Item = usize>) {
        for node in nodes {
            self.says(node, "CLUSTER INFO", "cluster_state:ok").await;
        }
    }

    /// Waits until a replica has all that its primary has answered so far.
    pub(crate) async fn is_copied(&self, primary: usize, replica: usize) {
        let executed = offset(&self.ask(primary, REPLICATION).await, "master_repl_offset:");
        while offset(&self.ask(replica, REPLICATION).await, "slave_repl_offset:") < executed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            for at in [to, from].into_iter().chain((0..3).filter(|at| *at != to && *at != from)) {
                primaries[at].0.ask(&format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
            }
            // Else a claim that is under way may be taken for a later one than the next.
            let again = Instant::now() + AGREED;
            while Instant::now() < again {
                let mut views = Vec::new();
                for (direct, ..) in &mut primaries {
                    views.push(view(&direct.ask("CLUSTER NODES").await));
                }
                if views.iter().all(|other| *other == views[0]) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        panic!("the nodes do not agree on who has slot {slot}");
    }
}

/// What a server tells of its replicas or its primary.
pub(crate) const REPLICATION: &str = "INFO replication";

/// How far a server says that it has come.
fn offset(told: &str, name: &str) -> u64 {
    let own = told.lines().find_map(|line| line.strip_prefix(name));
    own.unwrap_or_else(|| panic!("no {name} in {told}")).trim().parse().unwrap()
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
