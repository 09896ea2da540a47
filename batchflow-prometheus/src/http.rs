//! [`Exporter`]: the metrics over HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::format::Format;

/// The most connections at once. A Prometheus server has one; the next waits.
const CONNECTIONS: usize = 32;

/// How long a client may take to ask, and a connection to live: longer than the longest interval
/// between two scrapes is nobody's need.
const PATIENCE: Duration = Duration::from_secs(10);
const LIFE: Duration = Duration::from_secs(300);

/// After an `accept` that failed, the next comes this much later: the process may be out of files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `/metrics` until it is stopped or dropped.
///
/// It answers in the format that is asked for: OpenMetrics, with the feature `protobuf` Prometheus'
/// protobuf format, else the older text format. There is no encryption and no password: bind it to an address that only Prometheus
/// reaches.
///
/// ```
/// use batchflow_prometheus::client::registry::Registry;
/// use batchflow_prometheus::{Exporter, Options, PrometheusMetrics};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let mut registry = Registry::default();
/// let metrics = PrometheusMetrics::register(&mut registry, Options::default());
/// let exporter = Exporter::start("127.0.0.1:0", registry).await?;
/// println!("http://{}/metrics", exporter.address());
/// exporter.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Binds the address and begins to serve what the registry holds, on the current tokio
    /// runtime. Cancel safe: a dropped future serves nothing.
    ///
    /// # Errors
    ///
    /// Where the address cannot be bound, and outside a tokio runtime.
    pub async fn start(address: impl ToSocketAddrs, registry: Registry) -> io::Result<Self> {
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, Arc::new(registry), stopped));
        Ok(Self { address, stop, task })
    }

    /// Where it listens: the port, where it was left to the system.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, and waits until the answers under way are given, 10 seconds at most. Dropped,
    /// the future cuts them off.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(PATIENCE, &mut self.task).await.is_err() {
            tracing::warn!("an answer of the metrics exporter took too long, and was cut off");
        }
    }
}

/// Ends the task, and with it every connection.
impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until the exporter stops.
async fn over(stopped: &mut watch::Receiver<bool>) {
    // The sender lives as long as the exporter, which ends the task when it goes.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn serve(listener: TcpListener, registry: Arc<Registry>, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let told = stopped.clone();
    loop {
        let accept = async {
            let permit = Arc::clone(&room).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        tokio::select! {
            biased;
            () = over(&mut stopped) => break,
            accepted = accept => match accepted {
                Some((Ok((stream, _)), permit)) => {
                    let (registry, stopped) = (Arc::clone(&registry), told.clone());
                    connections.spawn(async move {
                        answer(stream, registry, stopped).await;
                        drop(permit);
                    });
                }
                Some((Err(error), _)) => {
                    tracing::warn!(%error, "the metrics exporter could not accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
                None => break,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Answers what one connection asks, until it ends.
async fn answer(stream: TcpStream, registry: Arc<Registry>, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let response = respond(&request, &registry);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // What a client does wrong is its own affair, and it ends the connection.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = over(&mut stopped) => {}
        () = tokio::time::sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}

fn respond(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let accept = request.headers().get_all(ACCEPT).into_iter();
    let format = Format::liked(accept.filter_map(|accept| accept.to_str().ok()));
    let mut response = Response::new(Full::from(format.encode(registry)));
    let content_type = hyper::header::HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
