//! What one would write instead: pipelines of the redis crate, a batch each.

use tokio::task::JoinSet;

use crate::rows::{FIELDS, Pair, Shape, TTL, Wide, pairs, wides};
use crate::server::{PREFIX, Server, Took};
use crate::{BATCH, timed};

/// Writes rows by so many connections, a pipeline a batch.
pub(crate) async fn write(server: Server, shape: Shape, flights: usize, count: usize) -> Took {
    let mut connections = Vec::new();
    for _ in 0..flights {
        connections.push(server.connect().await);
    }
    let prefix = format!("{PREFIX}{shape:?}_by_pipeline:").to_lowercase();
    if shape == Shape::Hash {
        let shares = shares(wides(count), flights);
        timed(all(connections, shares, move |rows| hashes(&prefix, rows))).await
    } else {
        let shares = shares(pairs(count), flights);
        let ttl = (shape == Shape::Expiring).then_some(TTL);
        timed(all(connections, shares, move |rows| strings(&prefix, ttl, rows))).await
    }
}

/// The batches, dealt to so many.
fn shares<T>(rows: Vec<T>, flights: usize) -> Vec<Vec<Vec<T>>> {
    let mut shares: Vec<Vec<Vec<T>>> = (0..flights).map(|_| Vec::new()).collect();
    let mut rows = rows.into_iter();
    for turn in 0.. {
        let batch: Vec<T> = rows.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        shares[turn % flights].push(batch);
    }
    shares
}

async fn all<T: Send + 'static>(
    connections: Vec<redis::aio::MultiplexedConnection>,
    shares: Vec<Vec<Vec<T>>>,
    pipe: impl Fn(Vec<T>) -> redis::Pipeline + Clone + Send + 'static,
) {
    let mut tasks = JoinSet::new();
    for (mut connection, share) in connections.into_iter().zip(shares) {
        let pipe = pipe.clone();
        tasks.spawn(async move {
            for batch in share {
                let written: redis::RedisResult<()> =
                    pipe(batch).query_async(&mut connection).await;
                written.expect("the rows are written");
            }
        });
    }
    tasks.join_all().await;
}

pub(crate) fn strings(prefix: &str, ttl: Option<u64>, rows: Vec<Pair>) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    for (id, value) in rows {
        let command = pipe.cmd("SET").arg(format!("{prefix}{id}")).arg(value);
        if let Some(ttl) = ttl {
            command.arg("EX").arg(ttl);
        }
        pipe.ignore();
    }
    pipe
}

pub(crate) fn hashes(prefix: &str, rows: Vec<Wide>) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    for (id, name, email, hits, score, note) in rows {
        pipe.cmd("HSET")
            .arg(format!("{prefix}{id}"))
            .arg((FIELDS[0], name))
            .arg((FIELDS[1], email))
            .arg((FIELDS[2], hits))
            .arg((FIELDS[3], score))
            .arg((FIELDS[4], note))
            .ignore();
    }
    pipe
}
