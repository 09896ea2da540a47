//! [`Connection`]: one connection to one server, closed when it is dropped.

use std::fmt;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, ConnectHandle, CustomCommand, Value};
use futures_util::future::join_all;

use super::{Name, Reply, Words};

/// One connection to one server.
///
/// Commands are executed in the order they are called in. Dropped, it is closed, in the middle of
/// whatever it was doing.
pub(crate) struct Connection {
    pub(super) client: Client,
    pub(super) task: Task,
    pub(super) identity: Option<Identity>,
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
        !self.task.0.is_finished() && self.client.is_connected()
    }

    /// Sends one command and waits for its answer.
    pub(crate) async fn call(&self, words: Words) -> Result<Reply, Lost> {
        let hash = ClusterHash::FirstKey;
        let command = match words.name {
            Name::Static(name) => CustomCommand::new_static(name, hash, false),
            Name::Own(name) => CustomCommand::new(&*name, hash, false),
        };
        let args: Vec<Value> = words.args.into_iter().map(Value::Bytes).collect();
        match self.client.custom_raw(command, args).await {
            Ok(frame) => Ok(Reply::from_frame(frame)),
            Err(error) => Err(Lost(error.details().to_owned())),
        }
    }

    /// Sends commands without waiting in between, and waits for all answers.
    pub(crate) async fn call_all(&self, commands: Vec<Words>) -> Vec<Result<Reply, Lost>> {
        join_all(commands.into_iter().map(|words| self.call(words))).await
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The client's own task. The client leaves it running when it is dropped.
pub(super) struct Task(pub(super) ConnectHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
