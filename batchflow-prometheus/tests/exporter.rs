//! The exporter, asked over its socket.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use batchflow_prometheus::client::registry::Registry;
use batchflow_prometheus::{Exporter, Options, PrometheusMetrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn exporter() -> Exporter {
    let mut registry = Registry::default();
    PrometheusMetrics::register(&mut registry, Options::default());
    Exporter::start("127.0.0.1:0", registry).await.unwrap()
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_format_is_the_one_asked_for() {
    let exporter = exporter().await;
    let at = exporter.address();
    let plain = ask(at, "GET /metrics HTTP/1.1").await;
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\n"), "{plain}");
    assert!(plain.contains("content-type: text/plain; version=0.0.4"), "{plain}");
    assert!(plain.contains("# TYPE batchflow_rows_submitted_total counter\n"), "{plain}");
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let open = ask(at, &format!("GET /metrics HTTP/1.1\r\n{accept}")).await;
    assert!(open.contains("content-type: application/openmetrics-text"), "{open}");
    assert!(open.ends_with("# EOF\n"), "{open}");
    exporter.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_served() {
    let exporter = exporter().await;
    let at = exporter.address();
    assert!(ask(at, "GET / HTTP/1.1").await.starts_with("HTTP/1.1 404"));
    let posted = ask(at, "POST /metrics HTTP/1.1\r\nContent-Length: 0").await;
    assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    assert!(ask(at, "nonsense").await.starts_with("HTTP/1.1 400"));
    exporter.stop().await;
}

#[tokio::test]
async fn stopped_or_dropped_it_listens_no_more() {
    for stop in [true, false] {
        let exporter = exporter().await;
        let at = exporter.address();
        // A connection that asks nothing holds up neither.
        let _idle = TcpStream::connect(at).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        if stop {
            exporter.stop().await;
        } else {
            drop(exporter);
        }
        while TcpStream::connect(at).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let exporter = exporter().await;
    let second = Exporter::start(exporter.address(), Registry::default()).await;
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
