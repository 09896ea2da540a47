//! Where MySQL's packets end, for a proxy that cuts between them.

use batchflow_core::testing::Head;
use batchflow_mysql::client::Opts;

/// A packet is three bytes for the length of what it says, a number, and what it says. Encryption
/// must be off: its handshake is none of this.
pub(crate) fn frame(head: Head<'_>) -> Option<usize> {
    let length = head.bytes.get(..3)?;
    Some(4 + (usize::from(length[0]) | usize::from(length[1]) << 8 | usize::from(length[2]) << 16))
}

/// The same URL with another server's address.
pub(crate) fn through(url: &str, address: impl std::fmt::Display) -> String {
    let start = url.rfind('@').or_else(|| url.rfind("//").map(|at| at + 1)).map_or(0, |at| at + 1);
    let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    format!("{}{address}{}", &url[..start], &url[end..])
}

/// Where a URL's server listens: `127.0.0.1:3306`.
pub(crate) fn address(url: &str) -> String {
    let opts = Opts::from_url(url).unwrap();
    format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port())
}
