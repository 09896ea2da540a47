//! What is written: rows of 5 narrow columns, or wide ones of 9 columns, 5 of them JSON.

pub(crate) use crate::common::{Row, documents, narrow};

/// The columns of the narrow table, and their types.
pub(crate) const COLUMNS: &str = "id, name, email, hits, score";
pub(crate) const TYPES: &str =
    "id bigint, name varchar(60), email varchar(60), hits bigint, score double";

/// The columns of the wide table.
pub(crate) const WIDE: [&str; 9] =
    ["id", "name", "email", "metadata", "state", "agent_data", "runs", "summary", "updated_at"];

/// What a conflict changes, the proposed row named as both families know it.
pub(crate) const ON_CONFLICT: &str = "ON DUPLICATE KEY UPDATE name = VALUES(name), \
    email = VALUES(email), hits = VALUES(hits), score = VALUES(score)";

/// Makes the narrow table anew.
pub(crate) fn narrow_table(table: &str) -> [String; 2] {
    anew(table, &format!("{TYPES}, PRIMARY KEY (id)"))
}

/// Makes the wide table anew.
pub(crate) fn wide_table(table: &str) -> [String; 2] {
    let columns = "id bigint PRIMARY KEY, name varchar(60), email varchar(60), metadata json, \
        state json, agent_data json, runs json, summary json, updated_at datetime(6)";
    anew(table, columns)
}

fn anew(table: &str, columns: &str) -> [String; 2] {
    [
        format!("DROP TABLE IF EXISTS {table}"),
        format!("CREATE TABLE {table} ({columns}) ENGINE = InnoDB"),
    ]
}
