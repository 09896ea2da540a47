//! [`Proxy`]: what a network does to connections, on order.

mod cut;
mod pump;
mod state;

pub use cut::{Cut, Direction, Ending};
pub use state::{Flow, Head};

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use state::{Frame, Shared};

/// A TCP proxy before a real server that does to connections what networks do: cuts them after so
/// many bytes or protocol messages, stalls them, lets them drip, refuses them. It does what it was
/// told last, to the connections it has as to those that come.
///
/// Nothing is lost by itself: stalled bytes wait in the systems' buffers, and go on when the proxy
/// does. What it starts ends when it is dropped, its connections with it.
///
/// ```
/// use std::time::Duration;
/// use batchflow_core::testing::{Cut, Direction, Proxy};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::{TcpListener, TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let server = TcpListener::bind("127.0.0.1:0").await?;
/// # let upstream = server.local_addr()?.to_string();
/// # tokio::spawn(async move {
/// #     while let Ok((mut stream, _)) = server.accept().await {
/// #         tokio::spawn(async move {
/// #             let (mut read, mut write) = stream.split();
/// #             tokio::io::copy(&mut read, &mut write).await
/// #         });
/// #     }
/// # });
/// // A server that echoes is at `upstream`.
/// let proxy = Proxy::start(upstream).await?;
/// proxy.cut(Cut::after_bytes(Direction::ToClient, 3));
///
/// let mut client = TcpStream::connect(proxy.address()).await?;
/// client.write_all(b"echo").await?;
/// let mut answer = Vec::new();
/// let error = client.read_to_end(&mut answer).await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
/// // Some systems drop what a reset overtakes.
/// assert!(b"ech".starts_with(&answer));
///
/// // A cut is for one connection: the next goes through.
/// let mut client = TcpStream::connect(proxy.address()).await?;
/// client.write_all(b"echo").await?;
/// let mut answer = [0; 4];
/// client.read_exact(&mut answer).await?;
/// assert_eq!(&answer, b"echo");
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Proxy {
    /// A proxy before the server at an address, `127.0.0.1:5432` say, on a free port of this
    /// machine. It passes everything on until it is told otherwise.
    ///
    /// # Errors
    ///
    /// Where no port can be had. Whether there is a server is seen when a client comes.
    pub async fn start(upstream: impl Into<String>) -> io::Result<Self> {
        Self::new(upstream.into(), None).await
    }

    /// As [`start`](Self::start), for a protocol whose messages can be told apart: `frame` says
    /// how long the message is that begins with these bytes, its head included, or `None` where
    /// they are too few to tell. Only such a proxy cuts before or after a message.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn framed(
        upstream: impl Into<String>,
        frame: impl Fn(Head<'_>) -> Option<usize> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::new(upstream.into(), Some(Box::new(frame))).await
    }

    async fn new(upstream: String, frame: Option<Frame>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(upstream, frame));
        let task = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, task })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends the connections that come from now on to another server.
    pub fn redirect(&self, upstream: impl Into<String>) {
        self.shared.redirect(upstream.into());
    }

    /// How bytes flow in one direction from now on.
    pub fn flow(&self, direction: Direction, flow: Flow) {
        self.shared.set_flow(direction, flow);
    }

    /// Lets nothing through, in neither direction, and ends no connection.
    pub fn stall(&self) {
        self.flow(Direction::ToServer, Flow::Stall);
        self.flow(Direction::ToClient, Flow::Stall);
    }

    /// Lets everything through again: ends a stall, a drip and refusals, and takes back a cut that
    /// no connection has met.
    pub fn pass(&self) {
        self.flow(Direction::ToServer, Flow::Pass);
        self.flow(Direction::ToClient, Flow::Pass);
        self.refuse(false);
        self.shared.arm(None);
    }

    /// Whether connections that come are reset at once.
    pub fn refuse(&self, refused: bool) {
        self.shared.set_refused(refused);
    }

    /// Cuts the first connection that comes to this point. Bytes and messages are counted from
    /// now on, in each connection for itself; a message that has begun is not counted. In place of
    /// an earlier cut that no connection has met.
    pub fn cut(&self, cut: Cut) {
        self.shared.arm(Some(cut));
    }

    /// Cuts every connection there is, at once.
    pub fn cut_all(&self, ending: Ending) {
        self.shared.cut_all(ending);
    }

    /// How many connections [`cut`](Self::cut) has cut.
    pub fn cuts(&self) -> usize {
        self.shared.counts().cuts
    }

    /// How many connections there were, refused ones included.
    pub fn connections(&self) -> usize {
        self.shared.counts().connections
    }

    /// How many messages were passed on whole in one direction, in all connections; 0 where the
    /// proxy cannot tell messages apart.
    pub fn messages(&self, direction: Direction) -> u64 {
        self.shared.counts().messages[direction as usize]
    }

    /// How many bytes were passed on in one direction, in all connections.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.shared.counts().bytes[direction as usize]
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections, and owns the tasks that carry them: aborted, it ends them.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // A client that went away before it was taken, or too many open files: no reason to stop.
        let Ok((client, _)) = accepted else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        match shared.admit() {
            Some(upstream) => {
                let shared = Arc::clone(&shared);
                let orders = shared.cut_all_orders();
                connections.spawn(async move {
                    pump::carry(&shared, client, upstream, orders).await;
                });
            }
            None => pump::end(&[client], Ending::Reset),
        }
    }
}
