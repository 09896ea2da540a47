//! [`MysqlDriver`]: the driver's face.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::{
    Attempt, Batch, Capabilities, CommitToken, ConflictStrategy, Deadline, Driver, ErrorClass,
    ErrorKind, Preview, Report, Schema, Settled, ShowValues, Stage, TableInfo, WriteError,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::alone;
use crate::config::{LONGEST_CONNECT, MysqlConfig};
use crate::connect::{self, GivenPool, Source};
use crate::fence::Fences;
use crate::guarded::Guarded;
use crate::ledger::Ledger;
use crate::limit::Limit;
use crate::plan::{Found, Plan, Plans};
use crate::preview::preview;
use crate::server::Known;
use crate::session::Session;
use crate::settle::{Started, settle};
use crate::table::Table;
use crate::transaction::{Ended, Transaction};
use crate::verdict::{self, Next};
use crate::way::{Payload, Way};

/// How long looking up a table may take, once there is a connection.
const LOOK_UP: Duration = Duration::from_secs(30);

/// A table is looked up again for a value that does not fit after this long, not before.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A table that may have got another unique key is looked up again after this long.
const OLD: Duration = Duration::from_secs(60);

/// Writes batches into MySQL and MariaDB, each in one transaction.
///
/// The driver chooses among several [ways](Way) of writing, by the server and the batch, ends on
/// the server what it gives up, and can tell what became of a commit whose answer was lost where it
/// keeps a [ledger](MysqlConfig::ledger). MySQL 8.0, MariaDB 10.5 or newer, with tables that know
/// transactions. A proxy in between must lead each connection to one session of one server.
///
/// ```no_run
/// use batchflow_mysql::{BatchFlow, MysqlDriver};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = MysqlDriver::connect("mysql://app:secret@localhost/app").await?;
/// let flow = BatchFlow::builder(driver).build()?;
/// # let _ = flow;
/// # Ok(())
/// # }
/// ```
pub struct MysqlDriver {
    source: Arc<Source>,
    fences: Fences,
    plans: Plans,
    way: Option<Way>,
    ledger: Option<Ledger>,
    /// Whether the ledger has been found to be one.
    has_ledger: AtomicBool,
    connect_timeout: Duration,
    is_closed: AtomicBool,
}

impl MysqlDriver {
    /// Connects to the server that a [URL](MysqlConfig::from_url) names, with a pool of the
    /// driver's own.
    ///
    /// One connection is opened at once, so that the error says what is wrong with the URL, the
    /// server or the password; the others when they are needed. Cancel safe: a dropped future keeps
    /// no connection.
    pub async fn connect(url: &str) -> Result<Self, WriteError> {
        Self::connect_with(MysqlConfig::from_url(url).map_err(connect::unusable)?).await
    }

    /// Connects as configured, with a pool of the driver's own. Cancel safe, as
    /// [`connect`](Self::connect).
    pub async fn connect_with(config: MysqlConfig) -> Result<Self, WriteError> {
        let mut driver = Self::new(Source::own(&config)?);
        driver.way = config.way;
        driver.ledger = config.ledger.map(Ledger::new);
        driver.connect_timeout = config.connect_timeout;
        let until = Instant::now() + config.connect_timeout;
        let mut session = driver.acquire(until).await?;
        match timeout_at(until, driver.check_ledger(&mut session)).await {
            Ok(checked) => checked?,
            Err(_too_long) => return Err(late()),
        }
        // What the ledger was asked has begun a transaction.
        let left = until.saturating_duration_since(Instant::now());
        Guarded::new(session, &driver.fences).end(None, left).await;
        Ok(driver)
    }

    /// Writes through a pool that may be shared with others, and is never closed by the driver.
    ///
    /// What a batch needs of a session is set as its transaction begins. A pool that resets its
    /// connections, as it does unless told otherwise, puts that right; for one that does not, the
    /// driver does. Beside the pool, up to two connections are opened for a moment, as the pool
    /// opens its own, to end what was given up or to ask what became of a lost commit.
    pub fn from_pool(pool: mysql_async::Pool) -> Self {
        Self::new(Source::Given(Arc::new(GivenPool::new(pool))))
    }

    /// Writes every batch this way; see [`MysqlConfig::way`].
    #[must_use]
    pub fn with_way(mut self, way: Way) -> Self {
        self.way = Some(way);
        self
    }

    /// How long it may take to get a connection. Default: 10 seconds, or as
    /// [configured](MysqlConfig::connect_timeout). A millisecond at least, a day at most.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.clamp(Duration::from_millis(1), LONGEST_CONNECT);
        self
    }

    /// Keeps in this table which batches were committed; see [`MysqlConfig::ledger`].
    #[must_use]
    pub fn with_ledger(mut self, table: impl Into<String>) -> Self {
        self.ledger = Some(Ledger::new(table.into()));
        self.has_ledger = AtomicBool::new(false);
        self
    }

    /// Whether rows may be sent by `LOAD DATA LOCAL INFILE`, from memory, where the server
    /// allows it; see [`MysqlConfig::local_infile`].
    #[must_use]
    pub fn with_local_infile(self, allowed: bool) -> Self {
        self.source.set_local_infile(allowed);
        self
    }

    fn new(source: Source) -> Self {
        let source = Arc::new(source);
        Self {
            fences: Fences::new(Arc::clone(&source)),
            source,
            plans: Plans::default(),
            way: None,
            ledger: None,
            has_ledger: AtomicBool::new(false),
            connect_timeout: Duration::from_secs(10),
            is_closed: AtomicBool::new(false),
        }
    }

    /// A connection by `until`.
    async fn acquire(&self, until: Instant) -> Result<Session, WriteError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(connect::closed());
        }
        match timeout_at(until, self.source.acquire()).await {
            Ok(acquired) => acquired.map_err(|error| error.at(Stage::Connect)),
            Err(_too_long) => {
                let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
                Err(error.with_message("no connection was free or could be opened in time"))
            }
        }
    }

    /// Refuses a ledger that could not tell.
    async fn check_ledger(&self, session: &mut Session) -> Result<(), WriteError> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        if self.has_ledger.load(Ordering::Relaxed) {
            return Ok(());
        }
        ledger.check(session.conn()?).await?;
        self.has_ledger.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Looks a schema's table up, and remembers it. Dropped, it ends what it does on the server.
    async fn look_up(&self, schema: &Schema, deadline: Deadline) -> Result<Found, WriteError> {
        let acquired = self.acquire(deadline.within(self.connect_timeout)).await;
        let session = acquired.map_err(|error| self.placed(error, schema))?;
        let mut open = Guarded::new(session, &self.fences);
        let read = async {
            let session = open.session()?;
            session.begin(Limit::within(&deadline, LOOK_UP), false).await?;
            self.check_ledger(session).await?;
            let known = Arc::clone(session.known());
            let table = Table::read(session.conn()?, &known.server, schema).await?;
            Ok((table, known))
        };
        let Ok(read) = timeout_at(deadline.within(LOOK_UP), read).await else {
            // What was not answered is ended.
            drop(open);
            let error = WriteError::new(ErrorKind::Timeout).at(Stage::Describe);
            let error = error.with_message("the table could not be looked up in time");
            return Err(self.placed(error, schema));
        };
        // What was read may be locked until then.
        open.end(None, deadline.grace()).await;
        let (table, known) = read.map_err(|error| self.placed(error, schema))?;
        Ok(self.plans.learn(schema, table, &known.server))
    }

    /// The plan for a batch, whose table is looked up if it has not been.
    async fn plan(&self, batch: &Batch, deadline: Deadline) -> Result<Arc<Plan>, WriteError> {
        if let Some(plan) = self.plans.get(batch) {
            return match plan {
                Ok(plan) if self.is_old(batch.schema(), &plan) => {
                    self.renew(batch, deadline, plan).await
                }
                plan => plan,
            };
        }
        let found = self.look_up(batch.schema(), deadline).await?;
        self.plans.get(batch).unwrap_or_else(|| Plans::plan_once(batch, &found))
    }

    /// Whether a plan would let a row hit one of another key, had the table got another unique key
    /// since: no error would tell.
    fn is_old(&self, schema: &Schema, plan: &Plan) -> bool {
        schema.strategy() != ConflictStrategy::Fail
            && !plan.table.other_unique_keys
            && self.plans.looked_up(schema).is_some_and(|since| since.elapsed() > OLD)
    }

    /// The plan by a new look at the table; the one there is where that fails for the moment.
    async fn renew(
        &self,
        batch: &Batch,
        deadline: Deadline,
        plan: Arc<Plan>,
    ) -> Result<Arc<Plan>, WriteError> {
        match self.look_up(batch.schema(), deadline).await {
            Ok(found) => self.plans.get(batch).unwrap_or_else(|| Plans::plan_once(batch, &found)),
            Err(error) if error.kind().class() == ErrorClass::Systemic => Err(error),
            Err(_for_the_moment) => Ok(plan),
        }
    }

    /// Writes a batch, trying once more where the table turns out to have changed, or where rows
    /// may not be loaded after all.
    async fn write_batch(&self, batch: &Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        let deadline = Deadline::of(attempt);
        let (mut looked_again, mut loads) = (false, true);
        loop {
            let plan = tokio::select! {
                biased;
                why = deadline.stopped(attempt) => return Err(why.at(Stage::Describe)),
                plan = self.plan(batch, deadline) => plan?,
            };
            attempt.note_table(plan.seen);
            let (error, next) = match self.write_once(batch, attempt, deadline, &plan, loads).await
            {
                Ok(Some(affected)) => return Ok(Report::all().with_affected(affected)),
                Ok(None) => return Ok(Report::all()),
                Err(failed) => failed,
            };
            match next {
                Next::LookAgain { at_leisure } if !looked_again => {
                    looked_again = true;
                    let since = self.plans.looked_up(batch.schema());
                    let is_fresh = since.is_some_and(|since| since.elapsed() < LOOK_AGAIN);
                    if at_leisure && is_fresh {
                        return Err(error);
                    }
                    let found = tokio::select! {
                        biased;
                        why = deadline.stopped(attempt) => return Err(why.at(Stage::Describe)),
                        found = self.look_up(batch.schema(), deadline) => found?,
                    };
                    if *found.table == *plan.table {
                        return Err(error);
                    }
                }
                Next::NoLoad if loads => {
                    loads = false;
                    if plan.forbid_load() {
                        tracing::warn!(
                            "the server refuses LOAD DATA LOCAL INFILE or what it needs: batches \
                             are written otherwise"
                        );
                    }
                }
                _ => return Err(error),
            }
        }
    }

    /// Writes a batch by a plan, and says what to do if that fails.
    async fn write_once(
        &self,
        batch: &Batch,
        attempt: &Attempt,
        deadline: Deadline,
        plan: &Arc<Plan>,
        loads: bool,
    ) -> Result<Option<u64>, (WriteError, Next)> {
        let stop = |error| (self.placed(error, batch.schema()), Next::GiveUp);
        let mut plan = Arc::clone(plan);
        let mut payload = self.encode(&plan, batch, attempt, loads).await?;
        let acquired = tokio::select! {
            biased;
            why = deadline.stopped(attempt) => Err(why.at(Stage::Connect)),
            acquired = self.acquire(deadline.within(self.connect_timeout)) => acquired,
        };
        let session = acquired.map_err(stop)?;
        let may_be_alone = |known: &Known, payload: &Payload| {
            self.ledger.is_none() && alone::may_be(known, payload, batch)
        };
        let mut alone = may_be_alone(session.known(), &payload);
        let open = Guarded::new(session, &self.fences);
        // Which server it is a session of is certain from here on.
        let mut open = open.begin(attempt, deadline, alone).await.map_err(stop)?;
        let known = Arc::clone(open.session().map_err(stop)?.known());
        if !plan.suits(&known.server) {
            let adapted = async {
                let plan = self.plans.adapt(batch, &plan, &known.server).map_err(stop)?;
                Ok((self.encode(&plan, batch, attempt, loads).await?, plan))
            };
            match adapted.await {
                Ok(adapted) => {
                    (payload, plan) = adapted;
                    alone = alone && may_be_alone(&known, &payload);
                    if !alone && open.session().map_err(stop)?.is_autocommit() {
                        // It has become several statements.
                        open = open.begin(attempt, deadline, false).await.map_err(stop)?;
                    }
                }
                Err(refused) => {
                    open.end(None, deadline.grace()).await;
                    return Err(refused);
                }
            }
        }
        let ledger = self.ledger.as_ref();
        let transaction = Transaction { plan: &plan, batch, attempt, deadline, ledger, alone };
        transaction.run(payload, open).await.map_err(|ended| match ended {
            Ended::Error(error) => stop(error),
            Ended::Refused(failed) => {
                let (error, next) = verdict::of_refusal(&failed, batch, &plan.table);
                (self.placed(error, batch.schema()), next)
            }
        })
    }

    async fn encode(
        &self,
        plan: &Plan,
        batch: &Batch,
        attempt: &Attempt,
        loads: bool,
    ) -> Result<Payload, (WriteError, Next)> {
        let way = Way::choose(self.way, plan, batch, loads);
        attempt.writes_by(way.name(), plan.fingerprint);
        Payload::encode(way, plan, batch).await.map_err(|error| {
            let next = verdict::of_encoding(&error);
            (self.placed(error.at(Stage::Encode), batch.schema()), next)
        })
    }

    /// The error with its table; and where the server was lost, connections are doubted.
    fn placed(&self, error: WriteError, schema: &Schema) -> WriteError {
        match error.kind() {
            ErrorKind::Connection => self.source.suspect(),
            ErrorKind::ReadOnly => self.source.forget_idle(),
            _ => {}
        }
        match error.table() {
            Some(_) => error,
            None => error.with_table(schema.table()),
        }
    }
}

#[async_trait]
impl Driver for MysqlDriver {
    fn backend(&self) -> &'static str {
        "mysql"
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::none().with_describe().with_settle().with_preview();
        capabilities.with_atomic().with_nonblocking()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        if batch.is_empty() {
            return Ok(Report::all());
        }
        self.write_batch(&batch, attempt).await
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        let found = self.look_up(schema, Deadline::none()).await?;
        Ok(found.table.info())
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        let Some(started) = token.downcast_ref::<Started>() else { return Ok(Settled::Unknown) };
        let asked = async {
            let mut aside = self.source.aside(started.whom.host).await?;
            let settled = settle(&mut aside, started, self.ledger.as_ref()).await?;
            aside.give_back().await;
            Ok(settled)
        };
        let asked = timeout(self.connect_timeout, asked).await;
        let settled = asked.unwrap_or_else(|_too_long| Err(late()));
        settled.map_err(|error: WriteError| error.at(Stage::Settle))
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        let plan = self.plan(batch, Deadline::none()).await?;
        let way = Way::choose(self.way, &plan, batch, true);
        Ok(preview(&plan, way, batch, self.ledger.as_ref(), values))
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.fences.close().await;
        self.source.close().await;
    }
}

fn late() -> WriteError {
    let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
    error.with_message("the server did not answer in time")
}

impl fmt::Debug for MysqlDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlDriver").field("way", &self.way).finish_non_exhaustive()
    }
}
