//! [`Fences`]: ends what a connection is doing, sees it ended, and closes the connection.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batchflow_core::{Settled, WriteError};
use futures_util::future::join;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::connect::{ConnectionSource, Guarded, Lease};
use crate::ended::{self, Sent};
use crate::settle::{PAUSE, settle};
use crate::transaction::{Begin, Started};

/// How long what runs may take to end by itself, where it is not known whom to end.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long it may take to end a transaction by each of the two means.
const END: Duration = Duration::from_secs(5);

/// The most connections that are being ended at once. Beyond it, they are closed and left to the
/// server.
const MOST: usize = 64;

/// What a connection is doing that is to end.
#[derive(Debug)]
pub(crate) enum Doing {
    /// A transaction, which the server may not have told of yet.
    Transaction(Arc<Begin>),
    /// A statement that is a transaction of its own.
    Statement(Sent),
}

/// What is known of it, for another connection to ask by.
#[derive(Clone, Copy)]
enum Known<'a> {
    Transaction(&'a Started),
    Statement(&'a Sent),
}

impl Doing {
    fn known(&self) -> Option<Known<'_>> {
        match self {
            Self::Transaction(begin) => begin.started().map(Known::Transaction),
            Self::Statement(sent) => Some(Known::Statement(sent)),
        }
    }
}

impl Known<'_> {
    async fn settle(self, client: &Client) -> Result<Settled, WriteError> {
        match self {
            Self::Transaction(started) => settle(client, started).await,
            Self::Statement(sent) => ended::settle(client, sent).await,
        }
    }
}

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
        doing: Doing,
    ) -> Option<oneshot::Receiver<bool>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let Some(runtime) = Handle::try_current().ok().filter(|_| tasks.len() < MOST) else {
            lease.discard();
            return None;
        };
        // However the task ends: it may be aborted before it has begun.
        let lease = Guarded::new(lease);
        let (ended, seen) = oneshot::channel();
        let source = Arc::clone(&self.source);
        let task = async move {
            // Nobody may be waiting any more.
            let _ = ended.send(end(&*source, lease, &doing).await);
        };
        tasks.spawn_on(task, &runtime);
        Some(seen)
    }

    /// Has the server cancel a statement, again and again: it may not have begun. From another
    /// connection, which sees whether it commits; where none can be had, by a request to cancel.
    /// `asked` is set before the server can have been asked.
    ///
    /// Never returns: the answer comes on the statement's own connection.
    pub(crate) async fn cancel(&self, client: &Client, sent: &Sent, asked: &AtomicBool) {
        if let Ok(aside) = self.source.aside().await {
            let aside = Guarded::new(aside);
            while let Ok(aside) = aside.client()
                && !aside.is_closed()
            {
                let before = asked.swap(true, Ordering::Relaxed);
                let now = ended::cancel(aside, sent).await;
                asked.store(before || now, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        }
        asked.store(true, Ordering::Relaxed);
        loop {
            let _ = self.source.cancel(client.cancel_token()).await;
            tokio::time::sleep(PAUSE).await;
        }
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

/// From another connection, where the transaction is known: that hits no stranger, and the server
/// says when it is over. A request to cancel, which knows neither, is the last resort; poolers have
/// been seen to break over it.
///
/// The connection is closed with it.
async fn end(source: &dyn ConnectionSource, lease: Guarded, doing: &Doing) -> bool {
    match lease.client() {
        Ok(client) => seen_to_end(source, client, doing).await,
        Err(_gone) => false,
    }
}

async fn seen_to_end(source: &dyn ConnectionSource, client: &Client, doing: &Doing) -> bool {
    // It waits behind what is running, so its answer says that that has ended.
    let mut rolled_back = pin!(client.batch_execute("ROLLBACK"));
    let known = doing.known();
    let patience = if known.is_some() { Duration::ZERO } else { PATIENCE };
    let answer = timeout(patience, &mut rolled_back).await.ok();
    if let Some(Ok(())) = answer {
        return true;
    }
    if let Some(known) = known
        && timeout(END, from_aside(source, known)).await == Ok(true)
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

/// Ends it from another connection, and waits until it is over.
async fn from_aside(source: &dyn ConnectionSource, known: Known<'_>) -> bool {
    let Ok(aside) = source.aside().await else { return false };
    let aside = Guarded::new(aside);
    let Ok(client) = aside.client() else { return false };
    while let Ok(settled) = known.settle(client).await {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use batchflow_core::{ErrorKind, WriteError};

    use super::*;
    use crate::unit::{clean_up, column, connect, run};

    #[derive(Debug)]
    struct Empty;

    #[async_trait]
    impl ConnectionSource for Empty {
        async fn acquire(&self) -> Result<Box<dyn Lease>, WriteError> {
            Err(WriteError::new(ErrorKind::Connection))
        }
    }

    #[derive(Debug, Default)]
    struct Ends {
        discarded: AtomicUsize,
        given_back: AtomicUsize,
    }

    struct Lent(Option<Client>, Arc<Ends>);

    impl Lease for Lent {
        fn client(&self) -> &Client {
            self.0.as_ref().unwrap()
        }

        fn discard(mut self: Box<Self>) {
            self.0 = None;
            self.1.discarded.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Drop for Lent {
        fn drop(&mut self) {
            if self.0.is_some() {
                self.1.given_back.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: cargo xtask integration"]
    async fn promise_9_a_connection_whose_fence_is_aborted_is_never_given_back() {
        let (client, other) = (connect().await, connect().await);
        run(&client, "BEGIN; CREATE TABLE t (id int8)").await;
        let pid = column(&client, "SELECT pg_backend_pid()").await.unwrap().remove(0).unwrap();
        let ends = Arc::new(Ends::default());
        let fences = Fences::new(Arc::new(Empty));
        let lease = Box::new(Lent(Some(client), Arc::clone(&ends)));
        assert!(fences.end(lease, Doing::Transaction(Arc::new(Begin::new(None)))).is_some());
        // Before the task has been polled.
        drop(fences);
        while ends.discarded.load(Ordering::Relaxed) == 0 {
            assert_eq!(
                ends.given_back.load(Ordering::Relaxed),
                0,
                "in the middle of a transaction"
            );
            tokio::task::yield_now().await;
        }
        let is_there = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid}");
        while !column(&other, &is_there).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        clean_up(other).await;
    }
}
