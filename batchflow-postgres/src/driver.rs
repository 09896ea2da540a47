//! [`PostgresDriver`]: the driver's face.

mod write;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
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
use crate::connect::{self, ConnectionSource, Guarded, OwnPool};
use crate::ended::{self, Sent};
use crate::error::translate;
use crate::fence::Fences;
use crate::plan::{Plan, Plans};
use crate::preview;
use crate::settle::settle;
use crate::table::Table;
use crate::transaction::{self, Started};
use crate::way::Way;

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
/// On connections of its own ([`connect`](Self::connect), [`connect_with`](Self::connect_with)), and
/// unless a pooler stands between, a single row whose repetition is harmless goes in one round
/// trip. The session then has a `statement_timeout` a little under the attempt's deadline, a setting
/// of ours, and up to 64 prepared statements. Where the answer is lost, its backend is ended and the
/// row written again.
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
    /// The source, where it is the driver's own.
    own: Option<Arc<OwnPool>>,
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
    /// server or the password; the others when they are needed. Cancel safe: a dropped future keeps
    /// no connection.
    pub async fn connect(url: &str) -> Result<Self, WriteError> {
        Self::connect_with(PostgresConfig::from_url(url).map_err(connect::unusable)?).await
    }

    /// Connects as configured, with a pool of the driver's own. Cancel safe, as
    /// [`connect`](Self::connect).
    pub async fn connect_with(config: PostgresConfig) -> Result<Self, WriteError> {
        let own = connect::own_pool(&config)?;
        let mut driver = Self::new(own.clone());
        driver.own = Some(own);
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
            own: None,
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
        let acquiring = async {
            let Some(own) = &self.own else {
                return Ok(Guarded::new(self.source.acquire().await?));
            };
            let (lease, backend) = Box::pin(own.lend()).await?;
            Ok(Guarded::own(lease, backend))
        };
        match timeout_at(until, acquiring).await {
            Ok(acquired) => acquired.map_err(|error: WriteError| error.at(Stage::Connect)),
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
        let asked = async {
            let connection = Guarded::new(self.source.aside().await?);
            let client = connection.client()?;
            let settled = if let Some(started) = token.downcast_ref::<Started>() {
                settle(client, started).await?
            } else if let Some(sent) = token.downcast_ref::<Sent>() {
                ended::settle(client, sent).await?
            } else {
                Settled::Unknown
            };
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
        let is_direct = self.own.as_ref().is_some_and(|own| own.is_direct());
        if let Some(own) = write::row_at_once(&plan, batch, way).filter(|_| is_direct) {
            return Ok(preview::at_once(own, batch, values));
        }
        Ok(preview::in_transaction(&plan, (way, why), batch, values))
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
