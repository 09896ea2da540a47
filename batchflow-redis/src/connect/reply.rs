//! [`Reply`]: what a server answers.

use std::borrow::Cow;

use bytes::Bytes;
use fred::types::Resp3Frame;

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
    pub(super) fn from_frame(frame: Resp3Frame) -> Self {
        match frame {
            Resp3Frame::Null => Self::Nil,
            Resp3Frame::Number { data, .. } => Self::Int(data),
            Resp3Frame::Boolean { data, .. } => Self::Int(data.into()),
            Resp3Frame::BlobString { data, .. }
            | Resp3Frame::SimpleString { data, .. }
            | Resp3Frame::VerbatimString { data, .. }
            | Resp3Frame::BigNumber { data, .. } => Self::Text(data),
            Resp3Frame::SimpleError { data, .. } => Self::Error((*data).into()),
            Resp3Frame::BlobError { data, .. } => {
                Self::Error(String::from_utf8_lossy(&data).into())
            }
            Resp3Frame::Array { data, .. } | Resp3Frame::Push { data, .. } => {
                Self::Array(data.into_iter().map(Self::from_frame).collect())
            }
            _ => Self::Other,
        }
    }

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
