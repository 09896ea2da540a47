//! [`Reply`]: what a server answers.

use std::borrow::Cow;

use bytes::Bytes;

/// What a server answers to one command, whichever protocol it speaks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Nil,
    Int(i64),
    Text(Bytes),
    Array(Vec<Reply>),
    /// `CODE message`.
    Error(Box<str>),
    /// Anything the driver has no use for.
    Other,
}

impl Reply {
    /// The reply as text, if it is any.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The reply as text to read a code from, whatever bytes it quotes.
    pub(crate) fn lossy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(bytes) => Some(String::from_utf8_lossy(bytes)),
            _ => None,
        }
    }

    /// The reply as a number, also where it comes as text.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => self.text()?.parse().ok(),
        }
    }

    /// The reply's parts, if it has any.
    pub(crate) fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(parts) => Some(parts),
            _ => None,
        }
    }

    /// The error's text.
    pub(crate) fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }
}
