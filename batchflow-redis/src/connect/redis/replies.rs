//! [`Replies`]: answers, out of the bytes that come in.
//!
//! Answers of one line, which are nearly all there are, are read here; the others by the redis
//! crate's parser, at several times the cost.

use std::io::{self, Read};

use bytes::Bytes;
use redis::{Parser, Value};

use crate::connect::{Lost, Reply};

/// The longest line that is read here.
const MOST: usize = 64 << 10;

/// Answers, out of the bytes that come in.
pub(super) struct Replies {
    received: Received,
    parser: Parser,
    /// Whether the parser has the beginning of an answer.
    is_begun: bool,
}

/// What has come in, and was not read yet.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    start: usize,
}

impl Replies {
    pub(super) fn new() -> Self {
        Self { received: Received::default(), parser: Parser::new(), is_begun: false }
    }

    /// Takes what has come in, once all that came before [was read](Self::next).
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.received.bytes.drain(..self.received.start);
        self.received.start = 0;
        self.received.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing is left of what has come in.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_begun && self.received.unread().is_empty()
    }

    /// The next answer; `None` where more has to come in.
    pub(super) fn next(&mut self) -> Result<Option<Reply>, Lost> {
        loop {
            if !self.is_begun {
                if self.received.unread().is_empty() {
                    return Ok(None);
                }
                match self.received.line() {
                    Next::Reply(reply) => return Ok(Some(reply)),
                    Next::Incomplete => return Ok(None),
                    Next::Longer => {}
                }
            }
            self.is_begun = true;
            match self.parser.parse_value(&mut self.received) {
                Err(error) if error.is_timeout() => return Ok(None),
                Err(_) => return Err(Lost("an answer cannot be read".to_owned())),
                // Nobody asked for it.
                Ok(Value::Push { .. }) => self.is_begun = false,
                Ok(value) => {
                    self.is_begun = false;
                    return Ok(Some(reply(value)));
                }
            }
        }
    }
}

/// What comes next.
enum Next {
    Reply(Reply),
    /// The beginning of a line.
    Incomplete,
    /// An answer of more than a line.
    Longer,
}

impl Received {
    fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// An answer that is one line, if that is what comes next.
    fn line(&mut self) -> Next {
        let unread = self.unread();
        let Some(end) = unread.iter().position(|byte| *byte == b'\n') else {
            return if unread.len() < MOST { Next::Incomplete } else { Next::Longer };
        };
        match unread.get(..end).and_then(one_line) {
            Some(reply) => {
                self.start += end + 1;
                Next::Reply(reply)
            }
            None => Next::Longer,
        }
    }
}

/// The answer that a line is; `None` where more lines belong to it.
fn one_line(line: &[u8]) -> Option<Reply> {
    let [mark, text @ .., b'\r'] = line else { return None };
    Some(match (mark, text) {
        (b':', text) => Reply::Int(str::from_utf8(text).ok()?.parse().ok()?),
        (b'+', b"OK") => Reply::Text(Bytes::from_static(b"OK")),
        (b'+', text) => Reply::Text(Bytes::copy_from_slice(text)),
        // Whatever bytes it quotes.
        (b'-', text) => Reply::Error(String::from_utf8_lossy(text).into()),
        (b'$' | b'*', b"-1") | (b'_', b"") => Reply::Nil,
        _ => return None,
    })
}

/// What the parser is given: a line at a time, so that it takes no part of the next answer, and
/// nothing until there is more.
impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unread = self.unread();
        if unread.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let line = unread.iter().position(|byte| *byte == b'\n').map_or(unread.len(), |at| at + 1);
        let mut line = unread.get(..line).unwrap_or_default();
        let read = line.read(buffer)?;
        self.start += read;
        Ok(read)
    }
}

fn reply(value: Value) -> Reply {
    match value {
        Value::Nil => Reply::Nil,
        Value::Int(number) => Reply::Int(number),
        Value::Boolean(is_so) => Reply::Int(is_so.into()),
        Value::BulkString(bytes) => Reply::Text(bytes.into()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Reply::Text(text.into()),
        Value::Okay => Reply::Text(Bytes::from_static(b"OK")),
        Value::Array(parts) | Value::Set(parts) => {
            Reply::Array(parts.into_iter().map(reply).collect())
        }
        Value::Attribute { data, .. } => reply(*data),
        Value::ServerError(error) => Reply::Error(match error.details() {
            Some(details) => format!("{} {details}", error.code()).into(),
            None => error.code().into(),
        }),
        _ => Reply::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Reply {
        Reply::Text(Bytes::from_static(text.as_bytes()))
    }

    fn error(text: &str) -> Reply {
        Reply::Error(text.into())
    }

    /// Whatever pieces answers come in, they are read alike, and nothing is left.
    #[test]
    fn answers_are_read_however_they_are_cut() {
        let answers: [(&[u8], Reply); 15] = [
            (b":-12\r\n", Reply::Int(-12)),
            (b"+OK\r\n", text("OK")),
            (b"+QUEUED\r\n", text("QUEUED")),
            (b"-WRONGTYPE Operation\r\n", error("WRONGTYPE Operation")),
            (b"-ERR unknown command '\xff'\r\n", error("ERR unknown command '\u{fffd}'")),
            (b"$-1\r\n", Reply::Nil),
            (b"*-1\r\n", Reply::Nil),
            (b"_\r\n", Reply::Nil),
            (b"#t\r\n", Reply::Int(1)),
            (b"$7\r\na\r\n:1\r\n\r\n", text("a\r\n:1\r\n")),
            (b"*0\r\n", Reply::Array(Vec::new())),
            (b"=7\r\ntxt:a=b\r\n", text("a=b")),
            (
                b"*3\r\n:1\r\n-OOM no\r\n*1\r\n$1\r\nx\r\n",
                Reply::Array(vec![Reply::Int(1), error("OOM no"), Reply::Array(vec![text("x")])]),
            ),
            (b",1.5\r\n", Reply::Other),
            (b"%1\r\n+a\r\n:1\r\n", Reply::Other),
        ];
        let all: Vec<u8> = answers.iter().flat_map(|(bytes, _)| bytes.to_vec()).collect();
        for size in 1..=all.len() {
            let mut replies = Replies::new();
            let mut found = Vec::new();
            for piece in all.chunks(size) {
                replies.receive(piece);
                while let Some(reply) = replies.next().unwrap() {
                    found.push(reply);
                }
            }
            let expected: Vec<Reply> = answers.iter().map(|(_, reply)| reply.clone()).collect();
            assert_eq!(found, expected, "in pieces of {size}");
            assert!(replies.is_empty(), "in pieces of {size}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_left_or_passed_over() {
        let mut replies = Replies::new();
        replies.receive(b">2\r\n+message\r\n+x\r\n:1\r\n:2\r\n");
        assert_eq!(replies.next().unwrap(), Some(Reply::Int(1)));
        assert!(!replies.is_empty(), "one answer more than was asked for");
        replies.receive(b"?\r\n");
        assert_eq!(replies.next().unwrap(), Some(Reply::Int(2)));
        assert!(replies.next().is_err());
    }
}
