//! Encrypted connections to a cluster's nodes, each with a certificate of its own.

use std::net::TcpListener;
use std::time::Duration;

use batchflow_redis::client::types::config::Config;
use batchflow_redis::{
    Attempt, Batch, ConflictStrategy, Driver, ErrorKind, RedisDriver, Schema, Verdict, WriteError,
};
use tokio::time::timeout;

use super::authority::Authority;
use super::plain_server;
use crate::support::cluster::Cluster;
use crate::support::servers::Servers;
use crate::support::{Direct, config, connect_as, fresh};

/// How many rows are written at once: some to each node.
const ROWS: usize = 60;

/// Three nodes that encrypt, also among each other, and where they do.
async fn start(servers: &Servers, authority: &Authority, hosts: [&str; 3]) -> (Cluster, [u16; 3]) {
    let ports = hosts.map(|_| port());
    let settings: Vec<String> = hosts
        .iter()
        .zip(ports)
        .map(|(host, port)| format!("tls-cluster=yes {}", authority.settings(port, host)))
        .collect();
    (Cluster::with(servers, &settings, &[]).await, ports)
}

/// A free port, whose neighbour for nodes is free, too.
fn port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| fastrand::u16(10_240..22_000));
    ports.find(|port| is_free(port) && is_free(&(port + 10_000))).unwrap()
}

/// How the nodes at these ports are reached.
fn url(cluster: &Cluster, ports: &[u16]) -> String {
    let (scheme, rest) = cluster.url.split_once("://").unwrap();
    let user = rest.rsplit_once('@').unwrap().0;
    let others: Vec<String> =
        ports[1..].iter().map(|port| format!("node=127.0.0.1:{port}")).collect();
    let scheme = scheme.replacen("redis", "rediss", 1);
    format!("{scheme}://{user}@127.0.0.1:{}?{}", ports[0], others.join("&"))
}

/// A driver that trusts an authority.
async fn trusting(authority: &Authority, url: &str) -> Result<RedisDriver, WriteError> {
    let tls = Some(authority.trusted().into());
    let connected = connect_as(Config { tls, ..Config::from_url(url).unwrap() });
    timeout(Duration::from_secs(20), connected).await.expect("promise 9: it hangs")
}

/// Writes rows whose keys are of every node.
async fn write(driver: &RedisDriver, table: &str, value: i64) -> Vec<Verdict> {
    let schema = Schema::new(table, ConflictStrategy::Replace, ["id", "n"]).unwrap();
    let rows = (0..ROWS as i64).map(|id| schema.row((id, value)).unwrap()).collect();
    let batch = Batch::from_requests(rows).unwrap();
    let report = timeout(Duration::from_secs(20), driver.write(batch, &Attempt::new())).await;
    report.expect("promise 9: it hangs").unwrap().into_verdicts(ROWS)
}

fn is_written(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Written)
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn an_encrypted_cluster_is_written_to_at_the_ports_that_encrypt() {
    let (servers, authority) = (Servers::connect(), Authority::new());
    let test = "an_encrypted_cluster_is_written_to_at_the_ports_that_encrypt";
    let Some(_plain) = plain_server(&servers, test).await else { return };
    let (cluster, ports) = start(&servers, &authority, ["127.0.0.1"; 3]).await;
    // One node is named: the others are found.
    let driver = trusting(&authority, &url(&cluster, &ports[..1])).await.unwrap();
    let table = fresh("encrypted");
    let verdicts = write(&driver, &table, 1).await;
    assert!(verdicts.iter().all(is_written), "{verdicts:?}");
    let mut direct = Direct::connect(&cluster.url).await;
    assert_eq!(direct.keys(&format!("{table}:")).await.len(), ROWS);
    for (node, port) in ports.iter().enumerate() {
        let clients = cluster.ask(node, "CLIENT LIST").await;
        let encrypted = clients.matches(&format!("laddr=127.0.0.1:{port} ")).count();
        assert!(encrypted > 0, "{clients}");
    }
    driver.close().await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_node_whose_certificate_does_not_fit_is_named_and_gets_no_row() {
    let (servers, right, wrong) = (Servers::connect(), Authority::new(), Authority::new());
    let test = "a_node_whose_certificate_does_not_fit_is_named_and_gets_no_row";
    let Some(_plain) = plain_server(&servers, test).await else { return };
    let hosts = ["127.0.0.1", "node.example.com", "127.0.0.1"];
    let (cluster, ports) = start(&servers, &right, hosts).await;
    let secret = cluster.url.split(['@', ':']).nth(2).unwrap();
    let tells = |error: &WriteError, port: u16, why: &str| {
        let shown = format!("{error} {error:?}");
        assert_eq!(error.kind(), ErrorKind::Connection, "{shown}");
        let (node, why) = (format!("node 127.0.0.1:{port}"), format!("its certificate {why}"));
        assert!(shown.contains(&node) && shown.contains(&why), "{node}: {why}: {shown}");
        assert!(!shown.contains(secret), "promise 10: {shown}");
    };

    let driver = trusting(&right, &url(&cluster, &ports)).await.unwrap();
    let table = fresh("misfit");
    let verdicts = write(&driver, &table, 1).await;
    let written = verdicts.iter().filter(|verdict| is_written(verdict)).count();
    assert!(0 < written && written < ROWS, "promise 4: the others are written: {verdicts:?}");
    for verdict in verdicts.iter().filter(|verdict| !is_written(verdict)) {
        let Verdict::NotApplied(error) = verdict else { panic!("{verdict:?}") };
        tells(error, ports[1], "is for another name");
    }
    assert_eq!(cluster.ask(1, "DBSIZE").await, "0");
    // It gets one that fits, and the same driver writes.
    let [certificate, key] = right.sign("127.0.0.1");
    cluster.ask(1, &format!("CONFIG SET tls-cert-file {certificate} tls-key-file {key}")).await;
    let verdicts = write(&driver, &table, 2).await;
    assert!(verdicts.iter().all(is_written), "{verdicts:?}");
    driver.close().await;

    // Nobody whom this system trusts has signed it; nor has another authority.
    let one = url(&cluster, &ports[2..]);
    let config = config(&one).connect_timeout(Duration::from_secs(3));
    let connected = timeout(Duration::from_secs(20), RedisDriver::connect_with(config)).await;
    let error = connected.expect("promise 9: it hangs").unwrap_err();
    tells(&error, ports[2], "is signed by nobody who is trusted");
    let error = trusting(&wrong, &one).await.unwrap_err();
    tells(&error, ports[2], "is signed by nobody who is trusted");
}
