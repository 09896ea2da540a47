//! [`Session`]: a connection, set as the driver needs it, under a name by which it is found again.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use futures_util::FutureExt as _;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Row, Value};

use crate::connect::{GivenPool, Home};
use crate::error::translate;
use crate::habit::Habit;
use crate::limit::Limit;
use crate::server::{Family, Known};

/// How strict the server is with what it is given.
///
/// An explicit 0 in an `AUTO_INCREMENT` column stays 0, as on other databases.
const MODES: &str = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,\
                     ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO";

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The name of a session: that of a lock which it holds as long as it lives.
///
/// The server releases the lock after it has rolled back what the session left open, which is later
/// than the session leaves MySQL's process list. Who holds it is told by the server itself, so
/// nobody else's connection is ever taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u128);

impl Mark {
    fn new() -> Self {
        Self(fastrand::u128(..))
    }

    /// The lock's name.
    pub(crate) fn lock(self) -> String {
        format!("batchflow_{:032x}", self.0)
    }
}

/// A session's row in the ledger, and how many batches have been noted there.
///
/// It is handed on only by a session whose last batch ended for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    key: u128,
    pub(crate) batches: u64,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self { key: fastrand::u128(..), batches: 0 }
    }

    /// As it stands in the ledger.
    pub(crate) fn literal(self) -> String {
        format!("X'{:032x}'", self.key)
    }
}

/// A variable of the session, and what it is set to.
fn variables(known: &Known, limit: Limit) -> Vec<(&'static str, String)> {
    let is_maria = known.server.family == Family::MariaDb;
    // MariaDB cuts fractions of a second that MySQL rounds.
    let rounds = if is_maria { ",TIME_ROUND_FRACTIONAL" } else { "" };
    let mut all = vec![
        ("sql_mode", format!("'{MODES}{rounds}'")),
        ("time_zone", "'+00:00'".to_owned()),
        ("character_set_client", "utf8mb4".to_owned()),
        ("character_set_connection", "utf8mb4".to_owned()),
        ("character_set_results", "utf8mb4".to_owned()),
    ];
    all.extend(limit.variables(known));
    all
}

fn set(variables: &[(&str, String)]) -> String {
    let each: Vec<String> =
        variables.iter().map(|(name, value)| format!("SESSION {name} = {value}")).collect();
    format!("SET {}", each.join(", "))
}

/// What another variable changes along with itself: put right after it.
const FOLLOWS: &str = "collation_connection";

/// The variables that are set, and those that change with them.
fn changed<'a>(variables: &'a [(&'a str, String)]) -> impl Iterator<Item = &'a str> {
    variables.iter().map(|(name, _)| *name).chain([FOLLOWS])
}

/// Where a user's own settings are kept meanwhile.
fn save(variables: &[(&str, String)]) -> String {
    let each: Vec<String> =
        changed(variables).map(|name| format!("@batchflow_{name} = @@SESSION.{name}")).collect();
    format!("SET {}", each.join(", "))
}

fn restore(variables: &[(&str, String)]) -> String {
    let each: Vec<(&str, String)> =
        changed(variables).map(|name| (name, format!("@batchflow_{name}"))).collect();
    set(&each)
}

/// `READ COMMITTED` locks no gaps, so that writers of different rows do not meet.
fn isolation(known: &Known) -> &'static str {
    if known.server.logs_rows { "READ COMMITTED" } else { "REPEATABLE READ" }
}

/// Begins a transaction in a session that is set so.
fn start(known: &Known, variables: &[(&'static str, String)]) -> String {
    let (set, level) = (set(variables), isolation(known));
    format!("{set}; SET TRANSACTION ISOLATION LEVEL {level}; START TRANSACTION")
}

/// A connection and what is known of it.
pub(crate) struct Open {
    /// Taken when it is given back to a pool.
    conn: Option<Conn>,
    pub(crate) mark: Mark,
    pub(crate) known: Arc<Known>,
    page: Page,
    limit: Limit,
    habit: Habit,
    /// Which of the configured hosts it is a connection to.
    pub(crate) host: usize,
}

impl Open {
    pub(crate) fn new(conn: Conn, known: Arc<Known>, page: Page, host: usize) -> Self {
        let (mark, limit, habit) = (Mark::new(), Limit::default(), Habit::new());
        Self { conn: Some(conn), mark, known, page, limit, habit, host }
    }

    pub(crate) fn conn(&mut self) -> Result<&mut Conn, WriteError> {
        self.conn.as_mut().ok_or_else(|| {
            WriteError::new(ErrorKind::Internal).with_message("the connection is gone")
        })
    }

    /// Sets the session for as long as it lives. It begins without autocommit.
    pub(crate) async fn set_up(&mut self) -> Result<(), WriteError> {
        let mut text = set(&variables(&self.known, Limit::default()));
        let _ = write!(
            text,
            ", SESSION autocommit = 0; SET SESSION TRANSACTION ISOLATION LEVEL {}; {}",
            isolation(&self.known),
            take(self.mark),
        );
        let locked = first_row(self.conn()?, &text).await;
        is_taken(locked.map_err(|error| translate(&error, Stage::Connect, None))?.as_ref())
    }

    /// Begins a transaction on a connection of a pool. Whose server it is a connection to, and how
    /// that logs, is asked each time: a pool may lead to several, and what it resets is set anew.
    async fn begin(
        &mut self,
        limit: Limit,
        pool: &GivenPool,
        resets: bool,
    ) -> Result<(), WriteError> {
        let known = Arc::clone(&self.known);
        let all = variables(&known, limit);
        let kept = if resets { String::new() } else { save(&all) + "; " };
        let text =
            format!("{kept}{}, {}; {}", take(self.mark), known.told_sql, start(&known, &all));
        let failed = |error| translate(&error, Stage::Connect, None);
        let told = first_row(self.conn()?, &text).await.map_err(failed)?;
        is_taken(told.as_ref())?;
        if known.is_told_by(told.as_ref()) {
            return Ok(());
        }
        self.known = pool.learn(self.conn()?).await?;
        let text = format!("ROLLBACK; {}", start(&self.known, &variables(&self.known, limit)));
        self.conn()?.query_drop(text).await.map_err(failed)
    }

    /// Puts the user's own settings right.
    async fn restore(&mut self) -> bool {
        let restored = restore(&variables(&self.known, Limit::default()));
        let text = format!("{restored}; DO RELEASE_LOCK('{}')", self.mark.lock());
        let Some(conn) = &mut self.conn else { return false };
        let asked = tokio::time::timeout(FAREWELL, conn.query_drop(text)).await;
        matches!(asked, Ok(Ok(())))
    }

    /// Says farewell to the server, and waits a moment for that to be sent.
    pub(crate) async fn end(mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = tokio::time::timeout(FAREWELL, conn.disconnect()).await;
        }
    }

    /// Closes the connection at once.
    fn hang_up(&mut self) {
        if let Some(conn) = self.conn.take() {
            // Sends what can be sent without waiting; then the socket is closed.
            let _ = conn.disconnect().now_or_never();
        }
    }

    /// Whether it still answers.
    pub(crate) async fn answers(&mut self) -> bool {
        match &mut self.conn {
            Some(conn) => conn.ping().await.is_ok(),
            None => false,
        }
    }
}

/// Takes the lock that names the session.
fn take(mark: Mark) -> String {
    format!("SELECT GET_LOCK('{}', 0)", mark.lock())
}

fn is_taken(told: Option<&Row>) -> Result<(), WriteError> {
    has_lock(told.and_then(|row| row.as_ref(0)))
}

fn has_lock(answer: Option<&Value>) -> Result<(), WriteError> {
    match answer {
        Some(Value::Int(1) | Value::UInt(1)) => return Ok(()),
        Some(Value::Bytes(one)) if one == b"1" => return Ok(()),
        _ => {}
    }
    // No other session has a lock of this name. NULL is the answer where someone has ended the
    // statement, or the server had no memory for it.
    let kind = match answer {
        Some(Value::NULL) => ErrorKind::Timeout,
        _ => ErrorKind::Unsupported,
    };
    let error = WriteError::new(kind).at(Stage::Connect);
    Err(error.with_message("the server refuses GET_LOCK, by which sessions are found"))
}

/// The first row of several statements that are sent at once. All their answers are read.
async fn first_row(conn: &mut Conn, text: &str) -> Result<Option<Row>, Error> {
    let mut first = None;
    let mut answers = conn.query_iter(text).await?;
    while !answers.is_empty() {
        let rows: Vec<Row> = answers.collect().await?;
        first = first.or_else(|| rows.into_iter().next());
    }
    answers.drop_result().await?;
    Ok(first)
}

/// Ended at once: nobody waits for the server's farewell, and no task is left behind.
impl Drop for Open {
    fn drop(&mut self) {
        self.hang_up();
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("known", &self.known).finish_non_exhaustive()
    }
}

/// A connection on loan. Dropped, it is ended; see [`give_back`](Self::give_back).
#[derive(Debug)]
pub(crate) struct Session {
    open: Open,
    home: Home,
}

impl Session {
    pub(crate) fn new(open: Open, home: Home) -> Self {
        Self { open, home }
    }

    pub(crate) fn conn(&mut self) -> Result<&mut Conn, WriteError> {
        self.open.conn()
    }

    pub(crate) fn known(&self) -> &Arc<Known> {
        &self.open.known
    }

    pub(crate) fn mark(&self) -> Mark {
        self.open.mark
    }

    pub(crate) fn host(&self) -> usize {
        self.open.host
    }

    /// Where the ledger notes a batch that is about to be committed.
    pub(crate) fn turn_page(&mut self) -> Page {
        self.open.page.batches += 1;
        self.open.page
    }

    /// Begins a transaction whose statements are given so long each. Where the batch is one
    /// statement that may be `alone`, the session may stay in [autocommit](Self::is_autocommit).
    pub(crate) async fn begin(&mut self, limit: Limit, alone: bool) -> Result<(), WriteError> {
        if let Home::Given { resets, pool } = &self.home {
            self.open.begin(limit, pool, *resets).await?;
            self.open.limit = limit;
            return Ok(());
        }
        let stays = alone || !self.open.habit.is_autocommit();
        if !stays || !self.open.limit.covers(limit) {
            let mut variables = limit.variables(&self.open.known);
            if !stays {
                variables.push(("autocommit", "0".to_owned()));
            }
            if let Err(error) = self.open.conn()?.query_drop(set(&variables)).await {
                if !stays {
                    // Nobody knows whether it is in autocommit: it is not used again.
                    self.open.hang_up();
                }
                return Err(translate(&error, Stage::Connect, None));
            }
            self.open.limit = limit;
        }
        if !alone {
            self.open.habit.end_autocommit();
        }
        Ok(())
    }

    /// Whether each of its statements commits itself.
    pub(crate) fn is_autocommit(&self) -> bool {
        self.open.habit.is_autocommit()
    }

    /// What decides whether it rests in autocommit; only of connections of the driver's own.
    pub(crate) fn habit(&mut self) -> Option<&mut Habit> {
        matches!(self.home, Home::Own { .. }).then_some(&mut self.open.habit)
    }

    /// Gives the connection back: its transaction is over, and all it was asked has been answered.
    pub(crate) async fn give_back(self) {
        let Self { mut open, home } = self;
        match home {
            Home::Own { pool, permit } => {
                pool.take_back(open);
                drop(permit);
            }
            Home::Given { resets, pool } => {
                pool.take_back(open.page);
                if resets || open.restore().await {
                    // Goes back to its pool.
                    drop(open.conn.take());
                }
            }
            Home::Aside { .. } => open.end().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use batchflow_core::ErrorClass;

    use super::*;

    #[test]
    fn a_lock_that_somebody_kept_from_the_session_is_asked_for_again() {
        assert!(has_lock(Some(&Value::Int(1))).is_ok());
        assert!(has_lock(Some(&Value::Bytes(b"1".to_vec()))).is_ok());
        let class = |answer| has_lock(answer).unwrap_err().kind().class();
        // The answer to a KILL QUERY.
        assert_eq!(class(Some(&Value::NULL)), ErrorClass::Transient);
        assert_eq!(class(Some(&Value::Int(0))), ErrorClass::Systemic);
        assert_eq!(class(None), ErrorClass::Systemic);
    }
}
