//! Connections, encrypted or not.

use batchflow_core::WriteError;
use fred::types::config::Config;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connect::open::{refused, unreachable};

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

/// Connects to a server, as a configuration says; nothing is sent yet.
pub(super) async fn connect(
    config: &Config,
    host: &str,
    port: u16,
) -> Result<Box<dyn Stream>, WriteError> {
    // As URLs have it.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let tcp = TcpStream::connect((host, port)).await.map_err(|error| failed(&error))?;
    tcp.set_nodelay(true).map_err(|error| failed(&error))?;
    if config.uses_tls() { encrypt(config, host, tcp).await } else { Ok(Box::new(tcp)) }
}

#[cfg(feature = "tls")]
async fn encrypt(
    config: &Config,
    host: &str,
    tcp: TcpStream,
) -> Result<Box<dyn Stream>, WriteError> {
    use fred::rustls::pki_types::ServerName;
    use fred::types::config::TlsConnector;

    let connector = config.tls.as_ref().map(|tls| &tls.connector);
    let Some(TlsConnector::Rustls(connector)) = connector else {
        return Err(refused("this client encrypts by rustls alone"));
    };
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| refused("no certificate can be for the server's name"))?;
    let encrypted = connector.connect(name, tcp).await.map_err(|error| failed(&error))?;
    Ok(Box::new(encrypted))
}

/// Nothing is sent in the clear that was to be encrypted.
#[cfg(not(feature = "tls"))]
#[allow(clippy::unused_async, reason = "as with encryption")]
async fn encrypt(_: &Config, _: &str, _: TcpStream) -> Result<Box<dyn Stream>, WriteError> {
    Err(refused("encryption needs the feature `tls`"))
}

/// By the form that tells certificates' faults apart.
fn failed(error: &std::io::Error) -> WriteError {
    unreachable(&format!("{error:?}"))
}
