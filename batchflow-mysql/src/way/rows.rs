//! Prepared inserts of many rows each.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mysql_async::prelude::{AsQuery, Queryable, StatementLike};
use mysql_async::{Conn, Error, Params, Value};

use super::Failed;
use crate::plan::Plan;

/// Sends so many rows a statement.
pub(super) async fn send(
    conn: &mut Conn,
    plan: &Plan,
    values: Vec<Value>,
    statements: &[usize],
) -> Result<u64, Failed> {
    let width = plan.columns.len();
    let (mut first, mut affected) = (0, 0);
    let mut rest = values.into_iter();
    for &rows in statements {
        let values: Vec<Value> = if rest.len() == rows * width {
            std::mem::take(&mut rest).collect()
        } else {
            rest.by_ref().take(rows * width).collect()
        };
        let params = if width == 0 { Params::Empty } else { Params::Positional(values) };
        let sent = if rows == 1 {
            execute(conn, plan.texts.row.as_str(), params).await
        } else {
            execute(conn, plan.texts.rows(rows), params).await
        };
        sent.map_err(|error| Failed::Write(error, Some((first, rows))))?;
        affected += conn.affected_rows();
        first += rows;
    }
    Ok(affected)
}

/// Executes a prepared statement, which the client keeps for the next time.
async fn execute(
    conn: &mut Conn,
    text: impl AsQuery + StatementLike,
    params: Params,
) -> Result<(), Error> {
    if conn.opts().stmt_cache_size() > 0 {
        return conn.exec_drop(text, params).await;
    }
    // A given pool's client that keeps none: nobody else would close it.
    let statement = conn.prep(text).await?;
    let sent = conn.exec_drop(&statement, params).await;
    let closed = conn.close(statement).await;
    sent.and(closed)
}

/// So often a size must have been seen more than all others for a statement of its own.
const OFTEN: usize = 4;

/// The one size of statement that batches ask for again and again, beside the powers of two: a
/// flow's batches mostly are of one length. What is prepared is bounded so, and most batches are
/// one statement.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    /// The size seen more often than all others of late, and by how much.
    candidate: AtomicUsize,
    lead: AtomicUsize,
    /// The size that has a statement of its own; 0 for none.
    own: AtomicUsize,
}

impl Repeated {
    /// Counts a size, and says whether it has a statement of its own.
    pub(super) fn count(&self, size: usize) -> bool {
        // Batches that are counted at one moment may miscount: all that is lost is a little time.
        if self.candidate.load(Relaxed) == size {
            let lead = self.lead.load(Relaxed).saturating_add(1).min(2 * OFTEN);
            self.lead.store(lead, Relaxed);
            if lead >= OFTEN {
                self.own.store(size, Relaxed);
            }
        } else if self.lead.load(Relaxed) > 1 {
            self.lead.fetch_sub(1, Relaxed);
        } else {
            self.candidate.store(size, Relaxed);
            self.lead.store(1, Relaxed);
        }
        self.own.load(Relaxed) == size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_size_that_prevails_has_a_statement_of_its_own() {
        let repeated = Repeated::default();
        let counted: Vec<bool> = [1_000; 5].map(|size| repeated.count(size)).into();
        assert_eq!(counted, [false, false, false, true, true]);
        assert!(!repeated.count(999) && repeated.count(1_000));
        for size in 0..100 {
            assert!(!repeated.count(size), "{size}");
        }
        for _ in 0..12 {
            repeated.count(500);
        }
        assert!(repeated.count(500) && !repeated.count(1_000));
    }
}
