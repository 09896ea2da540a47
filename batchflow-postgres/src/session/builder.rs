//! Builds a [`SessionWriter`] and checks its settings.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::{
    BatchWriter, BatchWriterBuilder, ConfigError, ConflictStrategy, Driver, Schema, SchemaBuilder,
    SchemaError,
};

use super::SessionWriter;
use super::row::COLUMNS;

/// Builds a [`SessionWriter`]; made by [`SessionWriter::builder`].
#[derive(Debug)]
#[must_use]
pub struct SessionWriterBuilder {
    writer: BatchWriterBuilder,
    table: String,
    batch_size: usize,
    min_batch_size: usize,
}

impl SessionWriterBuilder {
    pub(super) fn new(driver: impl Driver) -> Self {
        let writer = BatchWriter::builder(driver)
            .max_retries(3)
            .timeout(Duration::from_secs(30))
            .throttle(Duration::ZERO)
            .list_failures(usize::MAX);
        Self { writer, table: "sessions".to_owned(), batch_size: 5_000, min_batch_size: 500 }
    }

    /// The table; `"app.sessions"` is schema-qualified. Default: `sessions`.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// The most sessions of a batch. Default: 5,000.
    pub fn batch_size(mut self, sessions: usize) -> Self {
        self.batch_size = sessions;
        self
    }

    /// The sessions below which transient failures make a batch no smaller. Default: 500; where
    /// batches are smaller than that, they are made no smaller at all.
    pub fn min_batch_size(mut self, sessions: usize) -> Self {
        self.min_batch_size = sessions;
        self
    }

    /// How many transient failures in a row are followed by another attempt. Default: 3.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.writer = self.writer.max_retries(retries);
        self
    }

    /// How long one attempt may take. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.writer = self.writer.timeout(timeout);
        self
    }

    /// A pause between one batch and the next, to leave the server room. Default: none.
    pub fn throttle(mut self, pause: Duration) -> Self {
        self.writer = self.writer.throttle(pause);
        self
    }

    /// Checks the settings and builds the writer.
    pub fn build(self) -> Result<SessionWriter, ConfigError> {
        let least = self.min_batch_size.min(self.batch_size.max(1));
        let writer = self.writer.batch_size(self.batch_size).min_batch_size(least).build()?;
        let bad_table = |error: SchemaError| ConfigError::new("table", error.to_string());
        Ok(SessionWriter {
            writer: Arc::new(writer),
            preserving: preserving(&self.table).build().map_err(bad_table)?,
            touching: touching(&self.table).build().map_err(bad_table)?,
        })
    }
}

/// The session's own `updated_at`.
fn preserving(table: &str) -> SchemaBuilder {
    let kept = ["session_id", "created_at"];
    Schema::builder(table)
        .columns(COLUMNS)
        .key(["session_id"])
        .on_conflict(ConflictStrategy::Update)
        .update(COLUMNS.into_iter().filter(|column| !kept.contains(column)))
}

/// The server's clock in `updated_at`.
fn touching(table: &str) -> SchemaBuilder {
    let kept = ["session_id", "created_at", "updated_at"];
    preserving(table)
        .update(COLUMNS.into_iter().filter(|column| !kept.contains(column)))
        .touch("updated_at")
}
