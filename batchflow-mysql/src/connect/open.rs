//! [`Opener`]: opens connections, host after host.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::{ConfigError, ErrorKind, Stage, WriteError};
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder};
use tokio::time::timeout;

use super::tls::{Tls, explain, presented_name};
use crate::config::{Address, MysqlConfig, SslMode};
use crate::error::translate;
use crate::server::Known;
use crate::session::{Open, Page};

/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 48;

/// Opens connections to the first of several servers that takes one.
pub(crate) struct Opener {
    hosts: Vec<Host>,
    /// How long one host is given.
    each: Duration,
    pub(super) loads: AtomicBool,
    mode: SslMode,
}

/// One server.
struct Host {
    plain: Opts,
    /// `None` where connections are never encrypted.
    encrypted: Option<Opts>,
    /// As `encrypted`, for a name that the server's certificate is for.
    renamed: Mutex<Option<Opts>>,
}

impl Opener {
    pub(crate) fn new(config: &MysqlConfig) -> Result<Self, ConfigError> {
        let tls = Tls::new(config)?;
        let local = [Address::Tcp("localhost".to_owned(), 3306)];
        let hosts = if config.hosts.is_empty() { &local[..] } else { &config.hosts };
        let each = config.connect_timeout / u32::try_from(hosts.len()).unwrap_or(u32::MAX).max(1);
        let hosts = hosts.iter().map(|address| Host::new(config, address, &tls)).collect();
        Ok(Self { hosts, each, loads: AtomicBool::new(config.local_infile), mode: tls.mode })
    }

    /// Opens a connection to the first host that takes one and, of several, is not read-only;
    /// beginning with the host that is numbered so. The last host's error where none takes one.
    pub(crate) async fn open(&self, host: Option<usize>) -> Result<Open, WriteError> {
        let (mut last, mut reads) = (None, None);
        let count = self.hosts.len();
        for at in (0..count).map(|at| (at + host.unwrap_or(0)) % count) {
            match timeout(self.each, self.open_one(at)).await {
                // Where it is asked for, it can answer.
                Ok(Ok(open)) if !open.known.read_only || host.is_some() => return Ok(open),
                Ok(Ok(open)) => reads = reads.or(Some(open)),
                Ok(Err(error)) => last = Some(error),
                Err(_too_long) => last = last.or_else(|| Some(silent())),
            }
        }
        match reads {
            // There is no other.
            Some(open) if count == 1 => Ok(open),
            // Who may administer it would write to it, past the one that is its source.
            Some(_) => Err(WriteError::new(ErrorKind::ReadOnly)
                .at(Stage::Connect)
                .with_message("of several hosts, all that answer are read-only")),
            None => Err(last.unwrap_or_else(silent)),
        }
    }

    async fn open_one(&self, at: usize) -> Result<Open, WriteError> {
        let connected = self.hosts[at].connect(self.mode).await;
        let mut conn = connected.map_err(|error| {
            let told = translate(&error, Stage::Connect, None);
            match (explain(&error), unknown_plugin(&error)) {
                // No attempt will fare better with these settings.
                (Some(why), _) => told.with_kind(ErrorKind::Unsupported).with_message(why),
                (None, Some(why)) => told.with_kind(ErrorKind::Permission).with_message(why),
                (None, None) => told,
            }
        })?;
        let known = Arc::new(Known::read(&mut conn, self.loads.load(Ordering::Relaxed)).await?);
        Ok(Open::new(conn, known, Page::new(), at))
    }
}

impl Host {
    fn new(config: &MysqlConfig, address: &Address, tls: &Tls) -> Self {
        let plain = OptsBuilder::default()
            .user(config.user.clone())
            .pass(config.password.clone())
            .db_name(config.database.clone())
            .stmt_cache_size(STATEMENTS)
            .connect_attribute("program_name", "batchflow")
            // A socket that the server tells of may lead past a proxy.
            .prefer_socket(false);
        let (plain, is_local) = match address {
            Address::Tcp(host, port) => (plain.ip_or_hostname(host).tcp_port(*port), false),
            Address::Socket(path) => (plain.socket(Some(path.clone())), true),
        };
        let encrypted = match &tls.opts {
            Some(opts) if !is_local => {
                Some(OptsBuilder::from_opts(plain.clone()).ssl_opts(opts.clone()).into())
            }
            _ => None,
        };
        Self { plain: plain.into(), encrypted, renamed: Mutex::default() }
    }

    async fn connect(&self, mode: SslMode) -> Result<Conn, Error> {
        let Some(encrypted) = &self.encrypted else { return Conn::new(self.plain.clone()).await };
        let renamed = self.renamed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let opts = renamed.unwrap_or_else(|| encrypted.clone());
        match Conn::new(opts).await {
            // It is only preferred, and could not be agreed upon.
            Err(error) if mode == SslMode::Preferred && explain(&error).is_some() => {
                Conn::new(self.plain.clone()).await
            }
            Err(error) if mode != SslMode::VerifyIdentity => match presented_name(&error) {
                Some(name) => self.connect_as(encrypted, name).await,
                None => Err(error),
            },
            connected => connected,
        }
    }

    /// Expects the server's certificate to be for another name.
    async fn connect_as(&self, encrypted: &Opts, name: String) -> Result<Conn, Error> {
        let Some(ssl) = encrypted.ssl_opts() else { return Conn::new(encrypted.clone()).await };
        let ssl = ssl.clone().with_danger_tls_hostname_override(Some(name));
        let opts: Opts = OptsBuilder::from_opts(encrypted.clone()).ssl_opts(ssl).into();
        let conn = Conn::new(opts.clone()).await?;
        *self.renamed.lock().unwrap_or_else(PoisonError::into_inner) = Some(opts);
        Ok(conn)
    }
}

/// How a user is to log in that the client does not know. To one who does not exist MySQL says
/// this too, so that nobody learns who does.
fn unknown_plugin(error: &Error) -> Option<String> {
    let how = match error {
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => name,
        Error::Driver(DriverError::CleartextPluginDisabled) => "mysql_clear_password",
        Error::Driver(DriverError::MysqlOldPasswordDisabled) => "mysql_old_password",
        _ => return None,
    };
    Some(format!("the user is unknown, or logs in by `{how}`, which is not supported"))
}

fn silent() -> WriteError {
    let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
    error.with_message("the server did not answer in time")
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}
