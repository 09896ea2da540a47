//! [`FaultDriver`]: any driver, with faults on order.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::batch::Batch;
use crate::driver::{
    Applied, Attempt, Capabilities, CommitToken, Driver, ErrorKind, Preview, Report, Settled,
    ShowValues, Stage, TableInfo, Verdict, WriteError,
};
use crate::request::Request;
use crate::schema::Schema;

use super::fault::{Blame, Fault, Refusal};
use super::random::RandomFaults;

/// Any driver, with faults on order: attempts that fail, hang, lose their answer, commit late or
/// panic, and rows that are refused.
///
/// Faults come from a script, one an attempt; when the script is used up, from the rule given to
/// [`each`](Self::each) or [`random`](Self::random); without either, attempts pass.
///
/// ```
/// use batchflow_core::testing::{Fault, FaultDriver, MemoryDriver};
/// use batchflow_core::{Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Schema};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = FaultDriver::new(MemoryDriver::new());
/// driver.script([Fault::fail(ErrorKind::Deadlock)]);
///
/// let logs = Schema::new("logs", ConflictStrategy::Ignore, ["id", "line"])?;
/// let batch = Batch::from_requests(vec![logs.row((1_i64, "a"))?])?;
/// let first = driver.write(batch.clone(), &Attempt::new()).await;
/// assert_eq!(first.unwrap_err().kind(), ErrorKind::Deadlock);
/// assert!(driver.write(batch, &Attempt::new()).await.is_ok());
/// assert_eq!(driver.inner().len("logs"), 1);
/// # Ok(())
/// # }
/// ```
pub struct FaultDriver<D> {
    inner: Arc<D>,
    settles: bool,
    shared: Arc<Mutex<Shared>>,
}

type Rule = Box<dyn FnMut(&Batch, &Attempt) -> Fault + Send>;

#[derive(Default)]
struct Shared {
    script: VecDeque<Fault>,
    settle_script: VecDeque<WriteError>,
    describe_script: VecDeque<WriteError>,
    rule: Option<Rule>,
    refusals: Vec<Refusal>,
    too_large_above: Option<usize>,
    faults: usize,
    next_commit: u64,
    commits: HashMap<u64, Settled>,
}

/// What a settling [`FaultDriver`] records for an attempt.
#[derive(Debug)]
struct Commit(u64);

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Driver> FaultDriver<D> {
    /// A driver whose attempts all pass until faults are ordered.
    pub fn new(inner: D) -> Self {
        Self { inner: Arc::new(inner), settles: false, shared: Arc::default() }
    }

    /// Declares that the driver settles: every attempt records a token, and
    /// [`settle`](Driver::settle) answers truthfully. Left out, it does not settle, even if the
    /// driver within does: that one knows nothing of the faults.
    #[must_use]
    pub fn settling(mut self) -> Self {
        self.settles = true;
        self
    }

    /// Adds faults for the next attempts, one each, in the order the attempts begin.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared).script.extend(faults);
    }

    /// The next calls of [`settle`](Driver::settle) fail with these errors.
    pub fn script_settle(&self, errors: impl IntoIterator<Item = WriteError>) {
        lock(&self.shared).settle_script.extend(errors);
    }

    /// The next calls of [`describe`](Driver::describe) fail with these errors.
    pub fn script_describe(&self, errors: impl IntoIterator<Item = WriteError>) {
        lock(&self.shared).describe_script.extend(errors);
    }

    /// Decides over every attempt that the script leaves.
    pub fn each(&self, rule: impl FnMut(&Batch, &Attempt) -> Fault + Send + 'static) {
        lock(&self.shared).rule = Some(Box::new(rule));
    }

    /// Draws the fault of every attempt that the script leaves.
    pub fn random(&self, mut faults: RandomFaults) {
        self.each(move |_, _| faults.draw());
    }

    /// From now on all attempts pass, but for [refused](Self::refuse) rows and
    /// [large](Self::too_large_above) batches.
    pub fn heal(&self) {
        let mut shared = lock(&self.shared);
        shared.script.clear();
        shared.settle_script.clear();
        shared.describe_script.clear();
        shared.rule = None;
    }

    /// Refuses a batch that holds a row for which `refuses` is true, with this error, and blames
    /// as told.
    pub fn refuse(
        &self,
        error: impl Into<WriteError>,
        blame: Blame,
        refuses: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) {
        let refusal = Refusal { refuses: Arc::new(refuses), error: error.into(), blame };
        lock(&self.shared).refusals.push(refusal);
    }

    /// Refuses batches of more than `rows` rows as too large.
    pub fn too_large_above(&self, rows: usize) {
        lock(&self.shared).too_large_above = Some(rows);
    }

    /// The driver within.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// How many attempts met a fault, refused rows and large batches not counted.
    pub fn faults(&self) -> usize {
        lock(&self.shared).faults
    }

    fn next_fault(&self, batch: &Batch, attempt: &Attempt) -> Fault {
        let mut shared = lock(&self.shared);
        let scripted = shared.script.pop_front();
        let fault = scripted.or_else(|| shared.rule.as_mut().map(|rule| rule(batch, attempt)));
        let fault = fault.unwrap_or(Fault::Pass);
        shared.faults += usize::from(!matches!(fault, Fault::Pass));
        fault
    }

    /// Records a token whose fate follows the attempt's.
    fn begin(&self, attempt: &Attempt) -> Ending {
        let mut shared = lock(&self.shared);
        let commit = shared.next_commit;
        shared.next_commit += 1;
        if self.settles {
            shared.commits.insert(commit, Settled::Running);
            attempt.record(CommitToken::new(Commit(commit)));
        }
        Ending { commit, shared: Arc::clone(&self.shared), ended: Settled::NotApplied }
    }

    async fn run(
        &self,
        fault: Fault,
        batch: Batch,
        attempt: &Attempt,
        mut ending: Ending,
    ) -> Result<Report, WriteError> {
        let mut fault = fault;
        while let Fault::Delay(delay, then) = fault {
            tokio::select! {
                biased;
                () = tokio::time::sleep(delay) => {}
                () = attempt.cancelled() => return Err(ErrorKind::Cancelled.into()),
            }
            fault = *then;
        }
        match fault {
            Fault::Fail(error) => return Err(error),
            Fault::LoseRequest(error) => return Err(error.outcome_unknown()),
            Fault::Panic => injected_panic(),
            Fault::Hang => {
                attempt.cancelled().await;
                return Err(ErrorKind::Cancelled.into());
            }
            Fault::Orphan { commit_after } => {
                self.abandon(batch, commit_after, ending);
                return std::future::pending().await;
            }
            Fault::Wait(ref gate) => tokio::select! {
                biased;
                () = gate.passed() => {}
                () = attempt.cancelled() => return Err(ErrorKind::Cancelled.into()),
            },
            Fault::Partial(error) => {
                ending.ended = Settled::Unknown;
                return self.partial(&batch, attempt, error).await;
            }
            _ => {}
        }
        let len = batch.len();
        ending.ended = Settled::Unknown;
        let written = write(&*self.inner, &self.shared, batch, attempt, self.settles).await;
        ending.ended = fate(&written);
        match fault {
            Fault::LoseAnswer(error) => written.and(Err(error.outcome_unknown())),
            Fault::PanicAfter => injected_panic(),
            Fault::ShortReport => written.map(|report| {
                let mut verdicts = report.into_verdicts(len);
                verdicts.pop();
                Report::each(verdicts)
            }),
            _ => written,
        }
    }

    /// Leaves the batch to a task of its own that nobody can stop.
    fn abandon(&self, batch: Batch, commit_after: Option<Duration>, mut ending: Ending) {
        let (inner, shared) = (Arc::clone(&self.inner), Arc::clone(&self.shared));
        let settles = self.settles;
        let Some(delay) = commit_after else {
            ending.ended = Settled::Running;
            return;
        };
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let written = write(&*inner, &shared, batch, &Attempt::new(), settles).await;
            ending.end(fate(&written));
        });
    }

    async fn partial(
        &self,
        batch: &Batch,
        attempt: &Attempt,
        error: WriteError,
    ) -> Result<Report, WriteError> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for row in 0..batch.len() {
            let one = batch.pick(&[row]);
            verdicts.push(if row % 2 == 1 {
                Verdict::NotApplied(error.clone())
            } else {
                match write(&*self.inner, &self.shared, one, attempt, self.settles).await {
                    Ok(_) => Verdict::Written,
                    Err(error) if error.applied() == Applied::Nothing => Verdict::NotApplied(error),
                    Err(error) => Verdict::Unknown(error),
                }
            });
        }
        Ok(Report::each(verdicts))
    }
}

/// Writes to the driver within, unless a row is refused or there are too many.
async fn write<D: Driver>(
    inner: &D,
    shared: &Mutex<Shared>,
    batch: Batch,
    attempt: &Attempt,
    settles: bool,
) -> Result<Report, WriteError> {
    if let Some(error) = refused(&lock(shared), &batch) {
        return Err(error);
    }
    if !settles {
        return inner.write(batch, attempt).await;
    }
    // The inner driver's tokens must not mix with ours.
    let own = Attempt::new();
    let own = match attempt.deadline() {
        Some(deadline) => own.with_deadline(deadline),
        None => own,
    };
    let pass_on_cancel = async {
        attempt.cancelled().await;
        own.cancel();
        std::future::pending().await
    };
    tokio::select! {
        biased;
        written = inner.write(batch, &own) => written,
        never = pass_on_cancel => never,
    }
}

fn fate(written: &Result<Report, WriteError>) -> Settled {
    match written {
        Ok(_) => Settled::Committed,
        Err(error) if error.applied() == Applied::Nothing => Settled::NotApplied,
        Err(_) => Settled::Unknown,
    }
}

fn refused(shared: &Shared, batch: &Batch) -> Option<WriteError> {
    if shared.too_large_above.is_some_and(|rows| batch.len() > rows) {
        return Some(ErrorKind::TooLarge.into());
    }
    for refusal in &shared.refusals {
        let (bad, good): (Vec<_>, Vec<_>) = batch
            .requests()
            .map(|request| (refusal.refuses)(request))
            .enumerate()
            .partition(|(_, refused)| *refused);
        let Some(&(first, _)) = bad.first() else { continue };
        let error = refusal.error.clone();
        return Some(match refusal.blame {
            Blame::Nobody => error,
            Blame::First => error.with_blame([first]),
            Blame::Every => error.with_blame(bad.iter().map(|(row, _)| *row)),
            Blame::Wrong => error.with_blame(good.first().map(|(row, _)| *row)),
        });
    }
    None
}

#[allow(clippy::panic)] // Panicking on order is what it is for.
fn injected_panic() -> ! {
    panic!("a panic that the test ordered")
}

/// Notes how an attempt ended, also when its future is dropped or it panics.
struct Ending {
    commit: u64,
    shared: Arc<Mutex<Shared>>,
    ended: Settled,
}

impl Ending {
    fn end(mut self, settled: Settled) {
        self.ended = settled;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(settled) = lock(&self.shared).commits.get_mut(&self.commit) {
            *settled = self.ended;
        }
    }
}

#[async_trait]
impl<D: Driver> Driver for FaultDriver<D> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        if self.settles { inner.with_settle() } else { inner.without_settle() }
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        let ending = self.begin(attempt);
        let fault = self.next_fault(&batch, attempt);
        self.run(fault, batch, attempt, ending).await
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        let scripted = lock(&self.shared).describe_script.pop_front();
        match scripted {
            Some(error) => Err(error.at(Stage::Describe)),
            None => self.inner.describe(schema).await,
        }
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        let mut shared = lock(&self.shared);
        if let Some(error) = shared.settle_script.pop_front() {
            return Err(error.at(Stage::Settle));
        }
        let commit = token.downcast_ref::<Commit>();
        let settled = commit.and_then(|Commit(id)| shared.commits.get(id).copied());
        Ok(settled.unwrap_or(Settled::Unknown))
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        self.inner.preview(batch, values).await
    }

    async fn close(&self) {
        (*self.inner).close().await;
    }
}

impl<D: fmt::Debug> fmt::Debug for FaultDriver<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultDriver").field("inner", &self.inner).finish_non_exhaustive()
    }
}
