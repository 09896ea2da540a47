//! Promises 2 and 8 over the whole stack: whatever a driver does, and whenever, no verdict lies.

use std::collections::HashSet;

use super::*;
use crate::executor::{RetryPolicy, Slots, StackConfig, standard};

/// What the table holds: how often each row was applied.
type Table = Arc<Mutex<Vec<u32>>>;

/// A server that fails in every way there is, by a seed.
struct Chaos {
    table: Table,
    bad: HashSet<i64>,
    settles: bool,
    rng: Mutex<fastrand::Rng>,
    /// Ends all trouble, so that some schedules end well.
    calm_after: Instant,
}

/// A commit on the server; a token is one.
type Commit = Arc<Mutex<Settled>>;

impl Chaos {
    fn apply(table: &Table, ids: &[i64]) {
        let mut table = table.lock().unwrap();
        for &id in ids {
            table[usize::try_from(id).unwrap()] += 1;
        }
    }

    /// Records a token, if the driver settles, and applies the rows unless it was cancelled.
    fn commit(&self, ids: &[i64], attempt: &Attempt) -> bool {
        let commit = Commit::new(Mutex::new(Settled::Running));
        if self.settles {
            attempt.record(CommitToken::new(Arc::clone(&commit)));
        }
        let goes_on = !attempt.is_cancelled();
        if goes_on {
            Self::apply(&self.table, ids);
        }
        *commit.lock().unwrap() = if goes_on { Settled::Committed } else { Settled::NotApplied };
        goes_on
    }

    async fn write(self: Arc<Self>, batch: Batch, attempt: Attempt) -> Written {
        let ids = ids(&batch);
        let lost = || error(ErrorKind::Connection).outcome_unknown();
        let (trouble, delay) = {
            let mut rng = self.rng.lock().unwrap();
            (rng.u32(0..16), Duration::from_millis(rng.u64(0..40_000)))
        };
        let trouble = if Instant::now() > self.calm_after { 0 } else { trouble };
        match trouble {
            1 => return Err(error(ErrorKind::Deadlock)),
            2 => {
                // The request is lost, or the answer to the commit.
                let _committed = delay.as_millis() % 2 == 0 && self.commit(&ids, &attempt);
                return Err(lost());
            }
            3 => {
                attempt.cancelled().await;
                return Err(error(ErrorKind::Cancelled));
            }
            4 => return std::future::pending().await,
            5 => panic!("before"),
            6 => {
                self.commit(&ids, &attempt);
                panic!("after");
            }
            7 => {
                // An orphan: it goes on by itself, whatever becomes of the future.
                let commit = Commit::new(Mutex::new(Settled::Running));
                if self.settles {
                    attempt.record(CommitToken::new(Arc::clone(&commit)));
                }
                let table = Arc::clone(&self.table);
                tokio::spawn(async move {
                    tokio::time::sleep(delay * 5).await;
                    let mut settled = commit.lock().unwrap();
                    Self::apply(&table, &ids);
                    *settled = Settled::Committed;
                });
                return Err(error(ErrorKind::Connection).still_running());
            }
            8 => {
                // A thread that only begins after the future was dropped.
                tokio::spawn({
                    let (chaos, attempt, ids) = (Arc::clone(&self), attempt.clone(), ids.clone());
                    async move {
                        attempt.cancelled().await;
                        tokio::time::sleep(delay).await;
                        chaos.commit(&ids, &attempt);
                    }
                });
                return std::future::pending().await;
            }
            9 if batch.len() > 1 => return Err(error(ErrorKind::TooLarge)),
            10 if !self.settles => {
                let even = |at| at % 2 == 0;
                let written: Vec<_> =
                    (0..ids.len()).filter(|&at| even(at)).map(|at| ids[at]).collect();
                if !written.iter().any(|id| self.bad.contains(id)) {
                    Self::apply(&self.table, &written);
                    let verdict = |at| {
                        let failed = || error(ErrorKind::Connection);
                        if even(at) { Verdict::Written } else { Verdict::NotApplied(failed()) }
                    };
                    return Ok(Report::each((0..ids.len()).map(verdict).collect()));
                }
            }
            11 if delay < secs(4) => return Err(error(ErrorKind::Permission)),
            12 => tokio::time::sleep(delay).await,
            _ => {}
        }
        let blame = ids.iter().position(|id| self.bad.contains(id));
        if let Some(at) = blame {
            let error = error(ErrorKind::Constraint);
            return Err(if delay < secs(20) { error.with_blame([at]) } else { error });
        }
        if self.commit(&ids, &attempt) { Ok(Report::all()) } else { Err(lost()) }
    }
}

async fn check(seed: u64) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = rng.i64(1..24);
    let batch = match rng.u32(0..4) {
        0 => batch_under(ConflictStrategy::Fail, rows),
        1 => adding(rows),
        2 => batch_under(ConflictStrategy::Replace, rows),
        _ => batch(rows),
    };
    let chaos = Arc::new(Chaos {
        table: Arc::new(Mutex::new(vec![0; usize::try_from(rows).unwrap()])),
        bad: (0..rows).filter(|_| rng.u32(0..8) == 0).collect(),
        settles: rng.bool(),
        calm_after: Instant::now() + secs(rng.u64(0..400)),
        rng: Mutex::new(rng.fork()),
    });
    let driver = Settling { inner: chaos.clone() };
    let config =
        StackConfig { retry: RetryPolicy::default().seed(seed), ..StackConfig::new(Slots::new(1)) };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let stop_after = (rng.u32(0..4) == 0).then(|| secs(rng.u64(0..100)));
    tokio::spawn(async move {
        match stop_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
        stop.send_replace(true);
        std::future::pending::<()>().await;
    });

    let start = Instant::now();
    let stack = standard(Arc::new(driver), config);
    let report = stack.execute(batch.clone(), &Attempt::with_parent(Some(stopped))).await;
    // The time of the rows, then one attempt for each step of a search.
    let most = secs(300) + secs(40) * (4 * batch.len() as u32 + 4);
    assert!(start.elapsed() < most, "took {:?}", start.elapsed());

    tokio::time::sleep(secs(1_000)).await;
    let table = chaos.table.lock().unwrap().clone();
    let words = words(&report, batch.len());
    for (row, (word, times)) in words.iter().zip(&table).enumerate() {
        let what = format!("seed {seed}, row {row}: {word}, applied {times} times");
        match word.split(' ').next() {
            Some("written") => assert!(*times >= 1, "{what}"),
            Some("rejected" | "not_applied") => assert_eq!(*times, 0, "{what}"),
            Some("unknown") => {}
            _ => panic!("{what}"),
        }
        assert!(batch.is_idempotent() || *times <= 1, "{what}");
    }
    words
}

/// The driver of the chaos: its tokens are commits.
struct Settling {
    inner: Arc<Chaos>,
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settling")
    }
}

#[async_trait]
impl Driver for Settling {
    fn backend(&self) -> &'static str {
        "chaos"
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::none();
        if self.inner.settles { capabilities.with_settle() } else { capabilities }
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Written {
        Arc::clone(&self.inner).write(batch, attempt.clone()).await
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        if self.inner.rng.lock().unwrap().u32(0..4) == 0 {
            return Err(error(ErrorKind::Connection));
        }
        let commit = token.downcast_ref::<Commit>().unwrap();
        Ok(*commit.lock().unwrap())
    }
}

#[test]
fn promise_2_and_8_no_verdict_lies_and_nothing_is_written_twice_by_mistake() {
    let mut seen = HashSet::new();
    for seed in 0..2_000 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        seen.extend(runtime.block_on(check(seed)));
    }
    for word in ["written", "rejected constraint", "not_applied cancelled", "unknown internal"] {
        assert!(seen.contains(word), "no schedule ends {word}: {seen:?}");
    }
}
