//! [`Backend`]: the server's process at the other end of a connection of the driver's own pool.
//!
//! Only a backend that serves this connection alone is [known](Identity). It carries a mark of a
//! random name, so that a statement can make sure that it runs there and nowhere else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, SimpleQueryMessage, SimpleQueryRow, Statement};

use super::greeting::greeted_pid;

/// The most statements that a connection keeps prepared.
const MOST_PREPARED: usize = 64;

/// What tells a backend from every other, of this server or another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// When the backend was started, by the server's clock; in hexadecimal.
    pub(crate) began: String,
    /// When the server was started, which no other server shares; in hexadecimal.
    pub(crate) server: String,
    /// The setting that this backend alone has.
    pub(crate) mark: String,
}

impl Identity {
    fn read(row: &SimpleQueryRow, mark: String) -> Option<Self> {
        let text = |at| row.try_get(at).ok()?;
        let hexadecimal = |at| {
            let text: &str = text(at)?;
            text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| text.to_owned())
        };
        let is_marked = text(3) == Some("t");
        let (began, server) = (hexadecimal(1)?, hexadecimal(2)?);
        is_marked.then_some(Self { pid: text(0)?.parse().ok()?, began, server, mark })
    }
}

/// What is known of the backend at a connection's other end, and what it was told.
#[derive(Debug)]
pub(crate) struct Backend {
    known: Mutex<Known>,
    /// Whether the pool's connections were found to have backends of their own.
    direct: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Known {
    is_asked: bool,
    identity: Option<Arc<Identity>>,
    /// What the session gives each statement, in milliseconds; `None` for the server's own rule.
    limit: Option<u64>,
    /// The one used last is the last.
    prepared: Vec<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    text: Box<str>,
    types: Box<[Type]>,
    statement: Statement,
}

impl Backend {
    pub(crate) fn new(direct: Arc<AtomicBool>) -> Self {
        Self { known: Mutex::default(), direct }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is known yet that speaks against a backend of the connection's own.
    pub(crate) fn may_be_own(&self) -> bool {
        let known = self.known();
        known.identity.is_some() || !known.is_asked
    }

    /// Who the backend is, if it serves this connection alone; its session then gives each
    /// statement about so many milliseconds. That costs a round trip where either is news.
    pub(crate) async fn identify(
        &self,
        client: &Client,
        limit: Option<u64>,
    ) -> Result<Option<Arc<Identity>>, Error> {
        let (is_asked, identity, fits) = {
            let known = self.known();
            (known.is_asked, known.identity.clone(), fits(known.limit, limit))
        };
        match identity {
            Some(identity) => {
                if !fits {
                    let set = format!("SELECT {}", set_limit(limit));
                    client.simple_query(&set).await?;
                    self.known().limit = limit;
                }
                Ok(Some(identity))
            }
            None if is_asked => Ok(None),
            None => {
                let found = match greeted_pid(&client.cancel_token()) {
                    Some(pid) => ask(client, pid, limit).await?,
                    None => None,
                };
                let mut known = self.known();
                known.is_asked = true;
                known.limit = limit.filter(|_| found.is_some());
                known.identity = found.map(Arc::new);
                self.direct.store(known.identity.is_some(), Ordering::Relaxed);
                Ok(known.identity.clone())
            }
        }
    }

    /// Whether the session limits statements by our rule and not by the server's.
    pub(crate) fn is_limited(&self) -> bool {
        self.known().limit.is_some()
    }

    /// It turned out to serve others as well.
    pub(crate) fn disown(&self) {
        self.known().identity = None;
        self.direct.store(false, Ordering::Relaxed);
    }

    /// A statement, prepared where it has not been. Only for a backend that is known.
    pub(crate) async fn prepare(
        &self,
        client: &Client,
        text: &str,
        types: &[Type],
    ) -> Result<Statement, Error> {
        if let Some(found) = self.prepared(text, types) {
            return Ok(found);
        }
        let statement = client.prepare_typed(text, types).await?;
        let mut known = self.known();
        if known.prepared.len() >= MOST_PREPARED {
            known.prepared.remove(0);
        }
        known.prepared.push(Prepared {
            text: text.into(),
            types: types.into(),
            statement: statement.clone(),
        });
        Ok(statement)
    }

    fn prepared(&self, text: &str, types: &[Type]) -> Option<Statement> {
        let mut known = self.known();
        let is_it = |one: &Prepared| &*one.text == text && &*one.types == types;
        let at = known.prepared.iter().rposition(is_it)?;
        known.prepared[at..].rotate_left(1);
        known.prepared.last().map(|one| one.statement.clone())
    }

    /// The server has none of the prepared statements any more.
    pub(crate) fn forget_prepared(&self) {
        self.known().prepared.clear();
    }
}

/// Marks the backend and limits its statements, if it is the one that the greeting numbered. `None`
/// where it is not, or will not.
async fn ask(client: &Client, pid: i32, limit: Option<u64>) -> Result<Option<Identity>, Error> {
    let mark = format!("batchflow.s_{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let limit = set_limit(limit);
    let text = format!(
        "SELECT s.pid, pg_catalog.encode(pg_catalog.timestamptz_send(s.backend_start), 'hex'), \
         pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time()), \
         'hex'), CASE WHEN pg_catalog.set_config('{mark}', '', false) IS NOT NULL \
         THEN pg_catalog.current_setting('{mark}') IS NOT NULL END, {limit} \
         FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS s \
         WHERE s.pid = {pid}"
    );
    let messages = match client.simple_query(&text).await {
        Ok(messages) => messages,
        Err(error) if error.as_db_error().is_some() && !client.is_closed() => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Identity::read(row, mark.clone()),
        _ => None,
    }))
}

fn set_limit(limit: Option<u64>) -> String {
    let limit = limit.map_or_else(|| "NULL".to_owned(), |limit| format!("'{limit}'"));
    format!("pg_catalog.set_config('statement_timeout', {limit}, false)")
}

/// Whether a session's limit does for an attempt that wants another: the server answers a little
/// before the attempt is over, and not much earlier.
fn fits(has: Option<u64>, wanted: Option<u64>) -> bool {
    match (has, wanted) {
        (None, None) => true,
        // The margin between the two is a ninth of what is wanted, or half a second.
        (Some(has), Some(wanted)) => {
            has <= wanted.saturating_add((wanted / 18).min(250)) && has >= wanted / 4 * 3
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

    use batchflow_core::{ConflictStrategy, Schema};
    use tokio_postgres::error::SqlState;
    use tokio_postgres::types::ToSql;

    use super::*;
    use crate::statement::Texts;
    use crate::types::TypeKind;
    use crate::unit::{clean_up, column, connect, is_pooled, run, table};

    fn backend() -> Backend {
        Backend::new(Arc::new(AtomicBool::new(true)))
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn a_backend_is_known_only_where_the_greeting_was_its_own() {
        let client = connect().await;
        let backend = backend();
        let identity = backend.identify(&client, Some(29_500)).await.unwrap();
        assert_eq!(identity.is_some(), !is_pooled());
        assert_eq!((backend.may_be_own(), backend.is_limited()), (!is_pooled(), !is_pooled()));
        let limit = column(&client, "SHOW statement_timeout").await.unwrap();
        assert_eq!(limit == [Some("29500ms".to_owned())], !is_pooled(), "{limit:?}");
        if let Some(identity) = identity {
            let pid = column(&client, "SELECT pg_backend_pid()").await.unwrap();
            assert_eq!(pid, [Some(identity.pid.to_string())]);
            assert_eq!(backend.identify(&client, None).await.unwrap(), Some(identity));
            let limit = column(&client, "SHOW statement_timeout").await.unwrap();
            assert_eq!(limit, [Some("0".to_owned())], "the server's own rule");
        }
        clean_up(client).await;
    }

    /// However it came there: by a pooler that hands transactions around, say.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_3_a_statement_for_one_backend_writes_nothing_on_another() {
        if is_pooled() {
            return;
        }
        let (own, other) = (connect().await, connect().await);
        let identity = backend().identify(&own, None).await.unwrap().unwrap();
        let own_schema = column(&own, "SELECT current_schema()").await.unwrap().remove(0).unwrap();
        run(&own, "CREATE TABLE t (id int8 PRIMARY KEY, name text)").await;
        let columns = [("id", "bigint", TypeKind::Int8), ("name", "text", TypeKind::Name)];
        let table = table(&format!("{own_schema}.t"), &columns);
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["id", "name"]).unwrap();
        let texts = Texts::new(&schema, &table, &[0, 1]);
        let text = texts.row_at_once().unwrap();
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&1_i64, Type::INT8), (&"x", Type::TEXT), (&identity.mark, Type::TEXT)];
        let error = other.execute_typed(&text, &parameters).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_OBJECT));
        let said = error.as_db_error().unwrap().message();
        assert!(said.contains(&identity.mark), "{said}");
        assert_eq!(own.execute_typed(&text, &parameters).await.unwrap(), 1);
        // What resets a session leaves it the same backend.
        run(&own, "DISCARD ALL").await;
        let reset = format!("SELECT current_setting('{}')", identity.mark);
        assert_eq!(column(&own, &reset).await.unwrap(), [Some(String::new())]);
        run(&other, &format!("DROP SCHEMA {own_schema} CASCADE")).await;
        clean_up(other).await;
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn a_connection_keeps_so_many_statements_prepared_and_no_more() {
        let client = connect().await;
        let backend = backend();
        run(&client, "BEGIN").await;
        for number in (0..MOST_PREPARED + 6).chain([MOST_PREPARED, MOST_PREPARED + 1]) {
            backend
                .prepare(&client, &format!("SELECT $1 + {number}"), &[Type::INT4])
                .await
                .unwrap();
        }
        let count =
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1 + %'";
        let expected = [Some(MOST_PREPARED.to_string())];
        assert_eq!(column(&client, count).await.unwrap(), expected);
        let last = backend.known().prepared.last().map(|one| one.text.to_string());
        assert_eq!(last, Some(format!("SELECT $1 + {}", MOST_PREPARED + 1)));
        backend.forget_prepared();
        assert_eq!(column(&client, count).await.unwrap(), [Some("0".to_owned())]);
        run(&client, "ROLLBACK").await;
        clean_up(client).await;
    }

    #[test]
    fn a_sessions_limit_is_set_anew_where_an_attempt_has_much_more_or_less_time() {
        for (has, wanted, expected) in [
            (None, None, true),
            (None, Some(29_500), false),
            (Some(29_500), None, false),
            (Some(29_500), Some(29_500), true),
            (Some(29_500), Some(29_300), true),
            (Some(29_500), Some(29_100), false),
            (Some(29_500), Some(39_500), false),
            (Some(29_500), Some(39_300), true),
            (Some(900), Some(855), true),
            (Some(900), Some(840), false),
            (Some(1), Some(1), true),
        ] {
            assert_eq!(fits(has, wanted), expected, "{has:?} {wanted:?}");
        }
    }
}
