//! [`History`]: what was submitted, when, and what became of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::ErrorKind;
use crate::outcome::{Outcome, RowError};
use crate::request::Request;
use crate::testing::Table;
use crate::value::Value;

use super::judge;
use super::show::describe;

/// What was submitted, when, and what became of it. A clone is the same history.
///
/// A test logs each submit before it begins and after it returned, and each verdict. The history
/// is then judged against the table: [`check_verdicts`](Self::check_verdicts) for promises 1 and
/// 2, [`check_table`](Self::check_table) for promises 3 and 5.
///
/// ```
/// use batchflow_core::conformance::{Fate, History};
/// use batchflow_core::testing::Table;
/// use batchflow_core::{ConflictStrategy, Schema, Value};
///
/// let users = Schema::new("users", ConflictStrategy::Update, ["id", "name"])?;
/// let history = History::new();
/// for name in ["Ada", "Eve"] {
///     let entry = history.begin(&users.row((1_i64, name))?);
///     history.queued(entry, None);
///     history.settled(entry, Fate::Written);
/// }
/// let ada = [vec![Value::I64(1), Value::from("Ada")]];
/// let violation = history.check_table(&Table::of(&users), &ada).unwrap_err();
/// assert!(violation.to_string().contains("no order"), "Eve came later: {violation}");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    clock: u64,
    entries: Vec<Entry>,
    doubled: Vec<usize>,
}

/// One submit, in a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(usize);

/// What became of a submitted row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It was written.
    Written,
    /// Another row stood for it, and that was written.
    Superseded,
    /// It was written or superseded: nobody looked which.
    Applied,
    /// The database refused it.
    Rejected(ErrorKind),
    /// It was surely not applied.
    NotSent,
    /// It may have been applied before its verdict came.
    Unknown,
    /// Its attempt was still running: it may be applied at any time.
    StillRunning,
    /// It was handed back.
    Returned,
    /// The flow was told to drop it. It may have been in flight.
    Abandoned,
}

impl From<&Result<Outcome, RowError>> for Fate {
    fn from(verdict: &Result<Outcome, RowError>) -> Self {
        match verdict {
            Ok(Outcome::Written) => Self::Written,
            Ok(Outcome::Superseded) => Self::Superseded,
            Err(RowError::Rejected(error)) => Self::Rejected(error.kind()),
            Err(RowError::NotSent(_)) => Self::NotSent,
            Err(RowError::Unknown(error)) if error.is_still_running() => Self::StillRunning,
            Err(RowError::Unknown(_)) => Self::Unknown,
        }
    }
}

/// One submit as the judge sees it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) request: Request,
    pub(super) submission: Option<u64>,
    pub(super) began: u64,
    /// When `submit` returned that the row is queued; `None` where it is not.
    pub(super) queued: Option<u64>,
    pub(super) fate: Option<Fate>,
}

/// How a history breaks a promise, with the events that show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation {
    text: String,
    undecided: bool,
}

impl Violation {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), undecided: false }
    }

    pub(super) fn undecided(text: impl Into<String>) -> Self {
        Self { text: text.into(), undecided: true }
    }

    /// Whether no promise was seen broken, but too much is in doubt to say that none is.
    pub fn is_undecided(&self) -> bool {
        self.undecided
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As [`Display`](fmt::Display): what a failed `unwrap` prints is read by people.
impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Violation {}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// A submit begins.
    pub fn begin(&self, request: &Request) -> EntryId {
        let mut log = self.log();
        let began = log.tick();
        let request = request.clone();
        log.entries.push(Entry { request, submission: None, began, queued: None, fate: None });
        EntryId(log.entries.len() - 1)
    }

    /// The submit returned: the row is queued, under this submission number if it was told.
    ///
    /// A submit that failed or whose future was dropped is logged no further: its row must not be
    /// applied.
    pub fn queued(&self, entry: EntryId, submission: Option<u64>) {
        let mut log = self.log();
        let now = log.tick();
        let entry = &mut log.entries[entry.0];
        entry.submission = submission;
        entry.queued = Some(now);
    }

    /// The row's verdict came.
    pub fn settled(&self, entry: EntryId, fate: impl Into<Fate>) {
        let mut log = self.log();
        log.tick();
        if log.entries[entry.0].fate.replace(fate.into()).is_some() {
            log.doubled.push(entry.0);
        }
    }

    /// Gives every queued row that has no verdict yet this one; for rows that nobody tracked.
    pub fn settle_rest(&self, fate: Fate) {
        for entry in &mut self.log().entries {
            if entry.queued.is_some() && entry.fate.is_none() {
                entry.fate = Some(fate);
            }
        }
    }

    /// What became of one row, if it is known.
    pub fn fate(&self, entry: EntryId) -> Option<Fate> {
        self.log().entries[entry.0].fate
    }

    /// How many rows were queued.
    pub fn queued_rows(&self) -> usize {
        self.log().entries.iter().filter(|entry| entry.queued.is_some()).count()
    }

    /// How many queued rows have a fate that `counts`.
    pub fn count(&self, counts: impl Fn(Fate) -> bool) -> usize {
        let log = self.log();
        let queued = log.entries.iter().filter(|entry| entry.queued.is_some());
        queued.filter(|entry| entry.fate.is_some_and(&counts)).count()
    }

    /// Every queued row, with its fate if it has one.
    pub fn fates(&self) -> Vec<(Request, Option<Fate>)> {
        let log = self.log();
        let queued = log.entries.iter().filter(|entry| entry.queued.is_some());
        queued.map(|entry| (entry.request.clone(), entry.fate)).collect()
    }

    /// Checks that every queued row has one verdict, that no other row has any, and that
    /// submission numbers follow the order of the submits.
    pub fn check_verdicts(&self) -> Result<(), Violation> {
        let log = self.log();
        if let Some(&twice) = log.doubled.first() {
            let shown = describe(twice, &log.entries[twice]);
            return Err(Violation::new(format!("promise 2: two verdicts for one row\n{shown}")));
        }
        for (at, entry) in log.entries.iter().enumerate() {
            let shown = || describe(at, entry);
            match (entry.queued, entry.fate) {
                (Some(_), None) => {
                    return Err(Violation::new(format!("promise 2: no verdict came\n{}", shown())));
                }
                (None, Some(_)) => {
                    let why = "promise 7: a verdict for a row that was never queued";
                    return Err(Violation::new(format!("{why}\n{}", shown())));
                }
                _ => {}
            }
        }
        judge::check_numbers(&log.entries)
    }

    /// Checks that some order of the rows that were applied explains the table: an order that
    /// keeps one row before another of its schema where its submit returned before the other's
    /// began.
    pub fn check_table(&self, table: &Table, rows: &[Vec<Value>]) -> Result<(), Violation> {
        judge::check_table(&self.log().entries, table, rows)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}
