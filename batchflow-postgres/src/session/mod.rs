//! Sessions of agents, upserted in bulk.
//!
//! A [`SessionWriter`] writes [`Session`]s to a `sessions` table of 13 columns, 5 of them JSON:
//! the rows that are new are inserted, the others are overwritten but for their `created_at`. It
//! is a [`BatchWriter`](crate::BatchWriter) that knows its table: rows at fault cost themselves
//! alone, unknown commits are settled with the server, transient failures are tried again.
//!
//! ```no_run
//! use batchflow_postgres::PostgresDriver;
//! use batchflow_postgres::session::{Session, SessionWriter};
//!
//! # async fn save() -> Result<(), Box<dyn std::error::Error>> {
//! let driver = PostgresDriver::connect("postgres://app:secret@db.example.com/app").await?;
//! let writer = SessionWriter::new(driver)?;
//!
//! let mut session = Session::new("session-1");
//! session.agent_id = Some("agent-7".into());
//! session.metadata = Some(r#"{"source": "web"}"#.into());
//! let summary = writer.upsert([session], false).await?;
//! for failure in summary.failures() {
//!     eprintln!("{}: {}", failure.session_id(), failure.error());
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod json;
mod row;
mod summary;
mod writer;

#[cfg(test)]
mod tests;

pub use builder::SessionWriterBuilder;
pub use json::Json;
pub use row::Session;
pub use summary::{SessionError, SessionFailure, SessionSummary};
pub use writer::SessionWriter;

/// The statement that makes the `sessions` table where there is none.
///
/// A table of one's own will do as well, as long as it has these columns and a unique index on
/// `session_id`. For a table of another name there is [`SessionWriter::create_table`].
pub const CREATE_TABLE: &str = "\
CREATE TABLE IF NOT EXISTS \"sessions\" (
    session_id varchar(255) PRIMARY KEY,
    agent_id varchar(255),
    team_id varchar(255),
    workflow_id varchar(255),
    user_id varchar(255),
    name varchar(255),
    metadata jsonb,
    state jsonb,
    agent_data jsonb,
    runs jsonb,
    summary jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)";
