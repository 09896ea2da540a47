//! [`SqliteDriver`]: the driver's face.

use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use batchflow_core::{
    Attempt, Batch, Capabilities, CommitToken, Driver, ErrorKind, Preview, Report, Schema, Settled,
    ShowValues, Stage, TableInfo, Value, WriteError,
};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::config::SqliteConfig;
use crate::error::translate;
use crate::fate::Fate;
use crate::spin::Spin;
use crate::table::Table;
use crate::writer::{self, Job, Message, Source, Writer};

/// Writes batches into a SQLite database: one thread, one connection, whole batches. Those that
/// wait together share a commit.
///
/// Dropped, it ends its thread once that is done with what it is writing, and blocks nobody.
///
/// ```
/// use batchflow_sqlite::SqliteDriver;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = SqliteDriver::in_memory()?;
/// driver.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)").await?;
/// assert!(driver.query("SELECT * FROM users").await?.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct SqliteDriver {
    messages: Mutex<Option<mpsc::Sender<Message>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    spin: Spin,
}

impl SqliteDriver {
    /// Opens a database file with the default [`SqliteConfig`]; a missing file is created.
    ///
    /// The error says what is wrong with the path: its folder is missing, the file is read-only,
    /// damaged or no database. Cancel safe: a dropped future keeps no connection; a file that was
    /// missing may have been created.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, WriteError> {
        Self::open_with(path, SqliteConfig::default()).await
    }

    /// Opens a database file. Cancel safe, as [`open`](Self::open).
    pub async fn open_with(
        path: impl AsRef<Path>,
        config: SqliteConfig,
    ) -> Result<Self, WriteError> {
        let spin = config.spin;
        let source = Source::File(path.as_ref().to_owned(), config);
        let writer::Handle { messages, opened, ended } = writer::start(source)?;
        opened.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(Self::new(messages, ended, spin))
    }

    /// A database in memory, which ends with the driver. [`execute`](Self::execute) creates its
    /// tables, [`query`](Self::query) reads them.
    pub fn in_memory() -> Result<Self, WriteError> {
        let writer::Handle { messages, ended, .. } = writer::start(Source::Memory)?;
        Ok(Self::new(messages, ended, SqliteConfig::default().spin))
    }

    /// Writes through a connection of your own, with the settings it has.
    ///
    /// The driver owns it from here on, sets its busy and progress handlers and the size of its
    /// statement cache, and closes it when the driver closes. A lock is waited for as
    /// [`SqliteConfig::busy_timeout`] says by default. A connection inside a transaction is
    /// refused.
    pub fn from_connection(connection: Connection) -> Result<Self, WriteError> {
        if !connection.is_autocommit() {
            let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Connect);
            return Err(error.with_message("the connection is inside a transaction"));
        }
        let writer::Handle { messages, ended, .. } = writer::start(Source::Given(connection))?;
        Ok(Self::new(messages, ended, SqliteConfig::default().spin))
    }

    fn new(messages: mpsc::Sender<Message>, ended: oneshot::Receiver<()>, spin: Duration) -> Self {
        let (messages, ended) = (Mutex::new(Some(messages)), Mutex::new(Some(ended)));
        Self { messages, ended, spin: Spin::new(spin) }
    }

    /// Runs statements on the driver's connection, between batches: `CREATE TABLE`, a `PRAGMA`.
    /// A transaction that they leave open is rolled back. They are run though the future is dropped.
    pub async fn execute(&self, sql: &str) -> Result<(), WriteError> {
        let sql = sql.to_owned();
        let run = move |writer: &mut Writer| {
            let done = writer.connection.execute_batch(&sql);
            // A `PRAGMA busy_timeout` takes the place of the driver's own handler.
            done.and_then(|()| writer.watch()).map_err(|error| translate(&error, Stage::Write))
        };
        self.call(run).await?
    }

    /// Runs a query on the driver's connection, between batches, and collects its rows. Integers
    /// come as [`Value::I64`], floats as [`Value::F64`], then [`Value::Text`], [`Value::Bytes`]
    /// and [`Value::Null`]. Meant for checks; the whole result is held in memory. It is run though the
    /// future is dropped.
    pub async fn query(&self, sql: &str) -> Result<Vec<Vec<Value>>, WriteError> {
        let sql = sql.to_owned();
        let run = move |writer: &mut Writer| {
            let mut statement = writer.connection.prepare(&sql)?;
            let width = statement.column_count();
            let rows = statement.query_map([], |row| {
                (0..width).map(|column| Ok(value(row.get_ref(column)?))).collect()
            })?;
            rows.collect::<rusqlite::Result<Vec<Vec<Value>>>>()
        };
        self.call(run).await?.map_err(|error| translate(&error, Stage::Write))
    }

    /// Has the writer's thread run something quick, and waits for its answer.
    async fn call<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        let call = move |writer: &mut Writer| {
            // Nobody may be waiting any more.
            let _ = reply.send(run(writer));
        };
        let messages = self.messages()?;
        messages.send(Message::Call(Box::new(call))).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    fn messages(&self) -> Result<mpsc::Sender<Message>, WriteError> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.clone().ok_or_else(|| {
            let error = WriteError::new(ErrorKind::Cancelled).at(Stage::Connect);
            error.with_message("the driver is closed")
        })
    }
}

#[async_trait]
impl Driver for SqliteDriver {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::none().with_describe().with_settle().with_preview();
        capabilities.with_atomic().with_nonblocking()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        let messages = self.messages()?;
        let deadline = attempt.deadline().map(tokio::time::Instant::into_std);
        let withdraw = Withdraw(Arc::new(Fate::new(deadline)));
        let fate = &withdraw.0;
        let mut cancelled = pin!(attempt.cancelled());
        let room = tokio::select! {
            biased;
            () = &mut cancelled => return Err(fate.stopped()),
            room = messages.reserve() => room.map_err(|_| gone())?,
        };
        attempt.record(CommitToken::new(Arc::clone(fate)));
        let (reply, mut answer) = oneshot::channel();
        let sent = Spin::start(&batch);
        room.send(Message::Write(Job {
            batch,
            attempt: attempt.clone(),
            fate: Arc::clone(fate),
            reply,
        }));
        let answered = tokio::select! {
            answered = self.spin.answer(sent, &mut answer) => answered,
            () = &mut cancelled => {
                if fate.cancel() {
                    return Err(fate.stopped());
                }
                // It has started: the writer stops it, rolls it back and says so.
                answer.await
            }
        };
        answered.unwrap_or_else(|_| Err(lost(fate)))
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        let schema = schema.clone();
        let read = move |writer: &mut Writer| Table::read(&writer.connection, &schema);
        Ok(self.call(read).await??.info())
    }

    async fn settle(&self, token: &CommitToken) -> Result<Settled, WriteError> {
        let fate = token.downcast_ref::<Arc<Fate>>();
        Ok(fate.map_or(Settled::Unknown, |fate| fate.settled()))
    }

    async fn preview(&self, batch: &Batch, values: ShowValues) -> Result<Preview, WriteError> {
        let batch = batch.clone();
        let preview = move |writer: &mut Writer| {
            let plan = writer.plans.get(&writer.connection, &batch)?;
            Ok(plan.preview(&batch, values))
        };
        self.call(preview).await?
    }

    async fn close(&self) {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(messages);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            // The thread drops the other end as it ends.
            let _ = ended.await;
        }
    }
}

/// Ends the batch when the `write` future is dropped: one that waits is withdrawn, one that runs
/// is stopped.
struct Withdraw(Arc<Fate>);

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn gone() -> WriteError {
    let error = WriteError::new(ErrorKind::Connection).at(Stage::Connect);
    error.with_message("the writer thread has ended")
}

/// The writer went away without an answer.
fn lost(fate: &Fate) -> WriteError {
    match fate.settled() {
        Settled::NotApplied => gone(),
        _ => gone().outcome_unknown(),
    }
}

fn value(value: rusqlite::types::ValueRef<'_>) -> Value {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(v) => Value::I64(v),
        ValueRef::Real(v) => Value::F64(v),
        ValueRef::Text(v) => Value::Text(String::from_utf8_lossy(v).into()),
        ValueRef::Blob(v) => Value::Bytes(v.into()),
    }
}

impl fmt::Debug for SqliteDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteDriver").finish_non_exhaustive()
    }
}
