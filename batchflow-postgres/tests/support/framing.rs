//! Where PostgreSQL's messages end, for a proxy that cuts between them.

use batchflow_core::testing::{Direction, Head};

/// A message is a byte for its kind, four for its length without that byte, and what it says. A
/// client's first has no kind. Encryption must be off: its handshake is none of this.
pub(crate) fn frame(head: Head<'_>) -> Option<usize> {
    let kind = usize::from(head.direction == Direction::ToClient || head.nth > 1);
    let length = head.bytes.get(kind..kind + 4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    Some(kind + length as usize)
}

/// The same URL with another server's address.
pub(crate) fn through(url: &str, address: impl std::fmt::Display) -> String {
    let (start, rest) = url.split_at(
        url.rfind('@').map_or_else(|| url.find("://").map_or(0, |at| at + 3), |at| at + 1),
    );
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    format!("{start}{address}{}", &rest[end..])
}

/// Where a URL's server listens: `127.0.0.1:5432`.
pub(crate) fn address(url: &str) -> String {
    let after =
        url.rsplit_once('@').or_else(|| url.split_once("://")).map_or(url, |(_, rest)| rest);
    let address = after.split(['/', '?']).next().unwrap_or_default();
    if address.contains(':') { address.to_owned() } else { format!("{address}:5432") }
}
