//! Dead letters into a file of JSON lines.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{DeadLetter, DeadLetterError, DeadLetterSink, json};

/// Lines are gathered up to this size, then written and synced as one.
const GROUP_BYTES: usize = 256 << 10;

/// Writes dead letters to a file, one JSON object a line, values included.
///
/// A file that it creates is readable by its owner alone, where the system knows owners; one that is
/// there keeps its mode. It is locked against a second sink while this one lives. Each group of letters is on the disk before the next is
/// taken. A disk that is full loses no letter: what was written by halves is cut off again, and
/// the letters are kept and tried later. The file may be emptied meanwhile: the next letters are
/// then its first.
///
/// [`read_file`](super::read_file) reads it back; [`BatchWriter::replay`](crate::BatchWriter::replay)
/// writes its rows again.
///
/// ```
/// use batchflow_core::dead_letter::FileSink;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("refused.jsonl");
/// let sink = FileSink::append(&path)?;
/// // BatchFlow::builder(driver).dead_letters(sink)
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    lines: Arc<Mutex<Lines<File>>>,
    fsync: bool,
    server_messages: bool,
}

impl FileSink {
    /// Creates the file; an error where there is one already. Blocks for as long as that takes.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DeadLetterError> {
        Self::open(path.as_ref(), options().create_new(true))
    }

    /// Opens the file and writes after what it holds, or creates it. A last line that a crash cut
    /// short is ended; reading skips it with an error. Blocks for as long as that takes.
    pub fn append(path: impl AsRef<Path>) -> Result<Self, DeadLetterError> {
        Self::open(path.as_ref(), options().create(true))
    }

    /// Whether each group of letters is synced to the disk. Default: `true`. Without it, a power
    /// cut may lose letters; the end of the process does not.
    #[must_use]
    pub fn with_fsync(mut self, fsync: bool) -> Self {
        self.fsync = fsync;
        self
    }

    /// Writes what the server said with each error. Servers print values in their messages.
    #[must_use]
    pub fn with_server_messages(mut self) -> Self {
        self.server_messages = true;
        self
    }

    fn open(path: &Path, options: &OpenOptions) -> Result<Self, DeadLetterError> {
        let lines = options.open(path).and_then(|file| {
            lock(&file)?;
            let lines = Lines::resume(file)?;
            sync_folder(path);
            Ok(lines)
        });
        let lines = lines.map_err(|error| io_error(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            lines: Arc::new(Mutex::new(lines)),
            fsync: true,
            server_messages: false,
        })
    }

    /// The lines of the first letters, and how many letters they are.
    fn encode(&self, letters: &VecDeque<DeadLetter>) -> Result<(Vec<u8>, usize), DeadLetterError> {
        let mut text = Vec::new();
        let mut count = 0;
        for letter in letters {
            match json::write(&mut text, letter, self.server_messages) {
                Ok(()) => text.push(b'\n'),
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
            count += 1;
            if text.len() >= GROUP_BYTES {
                break;
            }
        }
        Ok((text, count))
    }

    async fn blocking(
        &self,
        work: impl FnOnce(&mut Lines<File>) -> io::Result<()> + Send + 'static,
    ) -> Result<(), DeadLetterError> {
        let lines = Arc::clone(&self.lines);
        let task = tokio::task::spawn_blocking(move || {
            work(&mut lines.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match task.await {
            Ok(written) => written.map_err(|error| io_error(&self.path, error)),
            Err(_) => Err(DeadLetterError::failed("the runtime stopped while a file was written")),
        }
    }
}

#[async_trait]
impl DeadLetterSink for FileSink {
    async fn deliver(&self, letters: &mut VecDeque<DeadLetter>) -> Result<(), DeadLetterError> {
        while !letters.is_empty() {
            let (text, count) = self.encode(letters)?;
            let fsync = self.fsync;
            self.blocking(move |lines| lines.append(&text, fsync)).await?;
            letters.drain(..count);
        }
        Ok(())
    }

    async fn close(&self) {
        if let Err(error) = self.blocking(|lines| lines.disk.sync()).await {
            tracing::warn!(%error, "the dead letters' file could not be synced");
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another sink writes this file"))
        }
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}

/// Makes a new file's name durable, where the system lets a folder be synced.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
        let _ = folder.sync_all();
    }
}

fn io_error(path: &Path, error: io::Error) -> DeadLetterError {
    DeadLetterError::Io { path: Some(path.to_owned()), error }
}

/// What [`Lines`] needs of a file.
trait Disk: Write + Seek {
    fn cut(&mut self, len: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Whole lines at the end of a file, or none.
struct Lines<D> {
    disk: D,
    /// The length up to which the file holds whole lines.
    good: u64,
    /// Whether there may be something beyond.
    dirty: bool,
}

impl<D: Disk> Lines<D> {
    fn resume(mut disk: D) -> io::Result<Self>
    where
        D: Read,
    {
        let good = disk.seek(SeekFrom::End(0))?;
        let mut lines = Self { disk, good, dirty: false };
        if good > 0 {
            let mut last = [0];
            lines.disk.seek(SeekFrom::Start(good - 1))?;
            lines.disk.read_exact(&mut last)?;
            if last != *b"\n" {
                lines.append(b"\n", true)?;
            }
        }
        Ok(lines)
    }

    fn append(&mut self, text: &[u8], fsync: bool) -> io::Result<()> {
        // Others may have emptied the file: beyond its end would be a hole.
        self.good = self.good.min(self.disk.seek(SeekFrom::End(0))?);
        if self.dirty {
            self.disk.cut(self.good)?;
        }
        self.disk.seek(SeekFrom::Start(self.good))?;
        self.dirty = true;
        let mut write = || {
            self.disk.write_all(text)?;
            if fsync { self.disk.sync() } else { self.disk.flush() }
        };
        if let Err(error) = write() {
            // Where even this fails, it is tried again before the next write.
            self.dirty = self.disk.cut(self.good).is_err();
            return Err(error);
        }
        self.good += text.len() as u64;
        self.dirty = false;
        Ok(())
    }
}

impl<D> fmt::Debug for Lines<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("bytes", &self.good).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use super::*;
    use crate::dead_letter::read_file;
    use crate::dead_letter::tests::letters;

    fn submissions(path: &Path) -> Vec<Result<u64, String>> {
        let read = read_file(path).unwrap();
        read.map(|line| line.map(|l| l.submission()).map_err(|error| error.to_string())).collect()
    }

    #[tokio::test]
    async fn what_is_delivered_is_in_the_file_and_a_second_run_appends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.jsonl");
        for first in [0, 2_000] {
            let open = if first == 0 { FileSink::create } else { FileSink::append };
            let sink = open(&path).unwrap();
            assert!(FileSink::append(&path).is_err(), "a second sink writes the same file");
            let mut offered = letters(first, 2_000).into();
            sink.deliver(&mut offered).await.unwrap();
            sink.close().await;
            assert!(offered.is_empty());
        }
        assert!(FileSink::create(&path).is_err(), "an old file is overwritten");
        assert_eq!(submissions(&path), (0..4_000).map(Ok).collect::<Vec<_>>());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
            assert_eq!(mode & 0o077, 0, "others may read the values");
        }
    }

    #[tokio::test]
    async fn a_line_cut_short_by_a_crash_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.jsonl");
        FileSink::create(&path).unwrap().deliver(&mut letters(0, 3).into()).await.unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 40]).unwrap();
        FileSink::append(&path).unwrap().deliver(&mut letters(3, 1).into()).await.unwrap();
        let read = submissions(&path);
        assert_eq!((&read[..2], &read[3]), (&[Ok(0), Ok(1)][..], &Ok(3)));
        let error = read[2].as_ref().unwrap_err();
        assert!(error.starts_with("dead letters, line 3: it is cut short"), "{error}");
    }

    /// As after a replay, by `: > letters.jsonl`, or as logrotate's `copytruncate` does it.
    #[tokio::test]
    async fn promise_4_a_file_that_is_emptied_under_the_sink_loses_no_later_letter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.jsonl");
        let sink = FileSink::append(&path).unwrap();
        for first in [0, 3] {
            OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
            sink.deliver(&mut letters(first, 3).into()).await.unwrap();
            assert_eq!(submissions(&path), (first..first + 3).map(Ok).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn promise_10_what_the_server_said_is_written_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for (asked, expected) in [(false, 1), (true, 2)] {
            let path = folder.path().join(asked.to_string());
            let mut sink = FileSink::create(&path).unwrap().with_fsync(false);
            if asked {
                sink = sink.with_server_messages();
            }
            sink.deliver(&mut letters(0, 1).into()).await.unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text.matches("canary-7f3a").count(), expected);
            let letter = read_file(&path).unwrap().next().unwrap().unwrap();
            assert_eq!(letter.error().error().server_message().is_some(), asked);
        }
    }

    /// A disk with room for so many bytes, which may also fail to cut.
    struct Small {
        data: Cursor<Vec<u8>>,
        room: usize,
        cuts: bool,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.room.saturating_sub(self.data.position() as usize);
            match room.min(bytes.len()) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                count => self.data.write(&bytes[..count]),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Small {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.data.seek(to)
        }
    }

    impl Disk for Small {
        fn cut(&mut self, len: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(io::ErrorKind::Other.into());
            }
            self.data.get_mut().truncate(len as usize);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_and_none_twice() {
        for cuts in [true, false] {
            let disk = Small { data: Cursor::default(), room: 10, cuts };
            let mut lines = Lines { disk, good: 0, dirty: false };
            lines.append(b"one\n", true).unwrap();
            lines.append(b"two and three\n", true).unwrap_err();
            assert_eq!(lines.disk.data.get_ref() == b"one\n", cuts);
            lines.append(b"two and three\n", true).unwrap_err();
            lines.disk.room = 100;
            lines.disk.cuts = true;
            lines.append(b"two\n", true).unwrap();
            assert_eq!(lines.disk.data.get_ref(), b"one\ntwo\n");
        }
    }
}
