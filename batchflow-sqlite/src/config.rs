//! [`SqliteConfig`]: how a database file is opened.

use std::time::Duration;

/// How SQLite keeps a transaction whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JournalMode {
    /// A write-ahead log: readers and the writer do not block one another.
    #[default]
    Wal,
    /// A rollback journal, deleted after each transaction.
    Delete,
    /// A rollback journal, cut to nothing after each transaction.
    Truncate,
    /// A rollback journal that stays, its header zeroed.
    Persist,
    /// A rollback journal in memory: a crash while writing may destroy the file.
    Memory,
    /// Whatever the file has.
    Keep,
}

/// How surely a commit is on the disk when it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Synchronous {
    /// Like [`Full`](Self::Full), and the folder is synced after a journal is deleted.
    Extra,
    /// Every commit is on the disk: `Written` survives a power cut.
    #[default]
    Full,
    /// In WAL mode a power cut may take back the last commits; a crash of the process does not.
    Normal,
    /// Left to the operating system: a power cut may destroy the file.
    Off,
}

impl JournalMode {
    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Wal => Some("wal"),
            Self::Delete => Some("delete"),
            Self::Truncate => Some("truncate"),
            Self::Persist => Some("persist"),
            Self::Memory => Some("memory"),
            Self::Keep => None,
        }
    }
}

impl Synchronous {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Extra => "extra",
            Self::Full => "full",
            Self::Normal => "normal",
            Self::Off => "off",
        }
    }
}

/// How [`SqliteDriver::open_with`](crate::SqliteDriver::open_with) opens a database file.
///
/// ```
/// use std::time::Duration;
///
/// use batchflow_sqlite::{SqliteConfig, Synchronous};
///
/// let config = SqliteConfig::new()
///     .synchronous(Synchronous::Normal)
///     .busy_timeout(Duration::from_secs(5))
///     .cache_bytes(64 << 20);
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteConfig {
    pub(crate) journal_mode: JournalMode,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) create: bool,
    pub(crate) foreign_keys: bool,
    pub(crate) cache_bytes: Option<u64>,
    pub(crate) wal_autocheckpoint: Option<u32>,
    pub(crate) statement_cache: usize,
    pub(crate) spin: Duration,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            journal_mode: JournalMode::default(),
            synchronous: Synchronous::default(),
            busy_timeout: Duration::from_secs(10),
            create: true,
            foreign_keys: true,
            cache_bytes: None,
            wal_autocheckpoint: None,
            statement_cache: 64,
            spin: Duration::from_micros(500),
        }
    }
}

impl SqliteConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How a transaction is kept whole. Default: [`JournalMode::Wal`].
    pub fn journal_mode(mut self, mode: JournalMode) -> Self {
        self.journal_mode = mode;
        self
    }

    /// How surely a commit is on the disk. Default: [`Synchronous::Full`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How long an attempt waits for a lock that another connection holds, before it ends as a
    /// `lock_timeout` that may be tried again. It never waits past the attempt's own deadline.
    /// Default: 10 seconds.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Whether a missing file is created. Default: yes.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether foreign keys are enforced. Default: yes.
    pub fn foreign_keys(mut self, enforce: bool) -> Self {
        self.foreign_keys = enforce;
        self
    }

    /// How much of the file is cached in memory, in bytes. Default: SQLite's own, about 2 MB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = Some(bytes);
        self
    }

    /// After how many pages of log the log is copied into the file; 0 for never.
    /// Default: SQLite's own, 1,000.
    pub fn wal_autocheckpoint(mut self, pages: u32) -> Self {
        self.wal_autocheckpoint = Some(pages);
        self
    }

    /// How many prepared statements are kept; a table takes up to three for each set of set
    /// columns. Default: 64.
    pub fn statement_cache(mut self, statements: usize) -> Self {
        self.statement_cache = statements;
        self
    }

    /// How long at most a thread of the runtime stays awake for the answer to a batch of up to 8
    /// rows, while nothing else is ready to run on it. It makes a row that is waited for faster, and
    /// costs the processor as much time as the commit takes. Where commits take longer than this, no
    /// thread stays awake for them. Default: 500 microseconds; zero for never.
    pub fn spin(mut self, limit: Duration) -> Self {
        self.spin = limit;
        self
    }
}
