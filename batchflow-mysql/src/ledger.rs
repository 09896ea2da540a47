//! [`Ledger`]: the table that tells which batches were committed, where the user keeps one.

use std::time::Duration;

use batchflow_core::{ErrorKind, Stage, WriteError};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use crate::error::translate;
use crate::session::Page;

/// How often rows that nobody asks for any more are deleted: every so many batches of a session.
const PURGE_EVERY: u64 = 1_024;

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
        let quote = |part: &str| format!("`{}`", part.replace('`', "``"));
        let quoted = match name.split_once('.') {
            Some((database, table)) => format!("{}.{}", quote(database), quote(table)),
            None => quote(&name),
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
            "SELECT batch FROM {} WHERE session = {} FOR UPDATE",
            self.quoted,
            page.literal()
        );
        let asked: Option<u64> =
            conn.query_first(text).await.map_err(|error| self.place(&error, Stage::Settle))?;
        Ok(asked == Some(page.batches))
    }

    /// That the table is one that can be written in the same transaction.
    pub(crate) async fn check(&self, conn: &mut Conn) -> Result<(), WriteError> {
        let text = format!("SELECT session, batch, written_at FROM {} LIMIT 0", self.quoted);
        conn.query_drop(text).await.map_err(|error| self.place(&error, Stage::Describe))?;
        let (database, table) = match self.name.split_once('.') {
            Some((database, table)) => (Some(database), table),
            None => (None, &*self.name),
        };
        let text = "SELECT t.TABLE_NAME FROM information_schema.TABLES t \
                    JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
                    WHERE t.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND t.TABLE_NAME = ? \
                    AND e.TRANSACTIONS = 'YES'";
        let found: Option<String> = conn
            .exec_first(text, (database, table))
            .await
            .map_err(|error| self.place(&error, Stage::Describe))?;
        match found {
            Some(_) => Ok(()),
            None => {
                let error = WriteError::new(ErrorKind::Schema).at(Stage::Describe);
                let error = error.with_table(&self.name);
                Err(error.with_message("the ledger's engine knows no transactions"))
            }
        }
    }

    /// Deletes what is older than a day, after some of the batches. Whether the connection is still
    /// of use.
    pub(crate) async fn purge(&self, conn: &mut Conn, page: Page) -> bool {
        if page.batches % PURGE_EVERY != 1 {
            return true;
        }
        let text = format!(
            "DELETE FROM {} WHERE written_at < CURRENT_TIMESTAMP - INTERVAL 1 DAY LIMIT 1000; \
             COMMIT",
            self.quoted
        );
        matches!(timeout(PURGE, conn.query_drop(text)).await, Ok(Ok(())))
    }

    pub(crate) fn place(&self, error: &mysql_async::Error, stage: Stage) -> WriteError {
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
