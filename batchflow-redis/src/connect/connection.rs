//! [`Connection`]: one connection to one server, closed when it is dropped.

use std::fmt;

use futures_util::future::join_all;

use super::fred::Fred;
#[cfg(feature = "redis-client")]
use super::redis::Redis;
use super::{Encoded, Reply, Words};

/// One connection to one server.
///
/// Commands are executed in the order they are called in. Dropped, it is closed, in the middle of
/// whatever it was doing.
pub(crate) struct Connection {
    pub(super) client: Client,
    pub(super) identity: Option<Identity>,
}

/// Whose connection it is.
pub(super) enum Client {
    Fred(Fred),
    #[cfg(feature = "redis-client")]
    Redis(Redis),
}

/// The connection was lost, or the client gave up on it: whether the command was executed is not
/// known.
#[derive(Clone, Debug)]
pub(crate) struct Lost(pub(crate) String);

/// How the server names a connection: by a number that it gives anew after a restart, and by the
/// address and port that it sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) address: String,
}

impl Connection {
    /// How the server names this connection; `None` where it does not tell.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether the connection is open as far as this side knows.
    pub(crate) fn is_open(&self) -> bool {
        match &self.client {
            Client::Fred(fred) => fred.is_open(),
            #[cfg(feature = "redis-client")]
            Client::Redis(redis) => redis.is_open(),
        }
    }

    /// Sends one command and waits for its answer.
    pub(crate) async fn call(&self, words: Words) -> Result<Reply, Lost> {
        match &self.client {
            Client::Fred(fred) => fred.call(words).await,
            #[cfg(feature = "redis-client")]
            Client::Redis(redis) => redis.call(&words).await,
        }
    }

    /// Sends commands without waiting in between, and waits for all answers.
    pub(crate) async fn call_all(&self, commands: Vec<Words>) -> Vec<Result<Reply, Lost>> {
        match &self.client {
            Client::Fred(fred) => {
                join_all(commands.into_iter().map(|words| fred.call(words))).await
            }
            #[cfg(feature = "redis-client")]
            Client::Redis(redis) => redis.call_all(&commands).await,
        }
    }

    /// Sends encoded commands in one piece, and waits for all answers. What
    /// [is not pipelined](super::Opener::pipelines) sends none.
    #[cfg_attr(
        not(feature = "redis-client"),
        allow(clippy::unused_async, reason = "the other client waits")
    )]
    pub(crate) async fn send(&self, commands: &Encoded) -> Result<Vec<Reply>, Lost> {
        match &self.client {
            Client::Fred(_) => {
                let _ = commands;
                Err(Lost("this client encodes commands itself".to_owned()))
            }
            #[cfg(feature = "redis-client")]
            Client::Redis(redis) => redis.send(commands).await,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("identity", &self.identity).finish_non_exhaustive()
    }
}
