//! Encrypted connections to a server of the test's own, with certificates made for it.

mod authority;
mod cluster;

use std::net::TcpListener;
use std::time::Duration;

use batchflow_redis::client::types::config::Config;
use batchflow_redis::{
    Attempt, Batch, ConflictStrategy, Driver, ErrorKind, RedisDriver, Schema, Verdict,
};
use tokio::time::timeout;

use crate::support::servers::{OwnServer, Servers};
use crate::support::{Direct, config, connect_as, through};
use authority::Authority;

/// A server, where those of this version can encrypt; else notes why a test is not run.
async fn plain_server(servers: &Servers, test: &str) -> Option<OwnServer> {
    let plain = servers.server("").await;
    let knows = Direct::connect(&plain.url).await.try_ask("CONFIG GET tls-port").await;
    if !knows.is_ok_and(|found| found.contains("tls-port")) {
        servers.skipped(&format!("tls::{test}"), "this Redis was built without TLS").await;
        return None;
    }
    Some(plain)
}

/// A server that encrypts, and where it does; or none.
async fn server(authority: &Authority) -> Option<(OwnServer, String)> {
    let servers = Servers::connect();
    plain_server(&servers, "an_encrypted_server_has_to_prove_who_it_is").await?;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = servers.server(&authority.settings(port, "127.0.0.1")).await;
    let url = through(&server.url, format!("127.0.0.1:{port}"));
    Some((server, url))
}

/// Connects as a client is configured, and writes a row.
async fn write(driver: &RedisDriver, table: &str) -> Result<(), batchflow_redis::WriteError> {
    let schema = Schema::new(table, ConflictStrategy::Replace, ["id", "name"]).unwrap();
    let batch = Batch::from_requests(vec![schema.row((1_i64, "Ada")).unwrap()]).unwrap();
    let report = timeout(Duration::from_secs(20), driver.write(batch, &Attempt::new())).await;
    let report = report.expect("promise 9: it hangs")?;
    assert!(matches!(report.verdict(0), Some(Verdict::Written)), "{report:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn an_encrypted_server_has_to_prove_who_it_is() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let Some((server, encrypted)) = server(&right).await else { return };
    let password = server.url.split(['@', ':']).nth(2).unwrap().to_owned();
    let trusting = |authority: &Authority| Config {
        tls: Some(authority.trusted().into()),
        ..Config::from_url(&encrypted).unwrap()
    };

    let driver = connect_as(trusting(&right)).await.unwrap();
    write(&driver, "t").await.unwrap();
    let mut direct = Direct::connect(&server.url).await;
    assert_eq!(direct.ask("HGET t:1 name").await, "Ada");
    driver.close().await;

    let refused = |error: batchflow_redis::WriteError, what: &str| {
        assert_eq!(error.kind(), ErrorKind::Connection, "{what}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&password), "promise 10: {what}: {shown}");
    };
    let error = connect_as(trusting(&wrong)).await.unwrap_err();
    assert!(error.to_string().contains("its certificate is signed by nobody"), "{error}");
    refused(error, "another authority");
    // No authority of this system has signed it; and one that does not encrypt gets no answer.
    for url in [encrypted.replacen("redis://", "rediss://", 1), encrypted.clone()] {
        let config = config(&url).connect_timeout(Duration::from_secs(3));
        let connected = timeout(Duration::from_secs(20), RedisDriver::connect_with(config)).await;
        refused(connected.expect("promise 9: it hangs").unwrap_err(), &url[..7]);
    }
}
