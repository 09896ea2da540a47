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

    pub(crate) fn new(opener: Opener) -> Self {
        Self { opener, pool_size: 8, connect_timeout: Duration::from_secs(10) }
    }

    /// Who connects.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.opener.set_user(user.into());
        self
    }

    /// The user's password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.opener.set_password(password.into());
        self
    }

    /// The database's number.
    pub fn database(mut self, number: u8) -> Self {
        self.opener.set_database(number);
        self
    }

    /// Whether the third version of the protocol is spoken. Default: the second.
    pub fn resp3(mut self, resp3: bool) -> Self {
        self.opener.set_resp3(resp3);
        self
    }

    /// How many connections there are at most, to each node of a cluster. Default: 8.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// How long it may take to get a connection. Default: 10 seconds.
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
