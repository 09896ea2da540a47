//! Dead letters written again.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::BatchWriter;
use super::front::Row;
use super::run::{Left, Run};
use super::summary::WriteSummary;
use crate::dead_letter::{DeadLetter, DeadLetterError, LetterLines, read_lines};
use crate::driver::{ErrorKind, WriteError};
use crate::outcome::RowError;
use crate::runtime::need_timers;

/// Letters read at once.
const GROUP: usize = 256;
/// Bad lines listed.
const LISTED: usize = 100;

type Lines = LetterLines<BufReader<io::Take<File>>>;

impl BatchWriter {
    /// Reads the dead letters that a [`FileSink`](crate::dead_letter::FileSink) wrote to the file
    /// at `path`, and writes their rows again, in order, with their old submission numbers.
    ///
    /// Left out are rows that may be in the table already, where writing them twice would do
    /// harm: unknown ones of a schema that is not [idempotent](crate::Schema::is_idempotent).
    /// [`replay_where`](Self::replay_where) lets you choose. A line that cannot be read is
    /// counted and skipped. The file itself stays as it is, and what is added to it meanwhile is
    /// not read.
    ///
    /// Not cancel safe: when the future is dropped, nobody knows which rows are written.
    ///
    /// # Errors
    ///
    /// Where it stopped. To replay the file again would write its first rows twice:
    /// [`resume_replay`](Self::resume_replay) goes on.
    pub async fn replay(&self, path: impl AsRef<Path>) -> Result<ReplaySummary, ReplayError> {
        self.replay_where(path, is_harmless).await
    }

    /// Like [`replay`](Self::replay), for the letters that `choose` wants.
    pub async fn replay_where(
        &self,
        path: impl AsRef<Path>,
        choose: impl FnMut(&DeadLetter) -> bool + Send,
    ) -> Result<ReplaySummary, ReplayError> {
        let place = Place { path: path.as_ref().to_owned(), line: 0, end: None };
        self.go_on(place, ReplaySummary::default(), Left::default(), choose).await
    }

    /// Goes on where a [`replay`](Self::replay) stopped, once its cause is gone: with the rows it
    /// had read and not written, then with the next line. No row is written twice, and the summary
    /// is that of the whole replay.
    ///
    /// Not cancel safe, like the replay.
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicBool, Ordering};
    /// # use batchflow_core::dead_letter::{DeadLetter, DeadLetterSink, FileSink};
    /// # use batchflow_core::{Batch, BatchWriter, ConflictStrategy, ErrorKind, RowError, Schema};
    /// # use batchflow_core::{WriteError, driver_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("refused.jsonl");
    /// # let logs = Schema::new("logs", ConflictStrategy::Fail, ["id"])?;
    /// # let letter = DeadLetter::new(
    /// #     7,
    /// #     logs.row((1_i64,))?,
    /// #     RowError::Rejected(ErrorKind::Permission.into()),
    /// # );
    /// # FileSink::create(&path)?.deliver(&mut [letter].into()).await?;
    /// # let forbidden = AtomicBool::new(true);
    /// # let driver = driver_fn("logs", move |_: Batch| {
    /// #     let forbidden = forbidden.swap(false, Ordering::Relaxed);
    /// #     async move {
    /// #         if forbidden { Err(WriteError::from(ErrorKind::Permission)) } else { Ok(()) }
    /// #     }
    /// # });
    /// let writer = BatchWriter::builder(driver).build()?;
    /// let mut replayed = writer.replay(&path).await;
    /// while let Err(stopped) = replayed {
    ///     println!("{stopped}");
    ///     // Here someone sees to it.
    ///     replayed = writer.resume_replay(stopped).await;
    /// }
    /// assert!(replayed?.rows().all_written());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn resume_replay(&self, stopped: ReplayError) -> Result<ReplaySummary, ReplayError> {
        self.resume_replay_where(stopped, is_harmless).await
    }

    /// Like [`resume_replay`](Self::resume_replay), where the lines that follow are letters that
    /// `choose` is to choose from.
    pub async fn resume_replay_where(
        &self,
        stopped: ReplayError,
        choose: impl FnMut(&DeadLetter) -> bool + Send,
    ) -> Result<ReplaySummary, ReplayError> {
        let Stopped { place, mut summary, rest, letters, .. } = *stopped.0;
        let rows = std::mem::take(&mut summary.rows);
        self.go_on(place, summary, Left { summary: rows, rest, letters }, choose).await
    }

    async fn go_on(
        &self,
        mut place: Place,
        mut summary: ReplaySummary,
        left: Left,
        choose: impl FnMut(&DeadLetter) -> bool + Send,
    ) -> Result<ReplaySummary, ReplayError> {
        let mut run = Run::resume(self, left);
        let mut came = read(&mut run, &mut place, &mut summary, choose).await;
        if let Err(ReplayFault::File(_)) = came
            && let Err(error) = run.write_all().await
        {
            // Reading goes on at the line that could not be read.
            came = Err(error.into());
        }
        let Left { summary: rows, rest, letters } = run.into_left();
        summary.rows = rows;
        match came {
            Ok(()) => Ok(summary),
            Err(fault) => {
                Err(ReplayError(Box::new(Stopped { fault, summary, place, rest, letters })))
            }
        }
    }
}

/// Reads and writes on from a place.
async fn read(
    run: &mut Run<'_>,
    place: &mut Place,
    summary: &mut ReplaySummary,
    mut choose: impl FnMut(&DeadLetter) -> bool + Send,
) -> Result<(), ReplayFault> {
    need_timers()?;
    run.write_all().await?;
    let from = place.clone();
    let (mut lines, end) = blocking(move || open(from)).await??;
    place.end = Some(end);
    loop {
        let (back, group) = blocking(move || {
            let mut group = Vec::new();
            while group.len() < GROUP
                && let Some(letter) = lines.next()
            {
                group.push((lines.line(), letter));
            }
            (lines, group)
        })
        .await?;
        lines = back;
        if group.is_empty() {
            return run.write_all().await.map_err(Into::into);
        }
        for (line, letter) in group {
            let letter = match letter {
                Ok(letter) => Some(letter),
                Err(error @ DeadLetterError::Line { .. }) => {
                    summary.unreadable += 1;
                    if summary.bad_lines.len() < LISTED {
                        summary.bad_lines.push(error);
                    }
                    None
                }
                Err(error) => return Err(ReplayFault::File(error)),
            };
            place.line = line;
            match letter {
                Some(letter) if choose(&letter) => {
                    run.add(letter.submission(), letter.into_request()).await?;
                }
                letter => summary.left_out += u64::from(letter.is_some()),
            }
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

/// Where a replay is.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    /// The last line that was taken.
    line: u64,
    /// How long the file was at first: what is refused again may be added to this very file.
    end: Option<u64>,
}

/// Opens the file after a place's line. Tells where it is to be read to.
fn open(place: Place) -> Result<(Lines, u64), DeadLetterError> {
    let Place { path, line, end } = place;
    let open = || {
        let file = File::open(&path)?;
        let about = file.metadata()?;
        let end = end.unwrap_or(if about.is_file() { about.len() } else { u64::MAX });
        let mut lines = read_lines(BufReader::new(file.take(end)));
        lines.skip_to(line)?;
        Ok((lines, end))
    };
    open().map_err(|error| DeadLetterError::Io { path: Some(path.clone()), error })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReplayFault> {
    let stopped = |_| DeadLetterError::failed("the runtime stopped while a file was read");
    tokio::task::spawn_blocking(work).await.map_err(stopped).map_err(ReplayFault::File)
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

/// Why a replay stopped, and where.
///
/// [`resume_replay`](BatchWriter::resume_replay) goes on. A program that ends instead keeps what is
/// left in another file, to replay that one later: the [rest](Self::rest), delivered to a
/// [`FileSink`](crate::dead_letter::FileSink), and then the lines from [`next_line`](Self::next_line)
/// on.
pub struct ReplayError(Box<Stopped>);

struct Stopped {
    fault: ReplayFault,
    summary: ReplaySummary,
    place: Place,
    rest: Vec<Row>,
    letters: Vec<DeadLetter>,
}

/// What stopped a replay.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayFault {
    /// The file could not be read, or not to its end. The rows before that are settled.
    File(DeadLetterError),
    /// The rows could not be written.
    Write(WriteError),
}

impl ReplayError {
    /// What went wrong.
    pub fn fault(&self) -> &ReplayFault {
        &self.0.fault
    }

    /// What became of the lines and rows until then.
    pub fn summary(&self) -> &ReplaySummary {
        &self.0.summary
    }

    /// The first line of the file, from 1, that is neither settled nor in the [rest](Self::rest).
    pub fn next_line(&self) -> u64 {
        self.0.place.line + 1
    }

    /// The rows that were read and not settled, in order: not sent, or unknown where they may have
    /// been applied and writing them again is harmless.
    pub fn rest(&self) -> Vec<DeadLetter> {
        let Stopped { fault, rest, .. } = &*self.0;
        let error = match fault {
            ReplayFault::Write(error) => error.clone(),
            ReplayFault::File(_) => ErrorKind::Io.into(),
        };
        let letter = |row: &Row| {
            let error = if row.doubtful {
                RowError::Unknown(error.clone().outcome_unknown())
            } else {
                RowError::NotSent(error.clone())
            };
            DeadLetter::new(row.submission, row.request.clone(), error)
        };
        rest.iter().map(letter).collect()
    }

    /// The dead letters that the writer's sink has not taken yet.
    pub fn undelivered(&self) -> &[DeadLetter] {
        &self.0.letters
    }
}

impl From<DeadLetterError> for ReplayFault {
    fn from(error: DeadLetterError) -> Self {
        Self::File(error)
    }
}

impl From<WriteError> for ReplayFault {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stopped { fault, summary, .. } = &*self.0;
        write!(f, "stopped before line {}: ", self.next_line())?;
        match fault {
            ReplayFault::File(error) => error.fmt(f)?,
            ReplayFault::Write(error) => error.fmt(f)?,
        }
        write!(f, " ({})", summary.rows)
    }
}

impl fmt::Debug for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayError")
            .field("fault", &self.0.fault)
            .field("next_line", &self.next_line())
            .field("rest", &self.0.rest.len())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for ReplayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match &self.0.fault {
            ReplayFault::File(error) => error,
            ReplayFault::Write(error) => error,
        })
    }
}
