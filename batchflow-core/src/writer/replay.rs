//! Dead letters written again.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::BatchWriter;
use super::run::Run;
use super::summary::{BulkError, WriteSummary};
use crate::dead_letter::{DeadLetter, DeadLetterError, LetterLines, read_lines};
use crate::outcome::RowError;

/// Letters read at once.
const GROUP: usize = 256;
/// Bad lines listed.
const LISTED: usize = 100;

type Lines = LetterLines<BufReader<Box<dyn Read + Send>>>;

impl BatchWriter {
    /// Reads the dead letters that a [`FileSink`](crate::dead_letter::FileSink) wrote to the file
    /// at `path`, and writes their rows again, in order, with their old submission numbers.
    ///
    /// Left out are rows that may be in the table already, where writing them twice would do
    /// harm: unknown ones of a schema that is not [idempotent](crate::Schema::is_idempotent).
    /// [`replay_where`](Self::replay_where) lets you choose. A line that cannot be read is
    /// counted and skipped. The file itself stays as it is, and what is added to it meanwhile is
    /// not read.
    pub async fn replay(&self, path: impl AsRef<Path>) -> Result<ReplaySummary, ReplayError> {
        self.replay_where(path, is_harmless).await
    }

    /// Like [`replay`](Self::replay), for the letters that `choose` wants.
    pub async fn replay_where(
        &self,
        path: impl AsRef<Path>,
        mut choose: impl FnMut(&DeadLetter) -> bool + Send,
    ) -> Result<ReplaySummary, ReplayError> {
        let path = path.as_ref().to_owned();
        let mut lines = blocking(move || open(path)).await??;
        let mut replay = ReplaySummary::default();
        let mut run = Run::new(self);
        let mut broken = None;
        while broken.is_none() {
            let (back, group) = blocking(move || {
                let group: Vec<_> = lines.by_ref().take(GROUP).collect();
                (lines, group)
            })
            .await?;
            lines = back;
            if group.is_empty() {
                break;
            }
            for line in group {
                let letter = match line {
                    Ok(letter) => letter,
                    Err(error @ DeadLetterError::Line { .. }) => {
                        replay.unreadable += 1;
                        if replay.bad_lines.len() < LISTED {
                            replay.bad_lines.push(error);
                        }
                        continue;
                    }
                    Err(error) => {
                        broken = Some(error);
                        break;
                    }
                };
                if !choose(&letter) {
                    replay.left_out += 1;
                } else if let Err(error) = run.add(letter.submission(), letter.into_request()).await
                {
                    return Err(ReplayError::Write(run.stop(error)));
                }
            }
        }
        replay.rows = run.end().await.map_err(ReplayError::Write)?;
        match broken {
            Some(error) => Err(ReplayError::File(error)),
            None => Ok(replay),
        }
    }
}

/// Whether writing the row cannot write it twice.
fn is_harmless(letter: &DeadLetter) -> bool {
    let row = letter.request();
    let whole_key = || {
        let mut key = row.schema().key().iter().map(|&at| row.value(at));
        key.all(|value| value.is_some_and(|value| !value.is_null()))
    };
    match letter.error() {
        RowError::Unknown(_) => row.schema().is_idempotent() && whole_key(),
        RowError::Rejected(_) | RowError::NotSent(_) => true,
    }
}

fn open(path: PathBuf) -> Result<Lines, DeadLetterError> {
    let file = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
    let (about, file) = file.map_err(|error| DeadLetterError::Io { path: Some(path), error })?;
    // The rows that are refused again may be added to this very file.
    let end = if about.is_file() { about.len() } else { u64::MAX };
    Ok(read_lines(BufReader::new(Box::new(file.take(end)))))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReplayError> {
    let stopped = |_| DeadLetterError::failed("the runtime stopped while a file was read");
    tokio::task::spawn_blocking(work).await.map_err(stopped).map_err(ReplayError::File)
}

/// What became of a file of dead letters.
#[derive(Debug, Default)]
#[must_use]
pub struct ReplaySummary {
    rows: WriteSummary,
    left_out: u64,
    unreadable: u64,
    bad_lines: Vec<DeadLetterError>,
}

impl ReplaySummary {
    /// What became of the rows.
    pub fn rows(&self) -> &WriteSummary {
        &self.rows
    }

    /// The letters that were left out because they were not chosen.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The lines that hold no letter.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The first 100 lines that hold no letter, and why.
    pub fn bad_lines(&self) -> &[DeadLetterError] {
        &self.bad_lines
    }
}

/// Why a replay stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file could not be read, or not to its end. The rows before that are written.
    File(DeadLetterError),
    /// The rows could not be written.
    Write(BulkError),
}

impl From<DeadLetterError> for ReplayError {
    fn from(error: DeadLetterError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReplayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            Self::Write(error) => error.source(),
        }
    }
}
