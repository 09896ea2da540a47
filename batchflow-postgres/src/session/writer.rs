//! [`SessionWriter`]: sessions in, a summary out.

use std::fmt;
use std::sync::Arc;

use batchflow_core::{BatchWriter, ConfigError, Driver, Schema, Timestamp};

use super::{CREATE_TABLE, Session, SessionError, SessionSummary, SessionWriterBuilder};

/// Upserts [`Session`]s, one batch at a time, while the caller waits.
///
/// It has no task of its own and may be shared; upserts that run at the same time know nothing of
/// each other. What it was given to write with stays open when it is dropped.
#[derive(Clone)]
pub struct SessionWriter {
    pub(super) writer: Arc<BatchWriter>,
    /// Writes the sessions' own `updated_at`.
    pub(super) preserving: Schema,
    /// Leaves `updated_at` to the server's clock.
    pub(super) touching: Schema,
}

impl SessionWriter {
    /// A writer to the table `sessions` with the builder's defaults.
    pub fn new(driver: impl Driver) -> Result<Self, ConfigError> {
        Self::builder(driver).build()
    }

    /// Begins a writer. The driver is a [`PostgresDriver`](crate::PostgresDriver), or an `Arc` of
    /// one that others use too.
    pub fn builder(driver: impl Driver) -> SessionWriterBuilder {
        SessionWriterBuilder::new(driver)
    }

    /// Inserts the sessions that are new, and overwrites the others but for their `created_at`.
    ///
    /// With `preserve_updated_at`, a session's own `updated_at` is written, and now where it has
    /// none, by this machine's clock at the call; otherwise every session takes the server's
    /// clock. No sessions are no work: the server is not asked.
    ///
    /// Of two sessions with one id, the later one stands. A session at fault costs itself alone,
    /// and is in the summary; the failures take memory for each session that failed.
    ///
    /// # Errors
    ///
    /// A failure of the whole, such as a missing table, or too many transient ones in a row, stops
    /// with a [`SessionError`] that hands back what was not written.
    ///
    /// Not cancel safe: of the batch in flight when the future is dropped, nobody knows whether it
    /// was applied, and the sessions taken and not written are dropped.
    pub async fn upsert<I>(
        &self,
        sessions: I,
        preserve_updated_at: bool,
    ) -> Result<SessionSummary, SessionError>
    where
        I: IntoIterator<Item = Session> + Send,
        I::IntoIter: Send,
    {
        let schema = if preserve_updated_at { &self.preserving } else { &self.touching };
        let now = Timestamp::now();
        let rows = sessions.into_iter().map(|session| session.into_request(schema, now));
        let rows = self.writer.write(rows).await.map_err(SessionError::new)?;
        Ok(SessionSummary::new(&rows))
    }

    /// The statement that makes this writer's table where there is none: [`CREATE_TABLE`] with
    /// the table's name.
    ///
    /// [`CREATE_TABLE`]: super::CREATE_TABLE
    pub fn create_table(&self) -> String {
        let table = self.touching.table();
        let parts = table.qualifiers().chain([table.name()]);
        let parts = parts.map(|part| format!("\"{}\"", part.replace('"', "\"\"")));
        CREATE_TABLE.replacen("\"sessions\"", &parts.collect::<Vec<_>>().join("."), 1)
    }
}

impl fmt::Debug for SessionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionWriter")
            .field("table", &self.touching.table())
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}
