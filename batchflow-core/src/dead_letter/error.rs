//! Why a dead letter was not delivered or not read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why dead letters were not delivered, or not read back. None shows a row's values.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// The sink will never take another letter: its receiver is gone.
    Closed,
    /// The sink cannot take the first letter, now or ever; it may take the next.
    Refused {
        /// What is wrong with the letter, without its values.
        why: String,
    },
    /// A file could not be read or written.
    Io {
        /// The file, where it is known.
        path: Option<PathBuf>,
        /// What the system said.
        error: io::Error,
    },
    /// A line of a file is no dead letter; the lines after it can still be read.
    Line {
        /// The line's number, from 1.
        line: u64,
        /// What is wrong with it, without its values.
        why: String,
    },
    /// The sink failed for now.
    Failed {
        /// Why, without any row's values.
        why: String,
    },
}

impl DeadLetterError {
    /// A failure of a sink of your own, after which the letters are offered again. `why` is
    /// logged, so it must hold no value, URL or password.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into() }
    }
}

impl From<io::Error> for DeadLetterError {
    fn from(error: io::Error) -> Self {
        Self::Io { path: None, error }
    }
}

impl fmt::Display for DeadLetterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("nobody takes dead letters any more"),
            Self::Refused { why } => write!(f, "the dead letter cannot be taken: {why}"),
            Self::Io { path, error } => {
                let path = path.as_deref().map(Path::display);
                match path {
                    Some(path) => write!(f, "dead letters in {path}: {error}"),
                    None => write!(f, "dead letters: {error}"),
                }
            }
            Self::Line { line, why } => write!(f, "dead letters, line {line}: {why}"),
            Self::Failed { why } => write!(f, "dead letters: {why}"),
        }
    }
}

impl std::error::Error for DeadLetterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
