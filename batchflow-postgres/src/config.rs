//! [`PostgresConfig`]: which server, how it is connected to, and how rows are written.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use batchflow_core::ConfigError;
use tokio_postgres::config::{Config, Host};

use crate::connect::url;
use crate::way::Way;

/// The most connections of a pool.
const MOST_CONNECTIONS: usize = 65_535;

/// The longest that a connection is waited for: a day.
pub(crate) const LONGEST_CONNECT: Duration = Duration::from_secs(86_400);

/// Whether a connection is encrypted, and what the server has to prove.
///
/// Anything but [`Disable`](Self::Disable) and [`Prefer`](Self::Prefer) needs the feature `tls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where both sides can and the server allows it, else plain; the server unchecked.
    /// Without the feature `tls`, plain.
    #[default]
    Prefer,
    /// Always encrypted. The server's certificate is checked only where a root certificate is
    /// given.
    Require,
    /// Always encrypted, with a certificate that a trusted authority has signed for whatever name.
    VerifyCa,
    /// Always encrypted, with a certificate that a trusted authority has signed for this host.
    VerifyFull,
}

/// Which authorities are trusted to sign a server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RootCert {
    /// Those that the system trusts.
    #[default]
    System,
    /// Those in a file of PEM certificates.
    File(PathBuf),
}

/// Which server is connected to and how, and how rows are written.
///
/// ```
/// use std::time::Duration;
///
/// use batchflow_postgres::{PostgresConfig, SslMode};
///
/// let config = PostgresConfig::new()
///     .host("db.example.com", 5432)
///     .user("app")
///     .password("secret")
///     .database("app")
///     .ssl_mode(SslMode::VerifyFull)
///     .pool_size(8)
///     .connect_timeout(Duration::from_secs(5));
/// assert!(!format!("{config:?}").contains("secret"));
///
/// let same = PostgresConfig::from_url(
///     "postgres://app:secret@db.example.com/app?sslmode=verify-full",
/// )?;
/// # let _ = same;
/// # Ok::<_, batchflow_postgres::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct PostgresConfig {
    /// All but the hosts.
    pub(crate) client: Config,
    pub(crate) hosts: Vec<Address>,
    /// Whether the hosts are tried in random order.
    pub(crate) shuffle: bool,
    pub(crate) ssl_mode: SslMode,
    pub(crate) root_cert: Option<RootCert>,
    pub(crate) pool_size: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) way: Option<Way>,
}

/// Where one server listens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: Option<Host>,
    pub(crate) hostaddr: Option<std::net::IpAddr>,
    pub(crate) port: u16,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        let mut client = Config::new();
        client.application_name("batchflow");
        Self {
            client,
            hosts: Vec::new(),
            shuffle: false,
            ssl_mode: SslMode::default(),
            root_cert: None,
            pool_size: 8,
            connect_timeout: Duration::from_secs(10),
            way: None,
        }
    }
}

impl PostgresConfig {
    /// The defaults: the server on this machine, the user and the database that are called as the
    /// user of this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a URL (`postgres://user:password@host:5432/database?sslmode=require`) or a list of
    /// settings (`host=… user=…`), as libpq does.
    ///
    /// Several hosts are separated by commas, and tried in turn; with
    /// `target_session_attrs=read-write` the first that takes writes is used, so that a promoted
    /// standby is found. Beside what [`tokio_postgres::Config`] reads, it reads `sslmode` with all
    /// its modes, `sslrootcert` (a file, or `system`) and `target_session_attrs=primary`.
    /// `connect_timeout` is in seconds and for each host.
    ///
    /// The error names the setting at fault and shows nothing of the URL.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        url::read(url)
    }

    /// Adds a server. A host that begins with a slash is the folder of a Unix socket. The servers
    /// are tried in the order they are added. Left out: `localhost`, port 5432.
    pub fn host(mut self, host: impl Into<String>, port: u16) -> Self {
        let mut one = Config::new();
        let host = host.into();
        #[cfg(unix)]
        if host.starts_with('/') {
            one.host_path(host);
        } else {
            one.host(host);
        }
        #[cfg(not(unix))]
        one.host(host);
        let host = one.get_hosts().first().cloned();
        self.hosts.push(Address { host, hostaddr: None, port });
        self
    }

    /// Who connects.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.client.user(user);
        self
    }

    /// The user's password.
    pub fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.client.password(password);
        self
    }

    /// The database.
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.client.dbname(name);
        self
    }

    /// What the server's `pg_stat_activity` calls these connections. Default: `batchflow`.
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.client.application_name(name);
        self
    }

    /// Whether connections are encrypted. Default: [`SslMode::Prefer`].
    pub fn ssl_mode(mut self, mode: SslMode) -> Self {
        self.ssl_mode = mode;
        self
    }

    /// Whom to trust to sign the server's certificate. Default: [`RootCert::System`].
    pub fn ssl_root_cert(mut self, root: RootCert) -> Self {
        self.root_cert = Some(root);
        self
    }

    /// The most connections that are open at once, 1 to 65,535. Default: 8. Beside them, up to two are opened
    /// for a moment to ask what became of a lost commit.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// How long it may take to get a connection: to wait for a free one, and to open one. It is
    /// shared equally among several hosts. A day at most. Default: 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(LONGEST_CONNECT);
        self
    }

    /// Writes every batch this way. Left out: the driver chooses by the batch's size, its rows'
    /// width and its strategy. A batch that cannot be written this way is written by the next
    /// that can: [`Copy`](Way::Copy), then [`Stage`](Way::Stage), then [`Unnest`](Way::Unnest).
    pub fn way(mut self, way: Way) -> Self {
        self.way = Some(way);
        self
    }

    /// Checks what can be checked without a server.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MOST_CONNECTIONS).contains(&self.pool_size) {
            return Err(ConfigError::new("pool_size", "must be between 1 and 65,535"));
        }
        if self.connect_timeout.is_zero() {
            return Err(ConfigError::new("connect_timeout", "must be longer than nothing"));
        }
        Ok(())
    }
}

impl FromStr for PostgresConfig {
    type Err = ConfigError;

    /// As [`from_url`](Self::from_url).
    fn from_str(url: &str) -> Result<Self, ConfigError> {
        Self::from_url(url)
    }
}

/// Shows nothing that a URL holds.
impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("hosts", &self.hosts.len())
            .field("ssl_mode", &self.ssl_mode)
            .field("pool_size", &self.pool_size)
            .field("connect_timeout", &self.connect_timeout)
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}
