//! [`PostgresDriver`]: the driver's face.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::{
    Attempt, Batch, Capabilities, CommitToken, Deadline, Driver, ErrorKind, Preview, Report,
    Schema, Settled, ShowValues, Stage, TableInfo, WriteError,
};
use bytes::BytesMut;
use futures_util::future::join;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::SimpleQueryMessage;

use crate::config::{LONGEST_CONNECT, PostgresConfig};
use crate::connect::{self, ConnectionSource, Guarded};
use crate::error::translate;
use crate::fence::Fences;
use crate::plan::{Plan, Plans};
use crate::preview::preview;
use crate::settle::settle;
use crate::table::Table;
use crate::transaction::{self, Ended, Started, Transaction};
use crate::verdict::{self, Next};
use crate::way::{Payload, Way};

/// How long looking up a table may take, once there is a connection.
const LOOK_UP: Duration = Duration::from_secs(30);

/// A table is looked up again for a value that does not fit after this long, not before.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The most buffers that are kept, and the most bytes that one of them holds.
const BUFFERS: usize = 8;
const BUFFER_BYTES: usize = 8 << 20;

/// Writes batches into PostgreSQL, each in one transaction.
///
/// The driver chooses among three [ways](Way) of writing, ends on the server what it gives up, and
/// can tell what became of a commit whose answer was lost. It works behind a pooler in
/// transaction mode, such as `PgBouncer`. PostgreSQL 13 or newer.
///
/// ```no_run
/// use batchflow_postgres::{BatchFlow, PostgresDriver};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = PostgresDriver::connect("postgres://app:secret@localhost/app").await?;
/// let flow = BatchFlow::builder(driver).build()?;
/// # let _ = flow;
/// # Ok(())
/// # }
/// ```
pub struct PostgresDriver {
    source: Arc<dyn ConnectionSource>,
    fences: Arc<Fences>,
    plans: Plans,
    way: Option<Way>,
    connect_timeout: Duration,
    /// Whether the server has been found new enough.
    is_new_enough: AtomicBool,
    /// The user may make no temporary tables.
    no_stage: AtomicBool,
    is_closed: AtomicBool,
    buffers: Mutex<Vec<BytesMut>>,
}

impl PostgresDriver {
    /// Connects to the server that a [URL](PostgresConfig::from_url) names, with a pool of the
    /// driver's own.
    ///
    /// One connection is opened at once, so that the error says what is wrong with the URL, the
    /// server or the password; the others when they are needed.
    pub async fn connect(url: &str) -> Result<Self, WriteError> {
        Self::connect_with(PostgresConfig::from_url(url).map_err(connect::unusable)?).await
    }

    /// Connects as configured, with a pool of the driver's own.
    pub async fn connect_with(config: PostgresConfig) -> Result<Self, WriteError> {
        let mut driver = Self::new(connect::own_pool(&config)?);
        driver.way = config.way;
        driver.connect_timeout = config.connect_timeout;
        let until = Instant::now() + config.connect_timeout;
        let opened = driver.acquire(until).await?;
        match timeout_at(until, driver.check_version(&opened)).await {
            Ok(checked) => checked?,
            Err(_too_long) => {
                let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
                return Err(error.with_message("the server did not answer in time"));
            }
        }
        opened.give_back();
        Ok(driver)
    }

    /// Writes through a pool that may be shared with others, and is never closed by the driver.
    ///
    /// Requests to cancel are sent unencrypted, since the pool does not say how it encrypts; where
    /// the server refuses them, the driver ends what it gave up through another connection of the
    /// pool.
    pub fn from_pool(pool: deadpool_postgres::Pool) -> Self {
        Self::new(connect::given_pool(pool))
    }

    /// Writes through the connections of a pool of any make.
    pub fn from_source(source: impl ConnectionSource) -> Self {
        Self::new(Arc::new(source))
    }

    /// Writes every batch this way; see [`PostgresConfig::way`].
    #[must_use]
    pub fn with_way(mut self, way: Way) -> Self {
        self.way = Some(way);
        self
    }

    /// How long it may take to get a connection. Default: 10 seconds, or as
    /// [configured](PostgresConfig::connect_timeout). A millisecond at least, a day at most.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.clamp(Duration::from_millis(1), LONGEST_CONNECT);
        self
    }

    fn new(source: Arc<dyn ConnectionSource>) -> Self {
        Self {
            fences: Arc::new(Fences::new(Arc::clone(&source))),
            source,
            plans: Plans::new(),
            way: None,
            connect_timeout: Duration::from_secs(10),
            is_new_enough: AtomicBool::new(false),
            no_stage: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            buffers: Mutex::default(),
        }
    }

    /// A connection by `until`.
    async fn acquire(&self, until: Instant) -> Result<Guarded, WriteError> {
        if self.is_closed.load(Ordering::Relaxed) {
            let error = WriteError::new(ErrorKind::Cancelled).at(Stage::Connect);
            return Err(error.with_message("the driver is closed"));
        }
        match timeout_at(until, self.source.acquire()).await {
            Ok(acquired) => Ok(Guarded::new(acquired.map_err(|error| error.at(Stage::Connect))?)),
            Err(_too_long) => {
                let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
                Err(error.with_message("no connection was free or could be opened in time"))
            }
        }
    }

    /// Refuses a server that cannot tell what became of a commit.
    async fn check_version(&self, connection: &Guarded) -> Result<(), WriteError> {
        if self.is_new_enough.load(Ordering::Relaxed) {
            return Ok(());
        }
        let asked = connection.client()?.simple_query("SHOW server_version_num").await;
        let answer = asked.map_err(|error| translate(&error, Stage::Connect, None))?;
        let version = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok()??.parse::<u32>().ok(),
            _ => None,
        });
        if version.is_none_or(|version| version < 130_000) {
            let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Connect);
            return Err(error.with_message("PostgreSQL 13 or newer is needed"));
        }
        self.is_new_enough.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Looks a schema's table up, and remembers it.
    async fn look_up(&self, schema: &Schema, deadline: Deadline) -> Result<Arc<Table>, WriteError> {
        let connection = self.acquire(deadline.within(self.connect_timeout)).await?;
        let over = deadline.within(LOOK_UP);
        let read = async {
            self.check_version(&connection).await?;
            let client = connection.client()?;
            // The server gives up with us: what it does for nobody would go on.
            let begin = transaction::begin_to_read(over);
            let (begun, table) =
                join(client.batch_execute(&begin), Table::read(client, schema)).await;
            begun.map_err(|error| translate(&error, Stage::Describe, None))?;
            Ok((client.batch_execute("ROLLBACK").await.is_ok(), table))
        };
        match timeout_at(over, read).await {
            Ok(Ok((ended, table))) => {
                if ended {
                    connection.give_back();
                }
                let table = table.map_err(|error| place(error, schema))?;
                Ok(self.plans.learn(schema, table))
            }
            Ok(Err(error)) => Err(place(error, schema)),
            Err(_too_long) => {
                let error = WriteError::new(ErrorKind::Timeout).at(Stage::Describe);
                Err(place(error.with_message("the table could not be looked up in time"), schema))
            }
        }
    }

    /// The plan for a batch, whose table is looked up if it has not been.
    async fn plan(&self, batch: &Batch, deadline: Deadline) -> Result<Arc<Plan>, WriteError> {
        if let Some(plan) = self.plans.get(batch) {
            return plan;
        }
        let table = self.look_up(batch.schema(), deadline).await?;
        self.plans.get(batch).unwrap_or_else(|| self.plans.plan_once(batch, &table))
    }

    /// Writes a batch, trying once more where the table turns out to have changed, where the user
    /// may not stage it, or where rows of one key stand in it.
    async fn write_batch(&self, batch: &Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        let deadline = Deadline::of(attempt);
        let (mut looked_again, mut singly) = (false, false);
        loop {
            let plan = tokio::select! {
                biased;
                why = deadline.stopped(attempt) => return Err(why.at(Stage::Describe)),
                plan = self.plan(batch, deadline) => plan?,
            };
            attempt.note_table(plan.seen);
            let (error, next) = match self.write_once(batch, attempt, deadline, &plan, singly).await
            {
                Ok(affected) => return Ok(Report::all().with_affected(affected)),
                Err(failed) => failed,
            };
            match next {
                Next::LookAgain { at_leisure } if !looked_again => {
                    looked_again = true;
                    let since = self.plans.looked_up(batch.schema()).map(|(_, since)| since);
                    let is_fresh = since.is_some_and(|since| since.elapsed() < LOOK_AGAIN);
                    if at_leisure && is_fresh {
                        return Err(error);
                    }
                    let table = tokio::select! {
                        biased;
                        why = deadline.stopped(attempt) => return Err(why.at(Stage::Describe)),
                        table = self.look_up(batch.schema(), deadline) => table?,
                    };
                    if *table == *plan.table {
                        return Err(error);
                    }
                }
                Next::Unnest if !self.no_stage.swap(true, Ordering::Relaxed) => {
                    tracing::warn!(
                        "this user may make no temporary tables: large batches are written by \
                         UNNEST, which is slower"
                    );
                }
                Next::Unnest => {}
                // No further COPY is chosen, so that this comes once for each batch.
                Next::NoCopy => plan.no_copy.store(true, Ordering::Relaxed),
                Next::Singly if !singly => singly = true,
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
        plan: &Plan,
        singly: bool,
    ) -> Result<u64, (WriteError, Next)> {
        let way = self.choose(plan, batch);
        if singly {
            attempt.writes_by("singly", plan.fingerprint(Way::Unnest, 1));
        } else {
            attempt.writes_by(way.as_str(), plan.fingerprint(way, batch.len()));
        }
        let payload = if singly {
            Payload::encode_singly(plan, batch)
        } else {
            Payload::encode(way, plan, batch, self.buffer()).await
        };
        let payload = payload.map_err(|error| {
            let error = place(error.at(Stage::Encode), batch.schema());
            let next = verdict::of_encoding(&error);
            (error, next)
        })?;
        let stop = |error| (error, Next::GiveUp);
        let acquired = tokio::select! {
            biased;
            why = deadline.stopped(attempt) => Err(why.at(Stage::Connect)),
            acquired = self.acquire(deadline.within(self.connect_timeout)) => acquired,
        };
        let lease = acquired.map_err(stop)?.into_lease();
        let Some(lease) = lease else { return Err(stop(ErrorKind::Internal.into())) };
        let transaction = Transaction { plan, batch, payload: &payload, attempt, deadline };
        let written = transaction.run(&self.fences, lease).await;
        self.keep(payload);
        written.map_err(|ended| match ended {
            Ended::Error(error) => stop(place(error, batch.schema())),
            Ended::Refused(failed) => {
                if transaction::is_read_only(&failed) {
                    self.source.forget_idle();
                }
                let (error, next) = verdict::of_refusal(&failed, way, batch, &plan.table);
                (place(error, batch.schema()), next)
            }
        })
    }

    fn choose(&self, plan: &Plan, batch: &Batch) -> Way {
        Way::choose(self.way, plan, batch, !self.no_stage.load(Ordering::Relaxed))
    }

    fn buffer(&self) -> BytesMut {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn keep(&self, payload: Payload) {
        let Some(mut buffer) = payload.into_buffer() else { return };
        buffer.clear();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS && buffer.capacity() <= BUFFER_BYTES {
            buffers.push(buffer);
        }
    }
}

#[async_trait]
impl Driver for PostgresDriver {
    fn backend(&self) -> &'static str {
        "postgres"
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
        let table = self.look_up(schema, Deadline::none()).await?;
        Ok(table.info())
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        let Some(started) = token.downcast_ref::<Started>() else { return Ok(Settled::Unknown) };
        let asked = async {
            let connection = Guarded::new(self.source.aside().await?);
            let settled = settle(connection.client()?, started).await?;
            connection.give_back();
            Ok(settled)
        };
        timeout(self.connect_timeout, asked).await.unwrap_or_else(|_too_long| {
            let error = WriteError::new(ErrorKind::Connection).at(Stage::Settle);
            Err(error.with_message("the server did not answer in time"))
        })
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        let plan = self.plan(batch, Deadline::none()).await?;
        let way = self.choose(&plan, batch);
        let why = match self.way {
            Some(wanted) if wanted == way => "the driver is set to it",
            Some(_) => "the way that the driver is set to cannot write this batch",
            None => way.reason(),
        };
        Ok(preview(&plan, (way, why), batch, values))
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.fences.close().await;
        self.source.close().await;
    }
}

fn place(error: WriteError, schema: &Schema) -> WriteError {
    match error.table() {
        Some(_) => error,
        None => error.with_table(schema.table()),
    }
}

impl fmt::Debug for PostgresDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresDriver").field("way", &self.way).finish_non_exhaustive()
    }
}
