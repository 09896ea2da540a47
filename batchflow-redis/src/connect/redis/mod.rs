//! [`Redis`]: a connection that writes encoded commands in one piece, and reads their answers with
//! the redis crate's parser.
//!
//! The crate's own connections pack each command by itself, copy it twice, and parse each answer as
//! if it could be any: a row takes them more than twice as long. They also keep to themselves what a
//! server says when it refuses a password, which may be that it has no room.

mod exchange;
mod login;
mod replies;
mod stream;

use std::time::Duration;

use batchflow_core::WriteError;
use fred::types::config::{Config, ServerConfig};
use tokio::sync::Mutex;

use super::{Encoded, Lost, Reply, Words};
use exchange::Exchange;

/// A connection that writes encoded commands in one piece.
pub(super) struct Redis(Mutex<Exchange>);

impl Redis {
    /// Connects to the one server that a configuration leads to. Each Sentinel has its share of the
    /// time.
    pub(super) async fn open(config: &Config, timeout: Duration) -> Result<Self, WriteError> {
        let hosts = config.server.hosts();
        if let ServerConfig::Sentinel { service_name, .. } = &config.server {
            let share = timeout / u32::try_from(hosts.len().max(1)).unwrap_or(u32::MAX);
            let primary = login::primary(config, &hosts, service_name, share).await?;
            return Self::log_in(config, &primary.0, primary.1).await;
        }
        let Some(server) = hosts.first() else {
            return Err(super::open::refused("no server was named"));
        };
        Self::log_in(config, &server.host, server.port).await
    }

    async fn log_in(config: &Config, host: &str, port: u16) -> Result<Self, WriteError> {
        let connection = Self::connect(config, host, port).await?;
        login::log_in(&connection, config).await?;
        Ok(connection)
    }

    async fn connect(config: &Config, host: &str, port: u16) -> Result<Self, WriteError> {
        let stream = stream::connect(config, host, port).await?;
        Ok(Self(Mutex::new(Exchange::new(stream))))
    }

    /// Whether the other side has closed it, or said anything unasked.
    pub(super) fn is_open(&self) -> bool {
        // Who holds it will see.
        self.0.try_lock().is_ok_and(|mut exchange| exchange.is_open())
    }

    pub(super) async fn call(&self, words: &Words) -> Result<Reply, Lost> {
        let mut encoded = Encoded::default();
        encoded.command(words);
        let reply = self.send(&encoded).await?.pop();
        reply.ok_or_else(|| Lost("no answer".to_owned()))
    }

    pub(super) async fn call_all(&self, commands: &[Words]) -> Vec<Result<Reply, Lost>> {
        let mut encoded = Encoded::default();
        for words in commands {
            encoded.command(words);
        }
        match self.send(&encoded).await {
            Ok(replies) => replies.into_iter().map(Ok).collect(),
            Err(lost) => vec![Err(lost); commands.len()],
        }
    }

    pub(super) async fn send(&self, commands: &Encoded) -> Result<Vec<Reply>, Lost> {
        self.0.lock().await.run(commands).await
    }
}
