//! [`Fences`]: ends what a connection is doing, sees it ended, and closes the connection.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::Client;

use crate::connect::{ConnectionSource, Lease};
use crate::transaction::{Begin, Started};

/// How long a statement is asked to end, and waited for.
const CANCEL: Duration = Duration::from_secs(5);

/// A request to cancel may come before what it is meant for: it is repeated so often.
const AGAIN: Duration = Duration::from_millis(300);

/// How long it may take to end the backend from another connection.
const TERMINATE: Duration = Duration::from_secs(5);

/// The most connections that are being ended at once. Beyond it, they are closed and left to the
/// server.
const MOST: usize = 64;

/// Owns the tasks that end connections.
pub(crate) struct Fences {
    source: Arc<dyn ConnectionSource>,
    tasks: Mutex<JoinSet<()>>,
}

impl Fences {
    pub(crate) fn new(source: Arc<dyn ConnectionSource>) -> Self {
        Self { source, tasks: Mutex::default() }
    }

    /// Ends what a connection is doing, and closes it. The answer is whether it was seen to end;
    /// `None` where no task could be started, and the connection was only closed.
    pub(crate) fn end(
        &self,
        lease: Box<dyn Lease>,
        begin: Arc<Begin>,
    ) -> Option<oneshot::Receiver<bool>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let Some(runtime) = Handle::try_current().ok().filter(|_| tasks.len() < MOST) else {
            lease.discard();
            return None;
        };
        let (ended, seen) = oneshot::channel();
        let source = Arc::clone(&self.source);
        let task = async move {
            // Nobody may be waiting any more.
            let _ = ended.send(end(&*source, lease, &begin).await);
        };
        tasks.spawn_on(task, &runtime);
        Some(seen)
    }

    /// Waits until all has ended, which is not long.
    pub(crate) async fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.join_all().await;
    }
}

impl fmt::Debug for Fences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fences").finish_non_exhaustive()
    }
}

async fn end(source: &dyn ConnectionSource, lease: Box<dyn Lease>, begin: &Begin) -> bool {
    let client = lease.client();
    let cancel = async {
        let mut again = interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            again.tick().await;
            // That it was refused, the missing answer tells.
            let _ = source.cancel(client.cancel_token()).await;
        }
    };
    // It waits behind what is running, so its answer says that that has ended.
    let answered = async {
        tokio::select! {
            answer = client.batch_execute("ROLLBACK") => answer.is_ok(),
            () = cancel => false,
        }
    };
    let ended = timeout(CANCEL, answered).await.unwrap_or(false);
    lease.discard();
    let Some(started) = begin.started().filter(|_| !ended) else { return ended };
    let terminate = async {
        let Ok(aside) = source.aside().await else { return false };
        let done = terminate(aside.client(), started).await;
        aside.discard();
        done
    };
    timeout(TERMINATE, terminate).await.unwrap_or(false)
}

/// Ends a transaction's backend, if that still runs it, from another connection. Not while it
/// commits: a commit that waits for a standby would end without it. Whether it was asked to.
pub(crate) async fn terminate(client: &Client, started: &Started) -> bool {
    let Started { pid, xid, .. } = started;
    let text = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE pid = {pid} AND backend_xid = '{xid}'::pg_catalog.xid8::pg_catalog.xid \
         AND wait_event IS DISTINCT FROM 'SyncRep' \
         AND NOT (state = 'active' AND query = 'COMMIT')"
    );
    client.simple_query(&text).await.is_ok()
}
