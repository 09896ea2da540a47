//! A Prometheus server of a test's own.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Prometheus server that scrapes one address five times a second. It goes with this.
pub(crate) struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one, and waits until it has scraped.
    pub(crate) async fn start(target: SocketAddr, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let scrapes = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
             scrape_configs: [{{ job_name: batchflow, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        std::fs::write(&config, scrapes).unwrap();
        // Nobody else takes the port between this and the server, or the server says so and ends.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error}: apt-get install prometheus"));
        let mut prometheus = Self { child, address, _folder: folder };
        let began = tokio::time::Instant::now();
        while !prometheus.is_ready().await {
            if prometheus.child.try_wait().unwrap().is_some() || began.elapsed() > PATIENCE {
                let _ = prometheus.child.kill();
                let mut said = String::new();
                prometheus.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("prometheus is not ready: {said}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        prometheus.wait_for("up == 1").await;
        prometheus
    }

    /// What it answers to a query, now: a value a series.
    pub(crate) async fn ask(&self, query: &str) -> Vec<f64> {
        let path = format!("/api/v1/query?query={}", escaped(query));
        let (_, answer) = self.get(&path).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        series.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }

    /// Waits until a query has an answer.
    pub(crate) async fn wait_for(&self, query: &str) {
        let asked = async {
            while self.ask(query).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("never: {query}"));
    }

    async fn is_ready(&self) -> bool {
        let answer = self.get("/-/ready").await;
        answer.is_ok_and(|(head, _)| head.split(' ').nth(1) == Some("200"))
    }

    /// The head and the body of an answer.
    async fn get(&self, path: &str) -> std::io::Result<(String, String)> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Ok((head.to_owned(), body.to_owned()))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A query as a part of an address.
fn escaped(query: &str) -> String {
    let mut escaped = String::new();
    for byte in query.bytes() {
        write!(escaped, "%{byte:02X}").unwrap();
    }
    escaped
}
