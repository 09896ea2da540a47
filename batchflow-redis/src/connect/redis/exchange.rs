//! [`Exchange`]: commands out, answers in.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::ReadBuf;

use super::replies::Replies;
use super::stream::Stream;
use crate::connect::{Encoded, Lost, Reply};

/// How many bytes are read at one time.
const ROOM: usize = 16 << 10;

/// Commands out, answers in; one call after the other.
pub(super) struct Exchange {
    stream: Box<dyn Stream>,
    room: Box<[u8]>,
    replies: Replies,
    /// Whether all that was asked has been answered.
    is_even: bool,
}

impl Exchange {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, room: vec![0; ROOM].into(), replies: Replies::new(), is_even: true }
    }

    /// Sends commands, and reads their answers meanwhile. Dropped before it is done, it leaves a
    /// connection that takes no more.
    pub(super) async fn run(&mut self, commands: &Encoded) -> Result<Vec<Reply>, Lost> {
        if !self.is_even {
            return Err(Lost("an earlier call was given up".to_owned()));
        }
        self.is_even = false;
        let mut unsent = commands.bytes();
        let mut is_flushed = false;
        let mut replies = Vec::with_capacity(commands.answers());
        poll_fn(|cx| {
            // Both sides go on at once: each may wait for the other to read.
            let sent = self.poll_write(cx, &mut unsent, &mut is_flushed)?;
            let read = self.poll_read(cx, &mut replies, commands.answers())?;
            if sent.is_ready() && read.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await?;
        self.is_even = self.replies.is_empty();
        Ok(replies)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        unsent: &mut &[u8],
        is_flushed: &mut bool,
    ) -> Result<Poll<()>, Lost> {
        let mut stream = Pin::new(&mut *self.stream);
        while !unsent.is_empty() {
            match stream.as_mut().poll_write(cx, unsent) {
                Poll::Ready(Ok(0)) => return Err(closed()),
                Poll::Ready(Ok(sent)) => *unsent = unsent.get(sent..).unwrap_or_default(),
                Poll::Ready(Err(error)) => return Err(failed(&error)),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        if *is_flushed {
            return Ok(Poll::Ready(()));
        }
        match stream.poll_flush(cx) {
            Poll::Ready(Ok(())) => *is_flushed = true,
            Poll::Ready(Err(error)) => return Err(failed(&error)),
            Poll::Pending => return Ok(Poll::Pending),
        }
        Ok(Poll::Ready(()))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        replies: &mut Vec<Reply>,
        wanted: usize,
    ) -> Result<Poll<()>, Lost> {
        while replies.len() < wanted {
            match self.replies.next()? {
                Some(reply) => replies.push(reply),
                None => match self.poll_more(cx) {
                    Poll::Ready(more) => more?,
                    Poll::Pending => return Ok(Poll::Pending),
                },
            }
        }
        Ok(Poll::Ready(()))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let mut room = ReadBuf::new(&mut self.room);
        let read = ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut room));
        Poll::Ready(match read {
            Ok(()) if room.filled().is_empty() => Err(closed()),
            Ok(()) => {
                self.replies.receive(room.filled());
                Ok(())
            }
            Err(error) => Err(failed(&error)),
        })
    }

    /// Whether nothing has come in since the last answer: neither its end, nor what nobody asked
    /// for.
    pub(super) fn is_open(&mut self) -> bool {
        self.is_even && self.poll_more(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

fn closed() -> Lost {
    Lost("the server closed the connection".to_owned())
}

fn failed(error: &io::Error) -> Lost {
    Lost(format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::timeout;

    use super::*;
    use crate::connect::Words;

    fn commands(count: usize) -> Encoded {
        let mut encoded = Encoded::default();
        (0..count).for_each(|_| encoded.command(&Words::of("PING", &["a word to be sent"])));
        encoded
    }

    /// Both ends of a connection that holds few bytes on their way.
    fn pair() -> (Exchange, DuplexStream) {
        let (near, far) = tokio::io::duplex(64);
        (Exchange::new(Box::new(near)), far)
    }

    #[tokio::test]
    async fn promise_9_a_server_that_answers_before_it_has_read_everything_is_read_meanwhile() {
        let (mut exchange, far) = pair();
        let (mut read, mut write) = tokio::io::split(far);
        let encoded = commands(1_000);
        let size = encoded.bytes().len();
        let serve = async {
            let mut begun = vec![0; 100];
            read.read_exact(&mut begun).await.unwrap();
            // Nothing more is read until all this was taken.
            write.write_all("+PONG\r\n".repeat(1_000).as_bytes()).await.unwrap();
            read.read_exact(&mut vec![0; size - 100]).await.unwrap();
        };
        let both = async { tokio::join!(exchange.run(&encoded), serve) };
        let (replies, ()) = timeout(Duration::from_secs(10), both).await.expect("it hangs");
        assert_eq!(replies.unwrap().len(), 1_000);
        assert!(exchange.is_open());
    }

    #[tokio::test]
    async fn promise_2_a_connection_whose_call_was_given_up_answers_no_other() {
        let (mut exchange, mut far) = pair();
        let waited = timeout(Duration::from_millis(1), exchange.run(&commands(1))).await;
        assert!(waited.is_err(), "nobody answers");
        far.write_all(b"+PONG\r\n").await.unwrap();
        assert!(!exchange.is_open());
        assert!(exchange.run(&commands(1)).await.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_says_anything_unasked_is_not_used_again() {
        for unasked in [b"-ERR\r\n".as_slice(), b"-E", b""] {
            let (mut exchange, mut far) = pair();
            assert!(exchange.is_open());
            far.write_all(unasked).await.unwrap();
            drop(far);
            assert!(!exchange.is_open(), "{unasked:?}");
        }
        let (mut exchange, mut far) = pair();
        far.write_all(b"+PONG\r\n+PONG\r\n").await.unwrap();
        assert!(exchange.run(&commands(1)).await.is_ok());
        assert!(!exchange.is_open(), "one answer more than was asked for");
    }
}
