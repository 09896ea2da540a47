//! What is written: rows of 5 narrow columns, and sessions of 13 columns, 5 of them JSON.

use batchflow_postgres::session::CREATE_TABLE;

pub(crate) use crate::common::{JsonTexts, Row, documents, narrow};

/// The columns of the narrow table, and what a conflict changes.
pub(crate) const COLUMNS: &str = "id, name, email, hits, score";
pub(crate) const ON_CONFLICT: &str = "ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, \
    email = EXCLUDED.email, hits = EXCLUDED.hits, score = EXCLUDED.score";

/// Makes the narrow table anew. Autovacuum stays out of it, so that none works in another's turn.
pub(crate) fn narrow_table(table: &str) -> String {
    format!(
        "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id bigint PRIMARY KEY, name text, \
         email text, hits bigint, score double precision) WITH (autovacuum_enabled = off)"
    )
}

/// Makes the table of sessions anew.
pub(crate) fn sessions_table(table: &str) -> String {
    let create = CREATE_TABLE.replacen("\"sessions\"", table, 1);
    format!("DROP TABLE IF EXISTS {table}; {create} WITH (autovacuum_enabled = off)")
}
