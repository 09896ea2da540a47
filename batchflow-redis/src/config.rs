//! [`RedisConfig`]: which server, and how it is connected to.

use std::fmt;
use std::time::Duration;

use batchflow_core::ConfigError;

use crate::connect::Opener;

/// The largest pool.
const MOST_CONNECTIONS: usize = 10_000;

/// The longest time to connect.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Which server is connected to, and how.
///
/// ```
/// use std::time::Duration;
///
/// use batchflow_redis::RedisConfig;
///
/// let config = RedisConfig::from_url("redis://cache.example.com:6379")?
///     .user("app")
///     .password("secret")
///     .database(3)
///     .pool_size(8)
///     .connect_timeout(Duration::from_secs(5));
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<_, batchflow_redis::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisConfig {
    pub(crate) opener: Opener,
    pub(crate) pool_size: usize,
    pub(crate) connect_timeout: Duration,
}

/// Whose connections rows are sent through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Client {
    /// fred's. Rows go as scripts, which take this program the least time.
    #[default]
    Fred,
    /// The driver's own, which writes commands as they are and reads their answers with the redis
    /// crate. Rows that one command writes go as that command, many in one piece, which takes the
    /// server the least time.
    #[cfg(feature = "redis-client")]
    Redis,
}

impl RedisConfig {
    /// Reads a URL.
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | one server; the path is the database |
    /// | `redis-sentinel://user:password@host:26379/0?sentinelServiceName=main&node=other:26379` | the primary that Sentinels name |
    /// | `redis-cluster://user:password@host:6379?node=other:6379` | the cluster that these nodes are of |
    ///
    /// With `rediss` in place of `redis` connections are encrypted, which takes the feature `tls`.
    /// The error says what is wrong and shows nothing of the URL.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(Opener::from_url(url)?))
    }

    /// As a client of yours was configured: its servers, user, protocol, database and trust. The
    /// client is left alone, and need not be connected.
    pub fn from_client(client: &fred::clients::Client) -> Self {
        Self::new(Opener::from_client(client))
    }

    pub(crate) fn new(opener: Opener) -> Self {
        Self { opener, pool_size: 8, connect_timeout: Duration::from_secs(10) }
    }

    /// Who connects. Default: whom the URL names, else the server's default user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.opener.set_user(user.into());
        self
    }

    /// The user's password. Default: the URL's, else none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.opener.set_password(password.into());
        self
    }

    /// The database's number. Default: the URL's, else 0.
    pub fn database(mut self, number: u8) -> Self {
        self.opener.set_database(number);
        self
    }

    /// Whether the third version of the protocol is spoken. Default: the second.
    pub fn resp3(mut self, resp3: bool) -> Self {
        self.opener.set_resp3(resp3);
        self
    }

    /// Whose connections rows are sent through. Default: [`Client::Fred`].
    ///
    /// ```
    /// use batchflow_redis::{Client, RedisConfig};
    ///
    /// let config = RedisConfig::from_url("redis://cache.example.com")?;
    /// # #[cfg(feature = "redis-client")]
    /// let config = config.client(Client::Redis);
    /// # let _ = (config, Client::Fred);
    /// # Ok::<_, batchflow_redis::ConfigError>(())
    /// ```
    pub fn client(mut self, client: Client) -> Self {
        self.opener.set_client(client);
        self
    }

    /// How many connections there are at most, to each node of a cluster: 1 to 10,000. Default: 8.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// How long it may take to get a connection: longer than nothing, and a day at most. Default: 10
    /// seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whether the configuration can be used; the error names the setting that cannot.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MOST_CONNECTIONS).contains(&self.pool_size) {
            return Err(ConfigError::new("pool_size", "it must be between 1 and 10,000"));
        }
        if self.connect_timeout.is_zero() || self.connect_timeout > LONGEST {
            return Err(ConfigError::new(
                "connect_timeout",
                "it must be longer than nothing, and a day at most",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("pool_size", &self.pool_size)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
