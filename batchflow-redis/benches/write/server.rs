//! The server: found by `BATCHFLOW_REDIS_URL`, else this machine's.

use std::time::Instant;

use cpu_time::ProcessTime;
use redis::aio::MultiplexedConnection;

/// The variable that names the server.
const VARIABLE: &str = "BATCHFLOW_REDIS_URL";
/// Where a server usually listens; the last of its databases.
const USUAL: &str = "redis://127.0.0.1:6379/15";
/// What every key here begins with.
pub(crate) const PREFIX: &str = "batchflow_bench:";

/// A server that answers.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
}

impl Server {
    /// Finds the server, or says how to bring one. What the client says is not shown: it may hold
    /// parts of the URL.
    pub(crate) async fn find() -> Result<Self, String> {
        let (url, which) = match std::env::var(VARIABLE) {
            Ok(url) => (url, format!("the server of {VARIABLE}")),
            Err(_) => (USUAL.to_owned(), "a server at 127.0.0.1:6379".to_owned()),
        };
        let server = Self { url };
        match server.try_connect().await {
            Ok(_) => Ok(server),
            Err(_) => Err(format!(
                "{which} does not let us in: set {VARIABLE} to a Redis without TLS, \
                 redis://user:password@host/database"
            )),
        }
    }

    async fn try_connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        redis::Client::open(self.url.as_str())?.get_multiplexed_async_connection().await
    }

    /// A connection of one's own.
    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        self.try_connect().await.expect("the server that answered still does")
    }

    /// Removes every key of ours.
    pub(crate) async fn reset(self) {
        let mut connection = self.connect().await;
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{PREFIX}*")).arg("COUNT").arg(5_000);
            let scanned: redis::RedisResult<(u64, Vec<Vec<u8>>)> =
                scan.query_async(&mut connection).await;
            let (next, keys) = scanned.expect("the server that answered still does");
            if !keys.is_empty() {
                let removed: redis::RedisResult<()> =
                    redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await;
                removed.expect("the keys can be removed");
            }
            cursor = next;
            if cursor == 0 {
                return;
            }
        }
    }
}

/// How long something took on the wall, and in this process's processors, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Times a future.
pub(crate) async fn timed(work: impl Future<Output = ()>) -> Took {
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    work.await;
    Took { wall: wall.elapsed().as_secs_f64(), cpu: cpu.elapsed().as_secs_f64() }
}
