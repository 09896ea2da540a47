//! [`Direct`]: connections past the driver.

use redis::aio::MultiplexedConnection;

use super::node_urls;

/// A connection past the driver; to every node, where the URL leads to a cluster.
#[derive(Clone)]
pub(crate) struct Direct(Vec<(String, MultiplexedConnection)>);

/// Commands that every node of a cluster is told.
const TO_ALL: [&str; 4] = ["ACL", "CLIENT", "CONFIG", "SCRIPT"];

impl Direct {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::try_connect(url).await.expect("cannot connect")
    }

    pub(crate) async fn try_connect(url: &str) -> redis::RedisResult<Self> {
        let mut nodes = Vec::new();
        for url in node_urls(url) {
            let client = redis::Client::open(&*url)?;
            // Servers here are held up on purpose.
            let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
            let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            nodes.push((super::address(&url), connection));
        }
        Ok(Self(nodes))
    }

    /// Runs a command whose words are separated by spaces, and shows what it answers.
    pub(crate) async fn ask(&mut self, words: &str) -> String {
        self.try_ask(words).await.unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    pub(crate) async fn try_ask(&mut self, words: &str) -> redis::RedisResult<String> {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        if let ([b"MGET", keys @ ..], 2..) = (words.as_slice(), self.0.len()) {
            // Keys of several slots are on several nodes.
            let mut values = Vec::new();
            for key in keys {
                let value = self.call(&[b"GET", key]).await;
                values.push(value.map_or_else(|_| "-".to_owned(), |value| show(&value)));
            }
            return Ok(values.join(" "));
        }
        Ok(show(&self.call(&words).await?))
    }

    /// Runs a command where its key is, or everywhere.
    pub(crate) async fn call(&mut self, words: &[&[u8]]) -> redis::RedisResult<redis::Value> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let is_for_all = words.first().is_some_and(|name| {
            TO_ALL.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
        });
        if is_for_all {
            let mut last = redis::Value::Nil;
            for (_, connection) in &mut self.0 {
                last = command.query_async(connection).await?;
            }
            return Ok(last);
        }
        let mut at = 0;
        for _ in 0..100 {
            let (_, connection) = &mut self.0[at];
            let error = match command.query_async(connection).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some((address, _)) = error.redirect_node() else { return Err(error) };
            let place = self.0.iter().position(|(own, _)| own == address);
            at = place.unwrap_or_else(|| panic!("nobody told of {address}"));
        }
        panic!("each node sends to another");
    }

    /// The keys that begin so, in order.
    pub(crate) async fn keys(&mut self, prefix: &str) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for (_, connection) in &mut self.0 {
            let mut cursor = b"0".to_vec();
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(&cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1_000);
                let (next, found): (Vec<u8>, Vec<Vec<u8>>) =
                    scan.query_async(connection).await.unwrap();
                keys.extend(found);
                cursor = next;
                if cursor == b"0" {
                    break;
                }
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }
}

/// An answer as text: the elements of an array separated by spaces, nothing as `-`.
fn show(value: &redis::Value) -> String {
    match value {
        redis::Value::Nil => "-".to_owned(),
        redis::Value::Int(number) => number.to_string(),
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        redis::Value::Okay => "OK".to_owned(),
        redis::Value::Array(items) | redis::Value::Set(items) => {
            items.iter().map(show).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}
