//! From what the server says to [`WriteError`].

use batchflow_core::{ErrorKind, WriteError};

use crate::codes;

/// The error that a server's `CODE message` comes to. Its text may hold values, and is kept apart.
pub(crate) fn of_reply(text: &str) -> WriteError {
    let entry = codes::find(text);
    let mut error = WriteError::new(entry.map_or(ErrorKind::Other, |entry| entry.kind));
    if let Some(why) = entry.map(|entry| entry.why) {
        error = error.with_message(why);
    }
    if let Some(code) = codes::code(text) {
        error = error.with_code(code);
    }
    error.with_server_message(text)
}
