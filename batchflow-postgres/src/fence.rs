//! [`Fences`]: ends what a connection is doing, sees it ended, and closes the connection.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::Settled;
use futures_util::future::join;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::connect::{ConnectionSource, Guarded, Lease};
use crate::settle::settle;
use crate::transaction::{Begin, Started};

/// How long the answer to a beginning is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// How long it may take to end a transaction by each of the two means.
const END: Duration = Duration::from_secs(5);

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

/// From another connection, where the transaction is known: that hits no stranger, and the server
/// says when it is over. A request to cancel, which knows neither, is the last resort; poolers have
/// been seen to break over it.
async fn end(source: &dyn ConnectionSource, lease: Box<dyn Lease>, begin: &Begin) -> bool {
    let ended = seen_to_end(source, lease.client(), begin).await;
    lease.discard();
    ended
}

async fn seen_to_end(source: &dyn ConnectionSource, client: &Client, begin: &Begin) -> bool {
    // It waits behind what is running, so its answer says that that has ended.
    let mut rolled_back = pin!(client.batch_execute("ROLLBACK"));
    // What has just been sent may be answered yet, and says whom to end.
    let known = timeout(PATIENCE, async {
        while begin.started().is_none() {
            sleep(LOOK).await;
        }
    });
    let answer = tokio::select! {
        biased;
        answer = &mut rolled_back => Some(answer.is_ok()),
        _ = known => None,
    };
    if answer == Some(true) {
        return true;
    }
    if let Some(started) = begin.started()
        && timeout(END, from_aside(source, started)).await == Ok(true)
    {
        return true;
    }
    if answer.is_some() {
        return false;
    }
    let cancel = timeout(END, source.cancel(client.cancel_token()));
    let (answer, _) = join(timeout(END, rolled_back), cancel).await;
    matches!(answer, Ok(Ok(())))
}

/// Ends a transaction from another connection, and waits until it is over.
async fn from_aside(source: &dyn ConnectionSource, started: &Started) -> bool {
    let Ok(aside) = source.aside().await else { return false };
    let aside = Guarded::new(aside);
    let Ok(client) = aside.client() else { return false };
    while let Ok(settled) = settle(client, started).await {
        if settled != Settled::Running {
            aside.give_back();
            return true;
        }
    }
    false
}

/// Ends a transaction's backend, if that still runs it, from another connection. Not while it
/// commits: a commit that waits for a standby would end without it.
pub(crate) async fn terminate(client: &Client, started: &Started) {
    let Started { pid, xid, .. } = started;
    let text = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE pid = {pid} AND backend_xid = '{xid}'::pg_catalog.xid8::pg_catalog.xid \
         AND wait_event IS DISTINCT FROM 'SyncRep' \
         AND NOT (state = 'active' AND query = 'COMMIT')"
    );
    // That it was refused, the transaction's status tells.
    let _ = client.simple_query(&text).await;
}
