//! What the tests that need a server share: where it is, and connections past the driver.
#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../../../xtask/shared/servers.rs"]
pub(crate) mod servers;

pub(crate) mod cluster;
mod direct;

pub(crate) use direct::Direct;

use std::sync::atomic::{AtomicU32, Ordering};

use batchflow_redis::client::types::Builder;
use batchflow_redis::client::types::config::Config;
use batchflow_redis::{
    Attempt, Batch, Client, Driver, RedisConfig, RedisDriver, Report, Request, Verdict, WriteError,
};

/// The server that all tests share: none may stop it, or change its settings.
pub(crate) fn url() -> String {
    let url = std::env::var("BATCHFLOW_REDIS_URL");
    url.expect("no BATCHFLOW_REDIS_URL names a server: cargo xtask integration starts one")
}

/// Whose connections are tested: those of `BATCHFLOW_REDIS_CLIENT`; left out, fred's.
pub(crate) fn tested_client() -> Client {
    match std::env::var("BATCHFLOW_REDIS_CLIENT").as_deref() {
        Err(_) => Client::Fred,
        #[cfg(feature = "redis-client")]
        Ok("redis") => Client::Redis,
        Ok(other) => panic!("there is no client {other:?} here"),
    }
}

/// The configuration that is tested.
pub(crate) fn config(url: &str) -> RedisConfig {
    RedisConfig::from_url(url).unwrap().client(tested_client())
}

/// Connects as is tested.
pub(crate) async fn connect(url: &str) -> Result<RedisDriver, WriteError> {
    match RedisConfig::from_url(url) {
        Ok(config) => RedisDriver::connect_with(config.client(tested_client())).await,
        Err(_) => RedisDriver::connect(url).await,
    }
}

/// Connects as is tested, and as a client of fred's would be configured.
pub(crate) async fn connect_as(config: Config) -> Result<RedisDriver, WriteError> {
    let client = Builder::from_config(config).build().unwrap();
    RedisDriver::connect_with(RedisConfig::from_client(&client).client(tested_client())).await
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

/// The URLs of a cluster's nodes: `redis-cluster://:secret@127.0.0.1:7000?node=127.0.0.1:7001`; of one
/// server, its own.
pub(crate) fn node_urls(url: &str) -> Vec<String> {
    let Some(rest) = url.strip_prefix("redis-cluster://") else { return vec![url.to_owned()] };
    let (first, others) = rest.split_once('?').unwrap_or((rest, ""));
    let first = format!("redis://{first}");
    let others = others.split('&').filter_map(|pair| pair.strip_prefix("node="));
    let others: Vec<String> = others.map(|address| through(&first, address)).collect();
    std::iter::once(first).chain(others).collect()
}

/// Whether a URL leads to a cluster.
pub(crate) fn is_cluster(url: &str) -> bool {
    url.starts_with("redis-cluster://")
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
