//! What became of a commit whose answer never came: its session is seen to end, then the ledger is
//! asked, where there is one.
//!
//! Another server than the transaction's own sees no session of it end. It has only the ledger to
//! tell by, and only that it was committed: it may not have heard yet, or never will.

use std::time::Duration;

use batchflow_core::{ErrorKind, Settled, Stage, WriteError};

use crate::error::translate;
use crate::fence::{Whom, end};
use crate::ledger::Ledger;
use crate::session::{Page, Session};

/// How often a session that is being ended is looked at before core is told that it runs.
const LOOKS: u32 = 20;

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a commit is asked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) whom: Whom,
    /// Where the ledger notes it; `None` where it does not.
    pub(crate) page: Option<Page>,
}

/// Asks on a session that is not the transaction's own.
pub(crate) async fn settle(
    aside: &mut Session,
    started: &Started,
    ledger: Option<&Ledger>,
) -> Result<Settled, WriteError> {
    let known = aside.known().clone();
    let is_same = known.identity == started.whom.identity;
    let conn = aside.conn()?;
    if is_same && !has_ended(conn, started).await? {
        return Ok(Settled::Running);
    }
    let noted = match (ledger, started.page) {
        (Some(ledger), Some(page)) => Some(ledger.has(conn, page).await?),
        _ => None,
    };
    match noted {
        Some(true) => Ok(Settled::Committed),
        Some(false) if is_same => Ok(Settled::NotApplied),
        None if is_same => Ok(Settled::Unknown),
        _ => {
            let kind = if known.read_only { ErrorKind::ReadOnly } else { ErrorKind::Connection };
            let error = WriteError::new(kind).at(Stage::Settle);
            Err(error.with_message("another server cannot tell whether the session has ended"))
        }
    }
}

async fn has_ended(conn: &mut mysql_async::Conn, started: &Started) -> Result<bool, WriteError> {
    for _ in 0..LOOKS {
        let ended = end(conn, started.whom.mark).await;
        if ended.map_err(|error| translate(&error, Stage::Settle, None))? {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}
