//! [`RedisDriver`]: the driver's face.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::{
    Attempt, Batch, Capabilities, CommitToken, Driver, ErrorKind, Preview, Report, Schema, Settled,
    ShowValues, Stage, TableInfo, WriteError,
};
use tokio::time::{Instant, timeout_at};

use crate::attempt::Sending;
use crate::config::RedisConfig;
use crate::connect::Opener;
use crate::fence::{Fences, Ticket};
use crate::layout::Layout;
use crate::plan::{Plans, Rules};
use crate::preview::preview;
use crate::servers::Servers;

/// Writes batches into Redis, each row for itself.
///
/// What a row becomes is told by a [`Layout`] for each table; without one, it becomes a hash called
/// as the table and the row's key, `users:7`. Redis 7.0 or newer.
///
/// ```no_run
/// use batchflow_redis::{BatchFlow, Layout, RedisDriver};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = RedisDriver::connect("redis://:secret@localhost:6379")
///     .await?
///     .layout("users", Layout::hash("user:"))
///     .layout("events", Layout::stream("events").max_len(100_000));
/// let flow = BatchFlow::builder(driver).build()?;
/// # let _ = flow;
/// # Ok(())
/// # }
/// ```
pub struct RedisDriver {
    opener: Arc<Opener>,
    servers: Servers,
    fences: Fences,
    plans: Plans,
    connect_timeout: Duration,
    is_closed: AtomicBool,
}

impl RedisDriver {
    /// Connects to the server or servers that a [URL](RedisConfig::from_url) names.
    ///
    /// One connection is opened at once, so that the error says what is wrong with the URL, the
    /// server or the password; the others when they are needed. Cancel safe: a dropped future keeps
    /// no connection.
    pub async fn connect(url: &str) -> Result<Self, WriteError> {
        Self::connect_with(RedisConfig::from_url(url).map_err(unusable)?).await
    }

    /// Connects as configured. Cancel safe, as [`connect`](Self::connect).
    pub async fn connect_with(config: RedisConfig) -> Result<Self, WriteError> {
        config.check().map_err(unusable)?;
        let driver = Self::new(config);
        let until = Instant::now() + driver.connect_timeout;
        match timeout_at(until, driver.servers.connect()).await {
            Ok(connected) => connected.map(|()| driver),
            Err(_too_long) => {
                let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
                Err(error.with_message("the server did not answer in time"))
            }
        }
    }

    /// Connects as a client of yours was configured.
    ///
    /// The driver opens connections of its own: it closes, on both sides, those whose last answer
    /// did not come, which would disturb whoever shares them. The client is left alone, and need
    /// not be connected.
    pub fn from_client(client: &fred::clients::Client) -> Self {
        Self::new(RedisConfig::from_client(client))
    }

    /// Connects as the clients of a pool of yours were configured, with as many connections; see
    /// [`from_client`](Self::from_client).
    pub fn from_pool(pool: &fred::clients::Pool) -> Self {
        let (opener, size) = Opener::from_pool(pool);
        Self::new(RedisConfig::new(opener).pool_size(size.clamp(1, 10_000)))
    }

    fn new(config: RedisConfig) -> Self {
        let mut opener = config.opener;
        opener.set_timeout(config.connect_timeout);
        let opener = Arc::new(opener);
        let servers = Servers::new(&opener, config.pool_size);
        let rules = Rules {
            scripts: true,
            cluster: servers.cluster().is_some(),
            pipelines: opener.pipelines(),
        };
        Self {
            servers,
            opener,
            fences: Fences::new(),
            plans: Plans::new(rules),
            connect_timeout: config.connect_timeout,
            is_closed: AtomicBool::new(false),
        }
    }

    /// What the rows of a table become. Left out: a hash, called `table:key`.
    #[must_use]
    pub fn layout(mut self, table: impl Into<String>, layout: Layout) -> Self {
        self.plans.lay_out(table.into(), layout);
        self
    }

    /// Sends no scripts, for users who may run none. What only a script can do is refused then, with
    /// [`Unsupported`](batchflow_core::ErrorKind::Unsupported); everything else is sent as commands, which takes longer.
    #[must_use]
    pub fn without_scripts(mut self) -> Self {
        self.plans.set_scripts(false);
        self
    }
}

#[async_trait]
impl Driver for RedisDriver {
    fn backend(&self) -> &'static str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none().with_describe().with_settle().with_preview().with_nonblocking()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        if batch.is_empty() {
            return Ok(Report::all());
        }
        if self.is_closed.load(Ordering::Relaxed) {
            let error = WriteError::new(ErrorKind::Cancelled).at(Stage::Connect);
            return Err(error.with_message("the driver is closed"));
        }
        let plan = self.plans.get(&batch)?;
        let sending = Sending {
            plan: &plan,
            batch: &batch,
            attempt,
            opener: &self.opener,
            servers: &self.servers,
            fences: &self.fences,
            connect_timeout: self.connect_timeout,
        };
        sending.run().await
    }

    /// Checks the table's layout against the schema. Nothing is asked of the server: Redis knows
    /// no columns. Keys compare as they are written: byte for byte.
    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        self.plans.check(schema)?;
        let unchecked = TableInfo::unchecked(schema);
        let columns = (0..schema.width()).filter_map(|at| unchecked.column(at).cloned());
        let found = TableInfo::new(columns.collect());
        // Without a key there are streams, lists and commands, whose order shows.
        Ok(if schema.key().is_empty() { found.with_appends() } else { found })
    }

    /// Sees to it that nothing of an attempt is executed any more. Whether it was, Redis does not
    /// tell.
    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        let Some(ticket) = token.downcast_ref::<Arc<Ticket>>() else {
            return Ok(Settled::Unknown);
        };
        if !ticket.was_sent() {
            return Ok(Settled::NotApplied);
        }
        self.fences.end(&self.opener, &self.servers, ticket).await?;
        Ok(Settled::Unknown)
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        let plan = self.plans.get(batch)?;
        Ok(preview(&plan, batch, values))
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.servers.close();
    }
}

/// A setting at fault, as an error of connecting.
#[allow(clippy::needless_pass_by_value, reason = "it maps an error")]
fn unusable(error: batchflow_core::ConfigError) -> WriteError {
    WriteError::new(ErrorKind::Unsupported).at(Stage::Connect).with_message(error.to_string())
}

impl fmt::Debug for RedisDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDriver").field("servers", &self.servers).finish_non_exhaustive()
    }
}
