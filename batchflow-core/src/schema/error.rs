//! What a schema can be refused for.

use std::fmt;

/// Why a [`Schema`](super::Schema) was refused. Each names the table or column at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// The table's name cannot be used.
    Table {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The schema has no columns.
    NoColumns {
        /// The table.
        table: String,
    },
    /// The schema has more columns than a row can have.
    TooManyColumns {
        /// The table.
        table: String,
        /// How many there are.
        columns: usize,
    },
    /// A column cannot be used where it was named.
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The strategy needs a key, and there is none.
    NoKey {
        /// The table.
        table: String,
        /// The strategy.
        strategy: &'static str,
    },
    /// A setting needs [`ConflictStrategy::Update`](super::ConflictStrategy::Update).
    NeedsUpdate {
        /// The table.
        table: String,
        /// The setting: `"update"` or `"merge"`.
        setting: &'static str,
    },
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { name, why } => write!(f, "table name {name:?}: {why}"),
            Self::NoColumns { table } => write!(f, "table {table}: the schema has no columns"),
            Self::TooManyColumns { table, columns } => write!(
                f,
                "table {table}: {columns} columns are more than the {} a schema may have",
                super::builder::MAX_COLUMNS
            ),
            Self::Column { table, column, why } => {
                write!(f, "table {table}, column {column:?}: {why}")
            }
            Self::NoKey { table, strategy } => {
                write!(f, "table {table}: the strategy `{strategy}` needs a key")
            }
            Self::NeedsUpdate { table, setting } => {
                write!(f, "table {table}: `{setting}` needs the strategy `update`")
            }
        }
    }
}

impl std::error::Error for SchemaError {}
