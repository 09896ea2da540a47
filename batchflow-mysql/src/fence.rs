//! [`Fences`]: ends what a connection is doing, and sees it ended.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Row};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::connect::Source;
use crate::session::{Mark, Session};

/// How long it may take to end a session and see it ended.
const END: Duration = Duration::from_secs(10);

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// The most sessions that are being ended at once. Beyond it, they are closed and left to the
/// server.
const MOST: usize = 64;

/// A session as another one can find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whom {
    pub(crate) mark: Mark,
    /// The server that it is a session of.
    pub(crate) identity: String,
    /// Which of the configured hosts that was reached by.
    pub(crate) host: usize,
}

impl Whom {
    pub(crate) fn of(session: &Session) -> Self {
        let identity = session.known().identity.clone();
        Self { mark: session.mark(), identity, host: session.host() }
    }
}

/// Owns the tasks that end sessions.
pub(crate) struct Fences {
    source: Arc<Source>,
    tasks: Mutex<JoinSet<()>>,
}

impl Fences {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self { source, tasks: Mutex::default() }
    }

    /// Closes a connection, and ends what it is doing. The answer is whether it was seen to end;
    /// `None` where no task could be started, and the connection was only closed.
    pub(crate) fn end(&self, session: Session) -> Option<oneshot::Receiver<bool>> {
        let whom = Whom::of(&session);
        drop(session);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let runtime = Handle::try_current().ok().filter(|_| tasks.len() < MOST)?;
        let (ended, seen) = oneshot::channel();
        let source = Arc::clone(&self.source);
        let task = async move {
            // Nobody may be waiting any more.
            let _ = ended.send(timeout(END, seen_to_end(&source, &whom)).await == Ok(true));
        };
        tasks.spawn_on(task, &runtime);
        Some(seen)
    }

    /// Waits until all has ended, which is not long.
    pub(crate) async fn close(&self) {
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

impl fmt::Debug for Fences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fences").finish_non_exhaustive()
    }
}

async fn seen_to_end(source: &Source, whom: &Whom) -> bool {
    let Ok(mut aside) = source.aside(whom.host).await else { return false };
    if aside.known().identity != whom.identity {
        return false;
    }
    let Ok(conn) = aside.conn() else { return false };
    loop {
        match end(conn, whom.mark).await {
            Ok(true) => break,
            Ok(false) => sleep(LOOK).await,
            Err(_) => return false,
        }
    }
    aside.give_back().await;
    true
}

/// Ends a session of this server, unless it is about to commit. Whether it has ended: what it left
/// open is rolled back by then.
pub(crate) async fn end(conn: &mut Conn, mark: Mark) -> Result<bool, Error> {
    let text = format!("SELECT IS_USED_LOCK('{}')", mark.lock());
    let holder: Option<Option<u64>> = conn.query_first(text).await?;
    let Some(id) = holder.flatten() else { return Ok(true) };
    // A commit that waits for a replica would end without it. A statement in autocommit is its own
    // commit.
    if !commits(conn, id).await? {
        match conn.query_drop(format!("KILL CONNECTION {id}")).await {
            // It may have gone meanwhile, or be on its way.
            Ok(()) | Err(Error::Server(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether a session commits, as far as is known: one that is not listed may.
///
/// Not asked of `information_schema.PROCESSLIST`: MySQL converts every session's statement to text
/// for it, and fails where one of them is none (error 3854).
async fn commits(conn: &mut Conn, id: u64) -> Result<bool, Error> {
    let sessions: Vec<Row> = conn.query("SHOW PROCESSLIST").await?;
    let session = sessions.iter().find(|session| {
        session.get_opt::<u64, _>("Id").is_some_and(|found| found.is_ok_and(|found| found == id))
    });
    let Some(session) = session else { return Ok(true) };
    let word = |column| {
        let word = session.get_opt::<Option<Vec<u8>>, _>(column).and_then(Result::ok);
        word.flatten().unwrap_or_default()
    };
    let (info, state) = (word("Info"), word("State"));
    let begins = |text: &[u8]| info.get(..text.len()).is_some_and(|i| i.eq_ignore_ascii_case(text));
    Ok(begins(b"COMMIT") || String::from_utf8_lossy(&state).to_lowercase().contains("semi-sync"))
}
