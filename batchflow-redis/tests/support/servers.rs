//! Servers of a test's own, asked of `cargo xtask integration` while it runs the tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest that one request takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A test's connection to what starts servers: the servers go when the last clone of it does.
#[derive(Clone, Debug)]
pub(crate) struct Servers(Arc<Mutex<BufReader<TcpStream>>>);

/// A server of a test's own. It goes with its connection, not with this.
#[derive(Clone, Debug)]
pub(crate) struct OwnServer {
    servers: Servers,
    name: String,
    pub(crate) url: String,
}

enum Reply {
    Done(String),
    /// This machine does not have it.
    Missing(String),
}

impl Servers {
    pub(crate) fn connect() -> Self {
        let address = std::env::var("BATCHFLOW_SERVERS").expect(
            "no BATCHFLOW_SERVERS says where to ask for a server: cargo xtask integration does",
        );
        let stream = TcpStream::connect(address).expect("cannot ask for servers");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(Arc::new(Mutex::new(BufReader::new(stream))))
    }

    /// Asks, on a thread of its own: the answer may take seconds.
    async fn ask(&self, request: String) -> Reply {
        let stream = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || {
            let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            stream.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
            let mut reply = String::new();
            stream.read_line(&mut reply).unwrap_or_else(|error| panic!("{request}: {error}"));
            match reply.trim_end().split_once(' ').unwrap_or((reply.trim_end(), "")) {
                ("ok", rest) => Reply::Done(rest.to_owned()),
                ("none", why) => Reply::Missing(why.to_owned()),
                _ => panic!("{request}: {}", reply.trim_end()),
            }
        });
        asked.await.unwrap()
    }

    async fn start(&self, request: String) -> Result<OwnServer, String> {
        match self.ask(format!("start {request}")).await {
            Reply::Missing(why) => Err(why),
            Reply::Done(reply) => {
                let (name, url) = reply.split_once(' ').expect("a name and a URL");
                let (name, url) = (name.to_owned(), url.to_owned());
                Ok(OwnServer { servers: self.clone(), name, url })
            }
        }
    }

    /// A server of the version under test, with settings such as `maxmemory=50mb`. It loses nothing
    /// that it has answered.
    pub(crate) async fn redis(&self, settings: &str) -> OwnServer {
        let started = self.start(format!("server {settings}")).await;
        started.unwrap_or_else(|why| panic!("{why}"))
    }
}

impl OwnServer {
    /// Ends it in order.
    pub(crate) async fn stop(&self) {
        self.order("stop").await;
    }

    /// Kills all its processes at once.
    pub(crate) async fn kill(&self) {
        self.order("kill").await;
    }

    /// Starts it again where it was.
    pub(crate) async fn restart(&self) {
        self.order("restart").await;
    }

    /// Stops all its processes where they stand.
    pub(crate) async fn stall(&self) {
        self.order("stall").await;
    }

    /// Lets its processes go on.
    pub(crate) async fn resume(&self) {
        self.order("resume").await;
    }

    async fn order(&self, order: &str) {
        if let Reply::Missing(why) = self.servers.ask(format!("{order} {}", self.name)).await {
            panic!("{order}: {why}");
        }
    }
}
