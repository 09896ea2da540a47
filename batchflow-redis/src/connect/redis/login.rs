//! What is said before anything else: who we are, which protocol, which database.

use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use fred::types::RespVersion;
use fred::types::config::{Config, Server};
use tokio::time::timeout;

use super::Redis;
use crate::connect::open::{refused, unreachable};
use crate::connect::{Reply, Words};
use crate::error;

/// The user whose password is given without a name.
const DEFAULT: &str = "default";

/// Logs in, and chooses protocol and database.
pub(super) async fn log_in(connection: &Redis, config: &Config) -> Result<(), WriteError> {
    let mut words: Vec<Words> = match (&config.version, &config.password) {
        (RespVersion::RESP3, password) => {
            let hello = Words::of("HELLO", &["3"]);
            vec![match password {
                Some(password) => {
                    let user = config.username.clone().unwrap_or_else(|| DEFAULT.to_owned());
                    hello.with("AUTH").with(user).with(password.clone())
                }
                None => hello,
            }]
        }
        (_, Some(password)) => vec![auth(config, password)],
        (_, None) => Vec::new(),
    };
    if let Some(database) = config.database {
        words.push(Words::new("SELECT", vec![database.to_string().into()]));
    }
    said(connection, &words).await.map(drop)
}

fn auth(config: &Config, password: &str) -> Words {
    let user = config.username.iter().cloned().map(Into::into);
    Words::new("AUTH", user.chain([password.to_owned().into()]).collect())
}

/// Sends commands, of which none may be refused.
async fn said(connection: &Redis, words: &[Words]) -> Result<Vec<Reply>, WriteError> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let mut replies = Vec::with_capacity(words.len());
    for reply in connection.call_all(words).await {
        let reply = reply.map_err(|lost| unreachable(&lost.0))?;
        if let Some(text) = reply.error() {
            let error = error::of_reply(text).at(Stage::Connect);
            return Err(match error.kind() {
                // What no table of codes knows.
                ErrorKind::Other => {
                    refused("the server refuses the connection").with_server_message(text)
                }
                _ => error,
            });
        }
        replies.push(reply);
    }
    Ok(replies)
}

/// The address of the primary that the first Sentinel names which answers in time.
pub(super) async fn primary(
    config: &Config,
    hosts: &[Server],
    name: &str,
    patience: Duration,
) -> Result<(String, u16), WriteError> {
    let mut last = refused("no Sentinel was named");
    for sentinel in hosts {
        last = match timeout(patience, ask(config, sentinel, name)).await {
            Ok(Ok(primary)) => return Ok(primary),
            Ok(Err(error)) => error,
            Err(_too_long) => refused("no Sentinel answered in time"),
        };
    }
    Err(last)
}

async fn ask(config: &Config, sentinel: &Server, name: &str) -> Result<(String, u16), WriteError> {
    let connection = Redis::connect(config, &sentinel.host, sentinel.port).await?;
    let mut words: Vec<Words> =
        config.password.iter().map(|password| auth(config, password)).collect();
    words.push(Words::of("SENTINEL", &["GET-MASTER-ADDR-BY-NAME"]).with(name.to_owned()));
    let told = said(&connection, &words).await?.pop();
    let parts = told.as_ref().and_then(Reply::array);
    let address = parts.and_then(|parts| match parts {
        [host, port] => Some((host.text()?.to_owned(), u16::try_from(port.int()?).ok()?)),
        _ => None,
    });
    address.ok_or_else(|| refused("a Sentinel knows no primary of this name"))
}
