//! [`Ledger`]: the table that tells which batches were committed, where the user keeps one.

use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};
use tokio::time::timeout;

use crate::catalog::{ask, literal};
use crate::error::translate;
use crate::session::Page;
use crate::statement::quoted;

/// How often rows that nobody asks for any more are deleted: every so many batches of a session.
const PURGE_EVERY: u64 = 1_024;

/// About how many are deleted at once.
const PURGE_ROWS: usize = 1_000;

/// How long deleting them may take.
const PURGE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Ledger {
    /// As the user wrote it.
    name: String,
    quoted: String,
}

impl Ledger {
    /// By a name whose first dot parts the database from the table.
    pub(crate) fn new(name: String) -> Self {
        let quoted = match name.split_once('.') {
            Some((database, table)) => format!("{}.{}", quoted(database), quoted(table)),
            None => quoted(&name),
        };
        Self { name, quoted }
    }

    /// What notes a page's last batch, in the batch's own transaction.
    pub(crate) fn note(&self, page: Page) -> String {
        format!(
            "INSERT INTO {} (session, batch) VALUES ({}, {batch}) ON DUPLICATE KEY UPDATE \
             batch = {batch}, written_at = CURRENT_TIMESTAMP",
            self.quoted,
            page.literal(),
            batch = page.batches,
        )
    }

    /// Whether a page's last batch was committed; asked when its session has ended.
    pub(crate) async fn has(&self, conn: &mut Conn, page: Page) -> Result<bool, WriteError> {
        let text = format!(
            "SELECT 1 FROM {} WHERE session = {} AND batch = {} FOR UPDATE",
            self.quoted,
            page.literal(),
            page.batches
        );
        let found: Option<u64> =
            conn.query_first(text).await.map_err(|error| self.place(&error, Stage::Settle))?;
        Ok(found.is_some())
    }

    /// That the table is one that can be written in the same transaction, and has one row for each
    /// session.
    pub(crate) async fn check(&self, conn: &mut Conn) -> Result<(), WriteError> {
        let text = format!("SELECT session, batch, written_at FROM {} LIMIT 0", self.quoted);
        conn.query_drop(text).await.map_err(|error| self.place(&error, Stage::Describe))?;
        let (database, table) = match self.name.split_once('.') {
            Some((database, table)) => (literal(database), literal(table)),
            None => ("DATABASE()".to_owned(), literal(&self.name)),
        };
        let text = format!(
            "SELECT e.TRANSACTIONS = 'YES', EXISTS (\
                    SELECT 1 FROM information_schema.STATISTICS s \
                    WHERE s.TABLE_SCHEMA = t.TABLE_SCHEMA AND s.TABLE_NAME = t.TABLE_NAME \
                    GROUP BY s.INDEX_NAME HAVING MAX(s.NON_UNIQUE) = 0 AND COUNT(*) = 1 \
                    AND MAX(LOWER(s.COLUMN_NAME)) = 'session' AND MAX(s.SUB_PART) IS NULL) \
                    FROM information_schema.TABLES t \
                    JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
                    WHERE t.TABLE_SCHEMA = {database} AND t.TABLE_NAME = {table}"
        );
        let found: Vec<(bool, bool)> =
            ask(conn, text).await.map_err(|error| self.place(&error, Stage::Describe))?;
        match found.first() {
            Some((true, true)) => Ok(()),
            Some((true, false)) => {
                Err(self.refuse("the ledger has no unique index on exactly `session`"))
            }
            _ => Err(self.refuse("the ledger's engine knows no transactions")),
        }
    }

    fn refuse(&self, why: &str) -> WriteError {
        let error = WriteError::new(ErrorKind::Schema).at(Stage::Describe);
        error.with_table(&self.name).with_message(why)
    }

    /// Deletes what is older than a day, after some of the batches. Whether the connection is still
    /// of use.
    pub(crate) async fn purge(&self, conn: &mut Conn, page: Page) -> bool {
        if page.batches % PURGE_EVERY != 1 {
            return true;
        }
        matches!(timeout(PURGE, self.delete_old(conn)).await, Ok(Ok(())))
    }

    /// Up to a moment that is looked up first: a server that logs statements warns of a `DELETE`
    /// with a limit.
    async fn delete_old(&self, conn: &mut Conn) -> Result<(), Error> {
        let text = format!(
            "SELECT MAX(written_at) FROM (SELECT written_at FROM {} \
             WHERE written_at < CURRENT_TIMESTAMP - INTERVAL 1 DAY \
             ORDER BY written_at LIMIT {PURGE_ROWS}) old",
            self.quoted
        );
        let last: Option<Option<String>> = conn.query_first(text).await?;
        let text = match last.flatten() {
            Some(last) => {
                let last = literal(&last);
                format!("DELETE FROM {} WHERE written_at <= {last}; COMMIT", self.quoted)
            }
            None => "COMMIT".to_owned(),
        };
        conn.query_drop(text).await
    }

    pub(crate) fn place(&self, error: &Error, stage: Stage) -> WriteError {
        let error = translate(error, stage, None).with_table(&self.name);
        match error.kind() {
            ErrorKind::Schema => error.with_message(
                "the ledger is not as `MysqlConfig::ledger` describes it, or is missing",
            ),
            ErrorKind::Permission => {
                error.with_message("this user may not do with the ledger what is needed")
            }
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_is_quoted_with_its_database() {
        for (name, quoted) in
            [("ledger", "`ledger`"), ("app.led`ger", "`app`.`led``ger`"), ("a.b.c", "`a`.`b.c`")]
        {
            assert_eq!(Ledger::new(name.to_owned()).quoted, quoted);
        }
    }
}
