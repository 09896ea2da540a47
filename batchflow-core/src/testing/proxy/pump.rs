//! Carrying one connection: two pumps, one a direction.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::cut::{At, Direction, Ending};
use super::state::{Flow, Head, Shared};

/// How much is read at once: a pump holds no more, but for a message's head that is not whole.
const CHUNK: usize = 16 << 10;

/// Carries a client's connection to its end, or to its cut. `orders` tells of cuts from when the
/// client came.
pub(super) async fn carry(
    shared: &Shared,
    mut client: TcpStream,
    upstream: String,
    mut orders: watch::Receiver<(u64, Ending)>,
) {
    let connected = tokio::select! {
        connected = TcpStream::connect(upstream) => connected.map_err(|_| Ending::Reset),
        // The sender lives as long as the proxy.
        _ = orders.changed() => Err(orders.borrow().1),
    };
    let mut server = match connected {
        Ok(server) => server,
        Err(ending) => return end(&[client], ending),
    };
    // Bytes go on as they come: what a client sends in pieces is not put together again.
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    let ending = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = Pump::new(shared, Direction::ToServer, from_client, to_server);
        let back = Pump::new(shared, Direction::ToClient, from_server, to_client);
        let both = async { tokio::try_join!(there.run(), back.run()) };
        tokio::select! {
            carried = both => carried.err(),
            _ = orders.changed() => Some(orders.borrow().1),
        }
    };
    end(&[client, server], ending.unwrap_or(Ending::Close));
}

/// Ends connections, each by what is then dropped.
pub(super) fn end(streams: &[TcpStream], ending: Ending) {
    if ending == Ending::Reset {
        for stream in streams {
            let _ = stream.set_zero_linger();
        }
    }
}

/// One direction of a connection.
struct Pump<'a> {
    shared: &'a Shared,
    direction: Direction,
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    flow: watch::Receiver<Flow>,
    /// Read and not yet passed on.
    held: Vec<u8>,
    /// What is missing of the message that is being passed on.
    rest: usize,
    /// Messages begun, since the connection was.
    nth: u64,
    counted: Counted,
}

/// What was passed on since a cut was armed.
#[derive(Default)]
struct Counted {
    epoch: u64,
    bytes: u64,
    begun: u64,
    ended: u64,
    /// The message that is under way began before, and does not count.
    is_old: bool,
}

impl<'a> Pump<'a> {
    fn new(
        shared: &'a Shared,
        direction: Direction,
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
    ) -> Self {
        let flow = shared.flow(direction);
        let counted = Counted { epoch: shared.armed(direction).0, ..Counted::default() };
        Self { shared, direction, from, to, flow, held: Vec::new(), rest: 0, nth: 0, counted }
    }

    /// Passes bytes on until their sender sends no more, or the connection is to end.
    async fn run(mut self) -> Result<(), Ending> {
        loop {
            self.open().await?;
            self.held.reserve(CHUNK);
            // A side that is gone takes the other with it, as it went.
            if self.from.read_buf(&mut self.held).await.map_err(|error| lost(&error))? == 0 {
                self.open().await?;
                self.forward(self.held.len()).await?;
                return self.to.shutdown().await.map_err(|error| lost(&error));
            }
            self.pass_on().await?;
        }
    }

    /// Waits while the direction is stalled.
    async fn open(&mut self) -> Result<(), Ending> {
        let opened = self.flow.wait_for(|flow| *flow != Flow::Stall).await;
        opened.map(drop).map_err(|_| Ending::Reset)
    }

    /// Passes on what is held, up to a message's head that is not whole.
    async fn pass_on(&mut self) -> Result<(), Ending> {
        while !self.held.is_empty() {
            self.open().await?;
            if self.rest == 0 && !self.begin()? {
                return Ok(());
            }
            let flow = *self.flow.borrow();
            let most = if let Flow::Drip { bytes, .. } = flow { bytes.max(1) } else { CHUNK };
            let most = most.min(self.rest).min(self.held.len());
            let most = self.until_cut(most)?;
            let passed = self.forward(most).await?;
            self.rest -= passed;
            self.meet(At::Byte(self.counted.bytes))?;
            if self.rest == 0 {
                self.message_ended()?;
            }
            if let Flow::Drip { every, .. } = flow {
                sleep(every).await;
            }
        }
        Ok(())
    }

    /// Begins the next message; `false` where too little of it has come.
    fn begin(&mut self) -> Result<bool, Ending> {
        let Some(frame) = &self.shared.frame else {
            // Without messages all there is is one that is under way.
            self.rest = usize::MAX;
            return Ok(true);
        };
        let head = Head { direction: self.direction, nth: self.nth + 1, bytes: &self.held };
        let Some(length) = frame(head) else { return Ok(false) };
        self.renew();
        self.nth += 1;
        self.rest = length.max(1);
        self.counted.begun += 1;
        self.counted.is_old = false;
        self.meet(At::BeforeMessage(self.counted.begun))?;
        Ok(true)
    }

    fn message_ended(&mut self) -> Result<(), Ending> {
        self.shared.count(self.direction, 0, 1);
        if self.counted.is_old {
            return Ok(());
        }
        self.counted.ended += 1;
        self.meet(At::AfterMessage(self.counted.ended))
    }

    /// How many of so many bytes may go before a cut; an end where none may.
    fn until_cut(&mut self, most: usize) -> Result<usize, Ending> {
        self.renew();
        let Some(cut) = self.shared.armed(self.direction).1 else { return Ok(most) };
        let At::Byte(at) = cut.at else { return Ok(most) };
        if at == self.counted.bytes {
            // Told to cut before anything goes.
            self.meet(cut.at)?;
        }
        let left = usize::try_from(at.saturating_sub(self.counted.bytes)).unwrap_or(usize::MAX);
        Ok(most.min(left.max(1)))
    }

    /// Begins to count anew where another cut was armed.
    fn renew(&mut self) {
        let (epoch, _) = self.shared.armed(self.direction);
        if epoch != self.counted.epoch {
            self.counted = Counted { epoch, is_old: self.rest > 0, ..Counted::default() };
        }
    }

    /// Ends the connection where this is the point that the cut names.
    fn meet(&self, at: At) -> Result<(), Ending> {
        let (epoch, cut) = self.shared.armed(self.direction);
        if epoch != self.counted.epoch || cut.is_none_or(|cut| cut.at != at) {
            return Ok(());
        }
        // Another connection may have met it just now.
        self.shared.spend(epoch).map_or(Ok(()), |cut| Err(cut.ending))
    }

    /// Passes on so many of the held bytes.
    async fn forward(&mut self, bytes: usize) -> Result<usize, Ending> {
        self.to.write_all(&self.held[..bytes]).await.map_err(|error| lost(&error))?;
        self.held.drain(..bytes);
        self.counted.bytes += bytes as u64;
        self.shared.count(self.direction, bytes as u64, 0);
        Ok(bytes)
    }
}

/// How the other side hears that one side is gone.
fn lost(error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => Ending::Close,
        _ => Ending::Reset,
    }
}
