//! A cluster, where `BATCHFLOW_REDIS_CLUSTER_URL` names one, and what one would write to it instead:
//! pipelines of the redis crate, one for each node.

#[path = "../../src/cluster/slot.rs"]
mod slot;

use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use crate::rows::{Shape, pairs, wides};
use crate::server::{PREFIX, Server, Took, timed};
use crate::{BATCH, pipeline};

/// The variable that names the cluster.
const VARIABLE: &str = "BATCHFLOW_REDIS_CLUSTER_URL";

/// A cluster, as the driver is told of it; and its nodes, each with the slots that it serves.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) server: Server,
    nodes: Vec<(Vec<(u16, u16)>, MultiplexedConnection)>,
}

impl Cluster {
    /// Finds the cluster.
    pub(crate) async fn find() -> Option<Self> {
        let url = std::env::var(VARIABLE).ok()?;
        let rest = url.strip_prefix("redis-cluster://")?;
        let (first, others) = rest.split_once('?').unwrap_or((rest, ""));
        let (user, first) = first.rsplit_once('@').unwrap_or(("", first));
        let others = others.split('&').filter_map(|pair| pair.strip_prefix("node="));
        let mut nodes = Vec::new();
        for address in std::iter::once(first).chain(others) {
            let server = Server { url: format!("redis://{user}@{address}") };
            let mut connection = server.connect().await;
            let asked = redis::cmd("CLUSTER").arg("NODES").query_async(&mut connection).await;
            let told: String = asked.expect("a node tells of its cluster");
            let own = told.lines().find(|line| line.contains("myself")).unwrap_or_default();
            let ranges = own.split_whitespace().skip(8).map(|range| {
                let (start, end) = range.split_once('-').unwrap_or((range, range));
                (start.parse().expect("a slot"), end.parse().expect("a slot"))
            });
            nodes.push((ranges.collect(), connection));
        }
        Some(Self { server: Server { url }, nodes })
    }

    fn node(&self, key: &str) -> usize {
        let slot = slot::slot(key.as_bytes());
        let serves = |(ranges, _): &(Vec<(u16, u16)>, _)| {
            ranges.iter().any(|&(start, end)| (start..=end).contains(&slot))
        };
        self.nodes.iter().position(serves).expect("every slot is served")
    }
}

/// Writes rows, a batch at a time, by a pipeline for each node.
pub(crate) async fn write(cluster: Cluster, shape: Shape, count: usize) -> Took {
    let prefix = format!("{PREFIX}{shape:?}_by_pipeline:").to_lowercase();
    if shape == Shape::Hash {
        let own = prefix.clone();
        let pipe = move |rows| pipeline::hashes(&own, rows);
        timed(all(&cluster, &prefix, wides(count), |row| row.0, pipe)).await
    } else {
        let own = prefix.clone();
        let pipe = move |rows| pipeline::strings(&own, None, rows);
        timed(all(&cluster, &prefix, pairs(count), |row| row.0, pipe)).await
    }
}

async fn all<T>(
    cluster: &Cluster,
    prefix: &str,
    rows: Vec<T>,
    id: impl Fn(&T) -> i64,
    pipe: impl Fn(Vec<T>) -> redis::Pipeline,
) {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut parts: Vec<Vec<T>> = cluster.nodes.iter().map(|_| Vec::new()).collect();
        for row in rows.by_ref().take(BATCH) {
            parts[cluster.node(&format!("{prefix}{}", id(&row)))].push(row);
        }
        let mut sent = JoinSet::new();
        for (part, (_, connection)) in parts.into_iter().zip(&cluster.nodes) {
            let (pipe, mut connection) = (pipe(part), connection.clone());
            sent.spawn(async move {
                let written: redis::RedisResult<()> = pipe.query_async(&mut connection).await;
                written.expect("the rows are written");
            });
        }
        sent.join_all().await;
    }
}
