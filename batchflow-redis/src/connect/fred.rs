//! [`Fred`]: a connection of fred's.

use std::time::Duration;

use batchflow_core::WriteError;
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig};
use fred::types::{ClusterHash, ConnectHandle, CustomCommand, Resp3Frame, Value};
use tokio::time::timeout;

use super::open::{refused, unreachable};
use super::{Lost, Name, Reply, Words};

/// The commands that the client gathers before it writes.
const FEED: u64 = 1_000;

/// How often it is looked whether the client is connected, should its word be missed.
const LOOK: Duration = Duration::from_millis(100);

/// A connection of fred's.
pub(super) struct Fred {
    client: Client,
    task: Task,
}

impl Fred {
    /// Connects to the one server that a configuration leads to.
    pub(super) async fn open(
        config: Config,
        connection: ConnectionConfig,
    ) -> Result<Self, WriteError> {
        let speed = PerformanceConfig { max_feed_count: FEED, ..PerformanceConfig::default() };
        let client = Client::new(config, Some(speed), Some(connection), None);
        let mut task = Task(client.connect());
        loop {
            let connected = tokio::select! {
                biased;
                connected = timeout(LOOK, client.wait_for_connect()) => connected,
                ended = &mut task.0 => match ended {
                    Ok(Err(error)) => Ok(Err(error)),
                    _ => return Err(refused("the connection was closed at once")),
                },
            };
            match connected {
                Ok(Ok(())) => return Ok(Self { client, task }),
                Ok(Err(error)) => return Err(unreachable(error.details())),
                Err(_look_again) => {}
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.task.0.is_finished() && self.client.is_connected()
    }

    pub(super) async fn call(&self, words: Words) -> Result<Reply, Lost> {
        let hash = ClusterHash::FirstKey;
        let command = match words.name {
            Name::Static(name) => CustomCommand::new_static(name, hash, false),
            Name::Own(name) => CustomCommand::new(&*name, hash, false),
        };
        let args: Vec<Value> = words.args.into_iter().map(Value::Bytes).collect();
        match self.client.custom_raw(command, args).await {
            Ok(frame) => Ok(reply(frame)),
            Err(error) => Err(Lost(error.details().to_owned())),
        }
    }
}

/// The client's own task. The client leaves it running when it is dropped.
struct Task(ConnectHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn reply(frame: Resp3Frame) -> Reply {
    match frame {
        Resp3Frame::Null => Reply::Nil,
        Resp3Frame::Number { data, .. } => Reply::Int(data),
        Resp3Frame::Boolean { data, .. } => Reply::Int(data.into()),
        Resp3Frame::BlobString { data, .. }
        | Resp3Frame::SimpleString { data, .. }
        | Resp3Frame::VerbatimString { data, .. }
        | Resp3Frame::BigNumber { data, .. } => Reply::Text(data),
        Resp3Frame::SimpleError { data, .. } => Reply::Error((*data).into()),
        Resp3Frame::BlobError { data, .. } => Reply::Error(String::from_utf8_lossy(&data).into()),
        Resp3Frame::Array { data, .. } | Resp3Frame::Push { data, .. } => {
            Reply::Array(data.into_iter().map(reply).collect())
        }
        _ => Reply::Other,
    }
}
