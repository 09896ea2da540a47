//! [`Opener`]: opens connections.

use std::fmt;
use std::time::Duration;

use batchflow_core::{ConfigError, ErrorKind, Stage, WriteError};
use fred::clients;
use fred::interfaces::ClientLike;
use fred::types::RespVersion;
use fred::types::config::{Config, ConnectionConfig, Server, ServerConfig, TcpConfig};
use tokio::time::timeout;

use super::Words;
use super::connection::{self, Connection, Identity};
use super::fred::Fred;
#[cfg(feature = "redis-client")]
use super::redis::Redis;
use crate::config::Client;
use crate::error;

/// What is said of a server for want of anything better.
const UNREACHABLE: &str = "the server cannot be reached";

/// What the client says of a certificate that it does not accept, and what that means.
const CERTIFICATES: [(&str, &str); 4] = [
    (
        "InvalidCertificate(UnknownIssuer",
        "the server cannot be trusted: its certificate is signed by nobody who is trusted",
    ),
    (
        "InvalidCertificate(NotValidForName",
        "the server cannot be trusted: its certificate is for another name",
    ),
    ("InvalidCertificate(Expired", "the server cannot be trusted: its certificate has expired"),
    ("InvalidCertificate(", "the server cannot be trusted: its certificate is not valid"),
];

/// One server, where there are several.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Opens connections to one server, or to the nodes of a cluster, all with the same credentials.
#[derive(Clone)]
pub(crate) struct Opener {
    config: Config,
    connection: ConnectionConfig,
    client: Client,
}

impl Opener {
    /// Reads a URL; the error shows nothing of it.
    pub(crate) fn from_url(url: &str) -> Result<Self, ConfigError> {
        let refuse = |why: &str| Err(ConfigError::new("url", why));
        let scheme = url.split("://").next().unwrap_or_default();
        let encrypted = scheme.starts_with("rediss") || scheme.starts_with("valkeys");
        match scheme.trim_end_matches("-cluster").trim_end_matches("-sentinel") {
            "redis" | "rediss" | "valkey" | "valkeys" => {}
            _ => {
                return refuse(
                    "it begins with redis:// or rediss://, redis-sentinel:// or redis-cluster://",
                );
            }
        }
        if encrypted && cfg!(not(feature = "tls")) {
            return refuse("it demands encryption, which needs the feature `tls`");
        }
        match Config::from_url(url) {
            Ok(config) => Ok(Self::new(config, ConnectionConfig::default())),
            Err(_) => refuse("it cannot be read: redis://user:password@host:port/database"),
        }
    }

    /// As a client was configured.
    pub(crate) fn from_client(client: &clients::Client) -> Self {
        Self::new(client.client_config(), client.connection_config().clone())
    }

    /// As the clients of a pool were configured, and how many they are.
    pub(crate) fn from_pool(pool: &clients::Pool) -> (Self, usize) {
        (Self::from_client(pool.next()), pool.size())
    }

    fn new(mut config: Config, mut connection: ConnectionConfig) -> Self {
        config.fail_fast = true;
        connection.max_command_attempts = 1;
        connection.max_redirections = 1;
        connection.reconnect_on_auth_error = false;
        connection.disable_cluster_health_check = true;
        connection.max_command_buffer_len = 0;
        connection.tcp = TcpConfig { nodelay: Some(true), ..connection.tcp };
        Self { config, connection, client: Client::default() }
    }

    /// Nodes of the cluster that it leads to; `None` where it is none.
    pub(crate) fn seeds(&self) -> Option<Vec<Node>> {
        if !self.config.server.is_clustered() {
            return None;
        }
        let node = |server: Server| Node { host: server.host.to_string(), port: server.port };
        Some(self.config.server.hosts().into_iter().map(node).collect())
    }

    /// Whose connections are opened.
    pub(crate) fn set_client(&mut self, client: Client) {
        self.client = client;
    }

    /// Whether the client sends [encoded commands](Connection::send).
    pub(crate) fn pipelines(&self) -> bool {
        match self.client {
            Client::Fred => false,
            #[cfg(feature = "redis-client")]
            Client::Redis => true,
        }
    }

    /// How long opening a connection may take.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.connection.connection_timeout = timeout;
        self.connection.internal_command_timeout = timeout;
    }

    pub(crate) fn set_user(&mut self, user: String) {
        self.config.username = Some(user);
    }

    pub(crate) fn set_password(&mut self, password: String) {
        self.config.password = Some(password);
    }

    pub(crate) fn set_database(&mut self, database: u8) {
        self.config.database = Some(database);
    }

    pub(crate) fn set_resp3(&mut self, resp3: bool) {
        self.config.version = if resp3 { RespVersion::RESP3 } else { RespVersion::RESP2 };
    }

    /// Opens a connection, to a node of the cluster if one is given.
    pub(crate) async fn open(&self, node: Option<&Node>) -> Result<Connection, WriteError> {
        let limit = self.connection.connection_timeout.saturating_mul(2);
        let opened = match timeout(limit, self.open_now(node)).await {
            Ok(opened) => opened,
            Err(_too_long) => Err(refused("the server did not answer in time")),
        };
        opened.map_err(|error| match node {
            Some(node) => of_node(error, node),
            None => error,
        })
    }

    async fn open_now(&self, node: Option<&Node>) -> Result<Connection, WriteError> {
        let mut config = self.config.clone();
        if let Some(node) = node {
            let server = Server::new(node.host.as_str(), node.port);
            config.server = ServerConfig::Centralized { server };
        }
        if config.server.is_clustered() {
            // A client would find nodes by itself, and send there what it likes.
            let error = WriteError::new(ErrorKind::Internal).at(Stage::Connect);
            return Err(error.with_message("no node of the cluster was named"));
        }
        let client = match self.client {
            Client::Fred => {
                connection::Client::Fred(Fred::open(config, self.connection.clone()).await?)
            }
            #[cfg(feature = "redis-client")]
            Client::Redis => connection::Client::Redis(
                Redis::open(&config, self.connection.connection_timeout).await?,
            ),
        };
        let mut connection = Connection { client, identity: None };
        connection.identity = identity(&connection).await?;
        Ok(connection)
    }
}

/// Asks how the server names the connection. A user who may not ask gets no name.
async fn identity(connection: &Connection) -> Result<Option<Identity>, WriteError> {
    let reply = connection.call(Words::of("CLIENT", &["INFO"])).await;
    let reply = reply.map_err(|lost| unreachable(&lost.0))?;
    if let Some(error) = reply.error() {
        let error = error::of_reply(error).at(Stage::Connect);
        return if may_go_unnamed(&error) { Ok(None) } else { Err(error) };
    }
    Ok(reply.text().and_then(parse_identity))
}

/// Whether the server will never name a connection: this user may not ask, or it knows no such
/// command. One that is busy, say, would name it later.
fn may_go_unnamed(error: &WriteError) -> bool {
    match error.kind() {
        ErrorKind::Permission => error.code() != Some("NOAUTH"),
        ErrorKind::Data | ErrorKind::Unsupported | ErrorKind::Other => true,
        _ => false,
    }
}

/// `id=3 addr=127.0.0.1:5000 laddr=… …`
fn parse_identity(info: &str) -> Option<Identity> {
    let field = |name: &str| {
        let mut fields = info.split_ascii_whitespace().filter_map(|field| field.split_once('='));
        fields.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
    };
    Some(Identity { id: field("id")?, address: field("addr")? })
}

/// A client's words for why there is no connection.
pub(super) fn unreachable(details: &str) -> WriteError {
    let error = error::of_reply(details).at(Stage::Connect);
    match error.kind() {
        // What no table of codes knows is the client's own or the system's.
        ErrorKind::Other => {
            let mut known = CERTIFICATES.iter();
            let known = known.find_map(|(says, why)| details.contains(says).then_some(*why));
            refused(known.unwrap_or(UNREACHABLE)).with_server_message(details)
        }
        _ => error,
    }
}

/// Tells which of a cluster's nodes an error is of.
fn of_node(error: WriteError, node: &Node) -> WriteError {
    let message = match error.message() {
        Some(why) => format!("node {node:?}: {why}"),
        None => format!("node {node:?}"),
    };
    error.with_message(message)
}

pub(super) fn refused(why: &str) -> WriteError {
    WriteError::new(ErrorKind::Connection).at(Stage::Connect).with_message(why)
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_10_a_url_that_cannot_be_used_says_why_and_shows_nothing_of_itself() {
        for (url, why) in [
            ("http://app:secret@host", "it begins with"),
            ("app:secret@host", "it begins with"),
            ("redis://app:secret@", "cannot be read"),
            ("redis://app:secret@host:port", "cannot be read"),
            ("redis-sentinel://app:secret@host", "cannot be read"),
            ("redis-cluster://app:secret@host:port", "cannot be read"),
        ] {
            let error = Opener::from_url(url).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{url}: {error}");
        }
        let opener = Opener::from_url("redis://app:secret@host:7000/3").unwrap();
        assert!(!format!("{opener:?}").contains("secret"));
    }

    #[test]
    fn a_certificate_that_is_not_accepted_is_told_from_a_server_that_cannot_be_reached() {
        let of = |error: &str| format!("Custom {{ kind: InvalidData, error: {error} }}");
        for (details, why) in [
            (of("InvalidCertificate(UnknownIssuer)"), "signed by nobody"),
            (of("InvalidCertificate(NotValidForName)"), "for another name"),
            (of("InvalidCertificate(NotValidForNameContext { expected: x })"), "for another name"),
            (of("InvalidCertificate(ExpiredContext { time: 1, not_after: 0 })"), "has expired"),
            (of("InvalidCertificate(Revoked)"), "is not valid"),
            (of("AlertReceived(HandshakeFailure)"), UNREACHABLE),
        ] {
            let node = Node { host: "db".to_owned(), port: 7_000 };
            let error = of_node(unreachable(&details), &node);
            let shown = error.to_string();
            assert!(shown.contains(why) && shown.contains("node db:7000"), "{details}: {shown}");
            assert_eq!(error.kind(), ErrorKind::Connection, "{details}");
        }
    }

    #[test]
    fn promise_9_only_a_server_that_will_never_tell_leaves_a_connection_unnamed() {
        for (reply, unnamed) in [
            ("NOPERM this user has no permissions to run the 'client|info' command", true),
            ("ERR unknown subcommand 'INFO'. Try CLIENT HELP.", true),
            ("ERR unknown command 'CLIENT', with args beginning with: 'INFO'", true),
            ("NOAUTH Authentication required.", false),
            ("BUSY Redis is busy running a script. You can only call SCRIPT KILL.", false),
            ("LOADING Redis is loading the dataset in memory", false),
            ("ERR max number of clients reached", false),
        ] {
            assert_eq!(may_go_unnamed(&error::of_reply(reply)), unnamed, "{reply}");
        }
    }

    #[test]
    fn a_connection_is_named_by_its_number_and_its_address() {
        let named = parse_identity("id=3 addr=127.0.0.1:50 laddr=127.0.0.1:6379 fd=8 name=");
        let expected = Identity { id: "3".to_owned(), address: "127.0.0.1:50".to_owned() };
        assert_eq!(named, Some(expected));
        assert_eq!(parse_identity("addr=x"), None);
    }
}
