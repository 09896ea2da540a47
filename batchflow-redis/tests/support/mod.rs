//! What the tests that need a server share: where it is, and connections past the driver.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod servers;

use std::sync::atomic::{AtomicU32, Ordering};

use batchflow_redis::{Attempt, Batch, Driver, Report, Request, Verdict};
use redis::aio::MultiplexedConnection;

/// The server that all tests share: none may stop it, or change its settings.
pub(crate) fn url() -> String {
    let url = std::env::var("BATCHFLOW_REDIS_URL");
    url.expect("no BATCHFLOW_REDIS_URL names a server: cargo xtask integration starts one")
}

/// A connection past the driver.
#[derive(Clone)]
pub(crate) struct Direct(MultiplexedConnection);

impl Direct {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::try_connect(url).await.expect("cannot connect")
    }

    pub(crate) async fn try_connect(url: &str) -> redis::RedisResult<Self> {
        let client = redis::Client::open(url)?;
        // Servers here are held up on purpose.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    /// Runs a command whose words are separated by spaces, and shows what it answers.
    pub(crate) async fn ask(&mut self, words: &str) -> String {
        self.try_ask(words).await.unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    pub(crate) async fn try_ask(&mut self, words: &str) -> redis::RedisResult<String> {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        Ok(show(&self.call(&words).await?))
    }

    pub(crate) async fn call(&mut self, words: &[&[u8]]) -> redis::RedisResult<redis::Value> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query_async(&mut self.0).await
    }

    /// The keys that begin so, in order.
    pub(crate) async fn keys(&mut self, prefix: &str) -> Vec<Vec<u8>> {
        let pattern = format!("{prefix}*");
        let mut keys = Vec::new();
        let mut cursor = b"0".to_vec();
        loop {
            let words =
                [b"SCAN", cursor.as_slice(), b"MATCH", pattern.as_bytes(), b"COUNT", b"1000"];
            let (next, found): (Vec<u8>, Vec<Vec<u8>>) =
                redis::from_redis_value(self.call(&words).await.unwrap()).unwrap();
            keys.extend(found);
            cursor = next;
            if cursor == b"0" {
                keys.sort();
                keys.dedup();
                return keys;
            }
        }
    }
}

/// An answer as text: the elements of an array separated by spaces, nothing as `-`.
pub(crate) fn show(value: &redis::Value) -> String {
    match value {
        redis::Value::Nil => "-".to_owned(),
        redis::Value::Int(number) => number.to_string(),
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        redis::Value::Okay => "OK".to_owned(),
        redis::Value::Array(items) | redis::Value::Set(items) => {
            items.iter().map(show).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

/// Writes rows by a driver, all at once, and shows each one's verdict: `written`, or the error's
/// kind.
pub(crate) async fn write(driver: &dyn Driver, rows: Vec<Request>) -> Vec<String> {
    let batch = Batch::from_requests(rows).unwrap();
    let rows = batch.len();
    let report = driver.write(batch, &Attempt::new()).await.unwrap();
    verdicts(report, rows)
}

pub(crate) fn verdicts(report: Report, rows: usize) -> Vec<String> {
    let shown = |verdict: Verdict| match verdict {
        Verdict::Written => "written".to_owned(),
        Verdict::Rejected(error) => error.kind().to_string(),
        Verdict::NotApplied(error) => format!("not applied: {error}"),
        Verdict::Unknown(error) => format!("unknown: {error}"),
        _ => "?".to_owned(),
    };
    report.into_verdicts(rows).into_iter().map(shown).collect()
}

/// A name that no other test of any process uses.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("batchflow_{what}_{}_{number}", std::process::id())
}

/// The same URL with another server's address.
pub(crate) fn through(url: &str, address: impl std::fmt::Display) -> String {
    let start = url.rfind('@').or_else(|| url.find("://").map(|at| at + 2)).map_or(0, |at| at + 1);
    let (start, rest) = url.split_at(start);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    format!("{start}{address}{}", &rest[end..])
}

/// The same URL for another user.
pub(crate) fn by_user(url: &str, user: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{user}:{password}@{place}")
}

/// Where a URL's server listens: `127.0.0.1:6379`.
pub(crate) fn address(url: &str) -> String {
    let after =
        url.rsplit_once('@').or_else(|| url.split_once("://")).map_or(url, |(_, rest)| rest);
    let address = after.split(['/', '?']).next().unwrap_or_default();
    if address.contains(':') { address.to_owned() } else { format!("{address}:6379") }
}

/// The seeds of a random test: `BATCHFLOW_SEEDS` of them from `BATCHFLOW_FAULT_SEED` on, as
/// `cargo xtask integration --seeds N --seed S` sets them; one, left out.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("BATCHFLOW_FAULT_SEED").unwrap_or(1_u64);
    first..first.saturating_add(number("BATCHFLOW_SEEDS").unwrap_or(1))
}
