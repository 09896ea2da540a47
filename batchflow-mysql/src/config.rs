//! [`MysqlConfig`]: which server, how it is connected to, and how rows are written.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use batchflow_core::ConfigError;

use crate::connect::url;
use crate::way::Way;

/// The most connections of a pool.
const MOST_CONNECTIONS: usize = 65_535;

/// The longest that a connection is waited for: a day.
pub(crate) const LONGEST_CONNECT: Duration = Duration::from_secs(86_400);

/// Whether a connection is encrypted, and what the server has to prove.
///
/// Anything but [`Disabled`](Self::Disabled) and [`Preferred`](Self::Preferred) needs the feature
/// `tls`. A Unix socket is never encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SslMode {
    /// Never encrypted.
    Disabled,
    /// Encrypted where both sides can, else plain; the server unchecked. Without the feature
    /// `tls`, plain.
    #[default]
    Preferred,
    /// Always encrypted. The server's certificate is checked only where a root certificate is
    /// given.
    Required,
    /// Always encrypted, with a certificate that a trusted authority has signed for whatever name.
    /// It must have one as an alternative name of its subject, which those that MySQL makes for
    /// itself have not.
    VerifyCa,
    /// Always encrypted, with a certificate that a trusted authority has signed for this host.
    VerifyIdentity,
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
/// use batchflow_mysql::{MysqlConfig, SslMode};
///
/// let config = MysqlConfig::new()
///     .host("db.example.com", 3306)
///     .user("app")
///     .password("secret")
///     .database("app")
///     .ssl_mode(SslMode::VerifyIdentity)
///     .pool_size(8)
///     .connect_timeout(Duration::from_secs(5));
/// assert!(!format!("{config:?}").contains("secret"));
///
/// let same = MysqlConfig::from_url(
///     "mysql://app:secret@db.example.com/app?ssl-mode=verify-identity",
/// )?;
/// # let _ = same;
/// # Ok::<_, batchflow_mysql::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct MysqlConfig {
    pub(crate) hosts: Vec<Address>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) root_cert: Option<RootCert>,
    pub(crate) pool_size: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) way: Option<Way>,
    pub(crate) ledger: Option<String>,
    pub(crate) local_infile: bool,
}

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(String, u16),
    Socket(String),
}

impl Default for MysqlConfig {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            user: None,
            password: None,
            database: None,
            ssl_mode: SslMode::default(),
            root_cert: None,
            pool_size: 8,
            connect_timeout: Duration::from_secs(10),
            way: None,
            ledger: None,
            local_infile: false,
        }
    }
}

impl MysqlConfig {
    /// The defaults: the server on this machine, port 3306, no user and no database.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a URL: `mysql://user:password@host:3306/database?ssl-mode=required`, or
    /// `mariadb://…`.
    ///
    /// User, password and database are percent-encoded. Several hosts are separated by commas, and
    /// tried in turn; none of them is written to while it is read-only, so that a promoted replica
    /// is found. The settings are `ssl-mode` (`disabled`, `preferred`,
    /// `required`, `verify-ca`, `verify-identity`), `ssl-ca` (a file, or `system`), `socket` (the
    /// path of a Unix socket, in place of the hosts), `connect-timeout` (in seconds) and
    /// `pool-size`.
    ///
    /// The error names the setting at fault and shows nothing of the URL.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        url::read(url)
    }

    /// Adds a server. The servers are tried in the order they are added. Left out: `localhost`,
    /// port 3306.
    pub fn host(mut self, host: impl Into<String>, port: u16) -> Self {
        self.hosts.push(Address::Tcp(host.into(), port));
        self
    }

    /// Adds a server by the path of its Unix socket.
    #[cfg(unix)]
    pub fn socket(mut self, path: impl Into<String>) -> Self {
        self.hosts.push(Address::Socket(path.into()));
        self
    }

    /// Who connects.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The user's password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The database: where tables are that a schema names without one.
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// Whether connections are encrypted. Default: [`SslMode::Preferred`].
    pub fn ssl_mode(mut self, mode: SslMode) -> Self {
        self.ssl_mode = mode;
        self
    }

    /// Whom to trust to sign the server's certificate. Default: [`RootCert::System`].
    pub fn ssl_root_cert(mut self, root: RootCert) -> Self {
        self.root_cert = Some(root);
        self
    }

    /// The most connections that are open at once, 1 to 65,535. Default: 8. Beside them, up to two
    /// are opened for a moment to end what was given up, or to ask what became of a lost commit.
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

    /// Writes every batch this way. Left out: the driver chooses by the server, the batch's size,
    /// its rows' width and its strategy. A batch that cannot be written this way is written by the
    /// next that can.
    pub fn way(mut self, way: Way) -> Self {
        self.way = Some(way);
        self
    }

    /// Keeps in this table which batches were committed, so that the fate of a commit whose answer
    /// was lost is known of every schema. Left out: such a batch is written again where that is
    /// harmless, else it is [`Unknown`](batchflow_core::Settled::Unknown).
    ///
    /// The table has one row for each connection, which every batch changes in its own
    /// transaction: none is a statement that commits itself, which would take one round trip. Rows
    /// that were not changed for a day are deleted. A name with a dot names the database too. The
    /// user needs the rights to select, insert, update and delete on it:
    ///
    /// ```sql
    /// CREATE TABLE batchflow_ledger (
    ///     session    BINARY(16)      NOT NULL PRIMARY KEY,
    ///     batch      BIGINT UNSIGNED NOT NULL,
    ///     written_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ///     KEY (written_at)
    /// ) ENGINE = InnoDB;
    /// ```
    pub fn ledger(mut self, table: impl Into<String>) -> Self {
        self.ledger = Some(table.into());
        self
    }

    /// Whether rows may be sent by `LOAD DATA LOCAL INFILE`, from memory, where the server allows
    /// it. Default: no.
    pub fn local_infile(mut self, allowed: bool) -> Self {
        self.local_infile = allowed;
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
        if self.user.as_deref().is_none_or(str::is_empty) {
            return Err(ConfigError::new("user", "is missing"));
        }
        Ok(())
    }
}

impl FromStr for MysqlConfig {
    type Err = ConfigError;

    /// As [`from_url`](Self::from_url).
    fn from_str(url: &str) -> Result<Self, ConfigError> {
        Self::from_url(url)
    }
}

/// Shows nothing that a URL holds.
impl fmt::Debug for MysqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlConfig")
            .field("hosts", &self.hosts.len())
            .field("ssl_mode", &self.ssl_mode)
            .field("pool_size", &self.pool_size)
            .field("connect_timeout", &self.connect_timeout)
            .field("way", &self.way)
            .field("local_infile", &self.local_infile)
            .finish_non_exhaustive()
    }
}
