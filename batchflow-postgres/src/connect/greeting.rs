//! How the server's greeting numbered the backend that serves a connection.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::CancelToken;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// A request to cancel: its length, its code, the backend's number and its secret.
const REQUEST: usize = 16;

/// The number of the backend by the server's greeting. A pooler greets with one of its own making,
/// so where the backend itself says another, or this says none, it may serve others as well.
///
/// The client keeps the number to itself, and says it only in a request to cancel: one is written
/// here, and sent to nobody.
pub(crate) fn greeted_pid(token: &CancelToken) -> Option<i32> {
    let mut kept = Kept::default();
    // Nothing in it waits.
    token.cancel_query_raw(&mut kept, Unencrypted).now_or_never()?.ok()?;
    let request = kept.0.len().checked_sub(REQUEST).and_then(|at| kept.0.get(at..))?;
    Some(i32::from_be_bytes(request.get(8..12)?.try_into().ok()?))
}

/// Keeps what is written, and agrees to encrypt.
#[derive(Debug, Default)]
struct Kept(Vec<u8>);

impl AsyncRead for Kept {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.put_slice(if buffer.remaining() == 0 { b"" } else { b"S" });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Kept {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for &mut Kept {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// Leaves everything as it is: it never leaves this process.
struct Unencrypted;

impl<'a> TlsConnect<&'a mut Kept> for Unencrypted {
    type Stream = &'a mut Kept;
    type Error = io::Error;
    type Future = Ready<io::Result<&'a mut Kept>>;

    fn connect(self, stream: &'a mut Kept) -> Self::Future {
        ready(Ok(stream))
    }
}
