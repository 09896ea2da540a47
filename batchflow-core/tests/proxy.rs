//! A proxy does to connections what it is told, and to those alone that it is told of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{self, ErrorKind};
use std::time::Duration;

use batchflow_core::testing::{Cut, Direction, Ending, Flow, Head, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use Direction::{ToClient, ToServer};

/// Messages of one byte for their length, which it counts in, and what it says.
fn frame(head: Head<'_>) -> Option<usize> {
    head.bytes.first().map(|length| usize::from(*length))
}

const THREE: &[u8] = b"\x02a\x03bb\x04ccc";

struct Server(TcpListener);

impl Server {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    async fn proxy(&self) -> Proxy {
        Proxy::framed(self.0.local_addr().unwrap().to_string(), frame).await.unwrap()
    }

    /// A connection through the proxy: the client's end and the server's.
    async fn connect(&self, proxy: &Proxy) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (client, self.0.accept().await.unwrap().0)
    }
}

/// What comes until the end, and how that is.
async fn read_all(stream: &mut TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read).await.map(drop);
    (read, end)
}

async fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).await.unwrap();
    read
}

#[tokio::test]
async fn a_connection_is_cut_where_it_is_told() {
    let cases: [(Cut, &[u8]); 8] = [
        (Cut::after_bytes(ToServer, 0), b""),
        (Cut::after_bytes(ToServer, 4), b"\x02a\x03b"),
        (Cut::after_bytes(ToServer, 9), THREE),
        (Cut::before_message(ToServer, 1), b""),
        (Cut::before_message(ToServer, 3), b"\x02a\x03bb"),
        (Cut::after_message(ToServer, 1), b"\x02a"),
        (Cut::after_message(ToServer, 2), b"\x02a\x03bb"),
        (Cut::after_message(ToServer, 3), THREE),
    ];
    for (cut, arrives) in cases {
        let server = Server::new().await;
        let proxy = server.proxy().await;
        // In order, so that nothing is overtaken by the reset.
        proxy.cut(cut.closing());
        let (mut client, mut peer) = server.connect(&proxy).await;
        client.write_all(THREE).await.unwrap();
        let (arrived, _) = read_all(&mut peer).await;
        assert_eq!(arrived, arrives, "{cut:?}");
        assert_eq!(read_all(&mut client).await.0, b"", "{cut:?}");
        assert_eq!(proxy.cuts(), 1, "{cut:?}");
    }
}

#[tokio::test]
async fn a_reset_is_one_to_both_sides() {
    let server = Server::new().await;
    let proxy = server.proxy().await;
    proxy.cut(Cut::after_message(ToClient, 1));
    let (mut client, mut peer) = server.connect(&proxy).await;
    peer.write_all(b"\x02a").await.unwrap();
    for stream in [&mut client, &mut peer] {
        let (_, end) = read_all(stream).await;
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_cut_counts_from_when_it_is_told_and_cuts_once() {
    let server = Server::new().await;
    let proxy = server.proxy().await;
    let (mut client, mut peer) = server.connect(&proxy).await;
    // One message gone, another half gone.
    client.write_all(b"\x02a\x03b").await.unwrap();
    assert_eq!(read(&mut peer, 4).await, b"\x02a\x03b");
    proxy.cut(Cut::after_message(ToServer, 1).closing());
    client.write_all(b"b\x02c\x02d").await.unwrap();
    assert_eq!(read_all(&mut peer).await.0, b"b\x02c");

    let (mut client, mut peer) = server.connect(&proxy).await;
    client.write_all(THREE).await.unwrap();
    assert_eq!(read(&mut peer, THREE.len()).await, THREE);
    assert_eq!((proxy.cuts(), proxy.connections()), (1, 2));
    // The half message that began first was passed on whole as well.
    assert_eq!((proxy.messages(ToServer), proxy.messages(ToClient)), (6, 0));
    assert_eq!(proxy.bytes(ToServer), 7 + THREE.len() as u64);
}

#[tokio::test]
async fn a_message_in_pieces_is_one() {
    let server = Server::new().await;
    // A head of two bytes, of which one comes late.
    let upstream = server.0.local_addr().unwrap().to_string();
    let proxy =
        Proxy::framed(upstream, |head| (head.bytes.len() >= 2).then(|| usize::from(head.bytes[1])));
    let proxy = proxy.await.unwrap();
    proxy.cut(Cut::after_message(ToServer, 2).closing());
    let (mut client, mut peer) = server.connect(&proxy).await;
    for piece in [&b"x"[..], b"\x03", b"ax", b"\x04bb", b"never"] {
        // The cut may come before the last is sent.
        let _ = client.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(read_all(&mut peer).await.0, b"x\x03ax\x04bb");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_direction_waits_and_loses_nothing() {
    let server = Server::new().await;
    let proxy = server.proxy().await;
    let (mut client, mut peer) = server.connect(&proxy).await;
    proxy.flow(ToServer, Flow::Stall);
    client.write_all(THREE).await.unwrap();
    peer.write_all(b"\x02z").await.unwrap();
    assert_eq!(read(&mut client, 2).await, b"\x02z", "the other direction goes on");
    let mut byte = [0];
    assert!(timeout(Duration::from_secs(60), peer.read(&mut byte)).await.is_err());
    assert_eq!(proxy.bytes(ToServer), 0);
    proxy.pass();
    assert_eq!(read(&mut peer, THREE.len()).await, THREE);
}

#[tokio::test(start_paused = true)]
async fn a_dripping_direction_takes_its_time() {
    let server = Server::new().await;
    let proxy = server.proxy().await;
    let every = Duration::from_secs(10);
    proxy.flow(ToServer, Flow::Drip { bytes: 2, every });
    let (mut client, mut peer) = server.connect(&proxy).await;
    let started = Instant::now();
    client.write_all(b"\x09abcdefgh").await.unwrap();
    assert_eq!(read(&mut peer, 9).await, b"\x09abcdefgh");
    // Nine bytes in five drops, with a pause after each but the last.
    assert!(started.elapsed() >= every * 4);
}

#[tokio::test]
async fn connections_are_refused_sent_elsewhere_and_cut_on_order() {
    let (server, other) = (Server::new().await, Server::new().await);
    let proxy = server.proxy().await;
    let (mut client, _peer) = server.connect(&proxy).await;
    proxy.cut_all(Ending::Close);
    assert_eq!(read_all(&mut client).await.0, b"");

    proxy.refuse(true);
    let refused = match TcpStream::connect(proxy.address()).await {
        Ok(mut stream) => read_all(&mut stream).await.1,
        Err(error) => Err(error),
    };
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);

    proxy.pass();
    proxy.redirect(other.0.local_addr().unwrap().to_string());
    let (mut client, mut peer) = other.connect(&proxy).await;
    client.write_all(b"\x02a").await.unwrap();
    assert_eq!(read(&mut peer, 2).await, b"\x02a");
}

#[tokio::test]
async fn a_dropped_proxy_ends_its_connections() {
    let server = Server::new().await;
    let proxy = server.proxy().await;
    let (mut client, mut peer) = server.connect(&proxy).await;
    let address = proxy.address();
    drop(proxy);
    assert_eq!(read_all(&mut client).await.0, b"");
    assert_eq!(read_all(&mut peer).await.0, b"");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_client_that_stops_sending_is_still_answered() {
    let server = Server::new().await;
    let proxy = server.proxy().await;
    let (mut client, mut peer) = server.connect(&proxy).await;
    client.write_all(b"\x02a").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut peer).await.0, b"\x02a");
    peer.write_all(b"\x02b").await.unwrap();
    drop(peer);
    assert_eq!(read_all(&mut client).await.0, b"\x02b");
}

#[tokio::test]
async fn a_client_of_a_server_that_is_not_there_is_reset() {
    let server = Server::new().await;
    let proxy = server.proxy().await;
    drop(server);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (_, end) = read_all(&mut client).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
