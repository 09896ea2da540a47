//! The seam around the clients: everything of theirs that the driver uses is in here, a client a
//! file.
//!
//! A [`Connection`] is one connection to one server. No client reconnects it or sends anything
//! twice: what happens after a failure is decided by the driver, which must know what was sent
//! where.

mod connection;
mod encoded;
mod fred;
mod open;
#[cfg(feature = "redis-client")]
mod redis;
mod reply;

pub(crate) use connection::{Connection, Identity, Lost};
pub(crate) use encoded::{Encoded, Literal};
pub(crate) use open::{Node, Opener};
pub(crate) use reply::Reply;

use bytes::Bytes;

/// A command: its name and its other words.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) name: Name,
    pub(crate) args: Vec<Bytes>,
}

/// A command's name, in which there is no space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Static(&'static str),
    Own(Box<str>),
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(name) => name,
            Self::Own(name) => name,
        }
    }
}

impl Words {
    pub(crate) fn new(name: &'static str, args: Vec<Bytes>) -> Self {
        Self { name: Name::Static(name), args }
    }

    /// A command of literal words.
    pub(crate) fn of(name: &'static str, args: &[&'static str]) -> Self {
        Self::new(name, args.iter().map(|word| Bytes::from_static(word.as_bytes())).collect())
    }

    pub(crate) fn with(mut self, arg: impl Into<Bytes>) -> Self {
        self.args.push(arg.into());
        self
    }
}
