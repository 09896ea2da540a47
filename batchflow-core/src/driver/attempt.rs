//! [`Attempt`]: one try at writing a batch, and what outlives it.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::executor::{Permit, Slots};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One try at writing a batch.
///
/// It tells the driver how long it has and when to stop, and keeps the
/// [`CommitToken`]s that the driver records: they outlive a dropped `write` future, so that the
/// fate of its commit can be asked for.
#[derive(Clone)]
pub struct Attempt {
    id: u64,
    number: u32,
    deadline: Option<Instant>,
    /// A retry does not begin later.
    begins_by: Option<Instant>,
    signals: Arc<Signals>,
}

struct Signals {
    /// Set by whoever runs this attempt.
    own: watch::Sender<bool>,
    /// Set by the flow as a whole.
    parent: Option<watch::Receiver<bool>>,
    tokens: Mutex<Vec<CommitToken>>,
    /// How the driver writes, as it said last.
    way: Mutex<Option<(&'static str, u64)>>,
    /// What the attempts at one batch share.
    common: Arc<Common>,
    /// When the rows are given up; set by the first send, inherited by every further attempt.
    give_up: OnceLock<Instant>,
    /// A slot that the flow took for the first send.
    permit: Mutex<Option<Permit>>,
}

/// What the attempts at one batch share, at all of it or at parts.
#[derive(Default)]
struct Common {
    /// By which table the rows are written, as the driver said last.
    table: Mutex<Option<u64>>,
    /// How many attempts were handed to their driver.
    sent: AtomicU32,
}

impl Attempt {
    /// A first attempt without a deadline, for calling a driver or an executor by hand.
    pub fn new() -> Self {
        Self::with_parent(None)
    }

    /// A first attempt that is cancelled when `parent` turns true.
    pub(crate) fn with_parent(parent: Option<watch::Receiver<bool>>) -> Self {
        Self::begin(parent, Arc::default())
    }

    fn begin(parent: Option<watch::Receiver<bool>>, common: Arc<Common>) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            number: 1,
            deadline: None,
            begins_by: None,
            signals: Arc::new(Signals {
                own: watch::Sender::new(false),
                parent,
                tokens: Mutex::default(),
                way: Mutex::default(),
                common,
                give_up: OnceLock::new(),
                permit: Mutex::default(),
            }),
        }
    }

    /// The same attempt, with the slot it is to be sent with.
    pub(crate) fn with_permit(self, permit: Permit) -> Self {
        *self.signals.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        self
    }

    /// The slot that was taken for this attempt, if it is one of these; once.
    pub(crate) fn take_permit(&self, slots: &Arc<Slots>) -> Option<Permit> {
        let mut permit = self.signals.permit.lock().unwrap_or_else(PoisonError::into_inner);
        permit.take_if(|permit| permit.is_of(slots))
    }

    /// The attempt is handed to its driver.
    pub(crate) fn count(&self) {
        self.signals.common.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// How many attempts at the batch were handed to their driver, at all of it or at parts.
    pub(crate) fn sent(&self) -> u32 {
        self.signals.common.sent.load(Ordering::Relaxed)
    }

    /// The next attempt at the same rows: a new id, the next number, no tokens.
    pub(crate) fn next(&self) -> Self {
        let common = Arc::clone(&self.signals.common);
        let mut next = Self::begin(self.signals.parent.clone(), common);
        next.number = self.number.saturating_add(1);
        match self.signals.give_up.get() {
            Some(&give_up) => next.with_give_up(give_up),
            None => next,
        }
    }

    /// The same attempt with a deadline.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
        self
    }

    /// The same attempt with a time after which its rows are given up, unless it has one.
    pub(crate) fn with_give_up(self, give_up: Instant) -> Self {
        self.give_up_at(|| give_up);
        self
    }

    /// When the rows are given up. The first to ask decides, also for the attempts that follow.
    pub(crate) fn give_up_at(&self, decide: impl FnOnce() -> Instant) -> Instant {
        *self.signals.give_up.get_or_init(decide)
    }

    /// The same attempt, which is not begun after `latest`. Those that follow it may be.
    pub(crate) fn with_begins_by(mut self, latest: Instant) -> Self {
        self.begins_by = Some(latest);
        self
    }

    /// When the attempt begins at the latest.
    pub(crate) fn begins_by(&self) -> Option<Instant> {
        self.begins_by
    }

    /// A number that no other attempt of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// 1 for the first try at these rows, 2 for the second, and so on.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// When the attempt must have ended. Give the server a deadline a little before it.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Waits until the attempt is cancelled: its deadline is over, or the flow stops. A driver
    /// then ends what it does on the server, sees it ended, and returns.
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) {
        let mut own = self.signals.own.subscribe();
        let mut parent = self.signals.parent.clone();
        let from_parent = async {
            match &mut parent {
                Some(parent) => wait(parent).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = wait(&mut own) => {}
            () = from_parent => {}
        }
    }

    /// Whether the attempt has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.signals.own.borrow() || self.is_stopped()
    }

    /// Whether the flow as a whole has been told to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.signals.parent.as_ref().is_some_and(|parent| *parent.borrow())
    }

    /// Cancels this attempt.
    pub fn cancel(&self) {
        self.signals.own.send_replace(true);
    }

    /// Records how to ask for the fate of this attempt's commit.
    ///
    /// A driver that declares [`settle`](crate::Capabilities::with_settle) records its token
    /// **before** anything that the attempt writes can become durable: where there is no token,
    /// nothing was applied. It records one token for all of an attempt's rows; of several, all
    /// must have had the same fate for it to count.
    ///
    /// A driver whose work can outlive the `write` future, on a thread of its own, asks
    /// [`is_cancelled`](Self::is_cancelled) after recording, and commits only if it is not.
    pub fn record(&self, token: CommitToken) {
        let mut tokens = self.signals.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.push(token);
    }

    /// Tells metrics how the attempt writes, before it does: the way, where the driver has several
    /// (`"copy"`, `"unnest"`), and the [fingerprint](crate::fingerprint) of its main statement. Said
    /// again, the last word counts. No value stands in either.
    pub fn writes_by(&self, way: &'static str, fingerprint: u64) {
        let mut noted = self.signals.way.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some((way, fingerprint));
    }

    /// How the attempt writes, if its driver said so.
    pub fn way(&self) -> Option<&'static str> {
        self.noted().map(|(way, _)| way)
    }

    /// The fingerprint of the attempt's main statement, if its driver said so.
    pub fn fingerprint(&self) -> Option<u64> {
        self.noted().map(|(_, fingerprint)| fingerprint)
    }

    fn noted(&self) -> Option<(&'static str, u64)> {
        *self.signals.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells by which table the attempt writes: the [fingerprint](crate::TableInfo::fingerprint) of
    /// what the driver knows of it now. Whoever sends the rows has the table
    /// [described](crate::Driver::describe) again before the next where it was described otherwise.
    /// Said in each attempt, whatever becomes of it; said again, the last word counts.
    pub fn note_table(&self, fingerprint: u64) {
        *self.signals.common.table.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(fingerprint);
    }

    /// By which table the batch is written, if its driver said so, in this attempt or in one before
    /// it.
    pub fn table(&self) -> Option<u64> {
        *self.signals.common.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tokens recorded so far.
    pub fn tokens(&self) -> Vec<CommitToken> {
        let tokens = self.signals.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.clone()
    }
}

/// Waits for `true`; a sender that is gone will never send it.
async fn wait(signal: &mut watch::Receiver<bool>) {
    if signal.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Default for Attempt {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("id", &self.id)
            .field("number", &self.number)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A driver's own note of how to ask for the fate of a commit: a transaction id, a ledger's key.
///
/// ```
/// use batchflow_core::CommitToken;
///
/// let token = CommitToken::new(4711_u64);
/// assert_eq!(token.downcast_ref::<u64>(), Some(&4711));
/// ```
#[derive(Clone)]
pub struct CommitToken(Arc<dyn Any + Send + Sync>);

impl CommitToken {
    /// Wraps whatever the driver needs to ask.
    pub fn new<T: Any + Send + Sync>(note: T) -> Self {
        Self(Arc::new(note))
    }

    /// The note, if it is a `T`.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for CommitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitToken(..)")
    }
}

/// What became of a commit whose answer never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settled {
    /// It was applied.
    Committed,
    /// It ended and was not applied, and never will be.
    NotApplied,
    /// It has not ended yet: ask again.
    Running,
    /// It has ended, and nobody can tell whether it was applied.
    Unknown,
}
