//! Makes a cluster of Redis servers that run on this machine. Included by `cargo xtask integration`
//! and by the tests of clusters.
#![allow(dead_code, reason = "each uses its own part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// How long the servers may take to agree, and to answer one question.
const PATIENCE: Duration = Duration::from_secs(30);

/// Servers that become a cluster's primaries, and others that become replicas of those, each by its
/// port and its primary's place.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) primaries: &'a [u16],
    pub(crate) replicas: &'a [(u16, usize)],
    /// The password of all.
    pub(crate) password: &'a str,
}

impl Plan<'_> {
    /// Makes the cluster, and waits until every server knows it and replicas follow.
    pub(crate) fn make(&self) -> Result<(), String> {
        let all: Vec<u16> = self
            .primaries
            .iter()
            .copied()
            .chain(self.replicas.iter().map(|(port, _)| *port))
            .collect();
        let Some(first) = all.first() else { return Ok(()) };
        let bus = bus_port(&Node::connect(*first, self.password)?.ask("CLUSTER NODES")?)?;
        for (at, &port) in all.iter().enumerate() {
            let mut node = Node::connect(port, self.password)?;
            node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1))?;
            if at < self.primaries.len() {
                let ends = [at, at + 1].map(|at| at * SLOTS / self.primaries.len());
                let [from, next] = ends;
                node.ask(&format!("CLUSTER ADDSLOTSRANGE {from} {}", next - 1))?;
            }
            node.ask(&format!("CLUSTER MEET 127.0.0.1 {first} {bus}"))?;
        }
        let know = format!("cluster_known_nodes:{}", all.len());
        for &port in &all {
            self.wait(port, "CLUSTER INFO", &["cluster_state:ok", &know])?;
        }
        for &(port, of) in self.replicas {
            let primary = self.primaries.get(of).ok_or("a replica of no primary")?;
            let id = Node::connect(*primary, self.password)?.ask("CLUSTER MYID")?;
            // Both have to know of it: gossip may be late.
            self.wait(port, "CLUSTER NODES", &[&id])?;
            Node::connect(port, self.password)?.ask(&format!("CLUSTER REPLICATE {id}"))?;
            self.wait(port, "INFO replication", &["master_link_status:up"])?;
            for &other in &all {
                self.wait(other, "CLUSTER NODES", &[&format!("slave {id}")])?;
            }
        }
        Ok(())
    }

    /// Asks a server until it says all of these.
    fn wait(&self, port: u16, question: &str, says: &[&str]) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = Node::connect(port, self.password)?.ask(question)?;
            if says.iter().all(|part| said.contains(part)) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("no cluster after {PATIENCE:?}, {question} of {port}: {said}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How a client reaches it.
    pub(crate) fn url(&self) -> String {
        let mut ports = self.primaries.iter();
        let first = ports.next().copied().unwrap_or_default();
        let others: Vec<String> = ports.map(|port| format!("node=127.0.0.1:{port}")).collect();
        format!("redis-cluster://:{}@127.0.0.1:{first}?{}", self.password, others.join("&"))
    }
}

/// Where a node that knows no other listens to them: `8b43 :7101@17101 myself,master - 0 0 …`.
fn bus_port(nodes: &str) -> Result<u16, String> {
    let address = nodes.split(' ').nth(1).unwrap_or_default();
    let port = address.rsplit_once('@').map(|(_, port)| port.split(',').next().unwrap_or_default());
    port.and_then(|port| port.parse().ok()).ok_or_else(|| format!("no node: {nodes}"))
}

/// A connection to one server, for questions whose words hold no spaces.
#[derive(Debug)]
pub(crate) struct Node(BufReader<TcpStream>);

impl Node {
    pub(crate) fn connect(port: u16, password: &str) -> Result<Self, String> {
        let open = || {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = open().map_err(|error| format!("port {port}: {error}"))?;
        let mut node = Self(BufReader::new(stream));
        node.ask(&format!("AUTH {password}"))?;
        Ok(node)
    }

    /// Asks, and returns what a text, a number or nothing says.
    pub(crate) fn ask(&mut self, question: &str) -> Result<String, String> {
        let name = question.split(' ').next().unwrap_or_default().to_owned();
        self.try_ask(question).map_err(|error| format!("{name}: {error}"))?
    }

    fn try_ask(&mut self, question: &str) -> std::io::Result<Result<String, String>> {
        self.0.get_mut().write_all(format!("{question}\r\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let line = line.trim_end();
        Ok(match line.split_at_checked(1) {
            Some(("-", why)) => Err(why.to_owned()),
            Some(("$", length)) => {
                let mut text = vec![0; length.parse::<usize>().map_or(0, |length| length + 2)];
                self.0.read_exact(&mut text)?;
                Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
            }
            Some((_, said)) => Ok(said.to_owned()),
            None => Err("the connection was closed".to_owned()),
        })
    }
}
