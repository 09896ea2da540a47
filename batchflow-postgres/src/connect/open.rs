//! [`Opener`]: opens connections, host after host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use tokio::task::JoinHandle;
#[cfg(feature = "tls")]
use tokio_postgres::config::SslMode;
use tokio_postgres::config::{Config, Host};
#[cfg(feature = "tls")]
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Connection, Error, NoTls, Socket};

use super::backend::Backend;
#[cfg(feature = "tls")]
use super::tls::explain;
use super::tls::{Tls, client_mode};
use crate::config::{Address, PostgresConfig};
use crate::error::translate;

/// A connection and the task that drives it, which ends with it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) client: Client,
    pub(crate) backend: Arc<Backend>,
    task: JoinHandle<()>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens connections to the first of several servers that takes one.
#[derive(Debug)]
pub(crate) struct Opener {
    hosts: Vec<Config>,
    shuffle: bool,
    /// How long one host is given.
    each: Duration,
    tls: Tls,
    /// Whether its connections were found to have backends of their own; true until asked.
    direct: Arc<AtomicBool>,
}

impl Opener {
    pub(crate) fn new(config: &PostgresConfig, tls: Tls) -> Self {
        let local = PostgresConfig::new().host("localhost", 5432).hosts;
        let hosts = if config.hosts.is_empty() { &local } else { &config.hosts };
        let each = config.connect_timeout / u32::try_from(hosts.len()).unwrap_or(u32::MAX).max(1);
        let one = |address: &Address| {
            let mut one = config.client.clone();
            one.ssl_mode(client_mode(config.ssl_mode));
            one.connect_timeout(each);
            match &address.host {
                Some(Host::Tcp(name)) => {
                    one.host(name);
                }
                #[cfg(unix)]
                Some(Host::Unix(folder)) => {
                    one.host_path(folder);
                }
                None => {}
            }
            if let Some(address) = address.hostaddr {
                one.hostaddr(address);
            }
            one.port(address.port);
            one
        };
        let direct = Arc::new(AtomicBool::new(true));
        Self { hosts: hosts.iter().map(one).collect(), shuffle: config.shuffle, each, tls, direct }
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Relaxed)
    }

    /// Opens a connection to the first host that takes one. The last host's error where none does.
    pub(crate) async fn open(&self) -> Result<Opened, WriteError> {
        let first = if self.shuffle { fastrand::usize(..self.hosts.len()) } else { 0 };
        let (before, from) = self.hosts.split_at(first);
        let mut last = None;
        for host in from.iter().chain(before) {
            match tokio::time::timeout(self.each, self.open_one(host)).await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(error)) => last = Some(translate(&error, Stage::Connect, None)),
                Err(_too_long) => last = last.or_else(|| Some(silent())),
            }
        }
        Err(last.unwrap_or_else(silent))
    }

    async fn open_one(&self, host: &Config) -> Result<Opened, Error> {
        match &self.tls {
            Tls::Plain => self.connect(host, NoTls).await,
            #[cfg(feature = "tls")]
            Tls::Rustls(tls) => match self.connect(host, tls.clone()).await {
                Err(error) if may_be_plain(host, &error) => {
                    let mut plain = host.clone();
                    plain.ssl_mode(SslMode::Disable);
                    self.connect(&plain, NoTls).await.map_err(|_| error)
                }
                connected => connected,
            },
        }
    }

    async fn connect<T>(&self, config: &Config, tls: T) -> Result<Opened, Error>
    where
        T: MakeTlsConnect<Socket, Stream: Send + 'static>,
    {
        let (client, connection) = config.connect(tls).await?;
        let backend = Arc::new(Backend::new(Arc::clone(&self.direct)));
        Ok(Opened { client, backend, task: tokio::spawn(drive(connection)) })
    }
}

/// Whether to try again without encryption, as libpq does: it is only preferred, and could not be
/// agreed upon, or the server lets this user in without it alone.
#[cfg(feature = "tls")]
fn may_be_plain(host: &Config, error: &Error) -> bool {
    host.get_ssl_mode() == SslMode::Prefer
        && (explain(error).is_some()
            || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}

fn silent() -> WriteError {
    let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
    error.with_message("the server did not answer in time")
}

/// Moves what is sent and answered until the connection ends. Notices are dropped unseen: they
/// may hold values.
async fn drive<S>(mut connection: Connection<Socket, S>)
where
    S: tokio_postgres::tls::TlsStream + Unpin,
{
    while let Some(Ok(_)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
    }
}
