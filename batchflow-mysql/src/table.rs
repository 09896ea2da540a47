//! [`Table`]: what the catalog says about a schema's table, its columns and its unique keys.

use batchflow_core::{Comparison, ErrorKind, Schema, TableInfo, WriteError};
use mysql_async::Conn;

use crate::server::Server;
use crate::types::ColumnType;

/// A schema's table as the catalog has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// The table's name with its database's, both quoted.
    pub(crate) name: String,
    /// The columns of the schema, in its order.
    pub(crate) columns: Vec<TableColumn>,
    /// Whether a unique key beside the schema's could be violated.
    pub(crate) other_unique_keys: bool,
    /// Whether this user may make temporary tables.
    pub(crate) may_stage: bool,
}

/// One column of the schema as the table has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) not_null: bool,
    /// Whether a row that sets it to NULL is surely refused: no trigger can fill it in, and it does
    /// not number its rows.
    pub(crate) refuses_null: bool,
    /// Whether leaving it unset stores something else than NULL.
    pub(crate) has_default: bool,
    /// Whether it is computed: no row may set it.
    pub(crate) generated: bool,
    pub(crate) auto_increment: bool,
    /// The character set that text is sent to; `None` where it holds no text.
    pub(crate) charset: Option<String>,
    /// How the server compares it.
    pub(crate) comparison: Comparison,
}

impl Table {
    /// Looks the table up. What is missing or unfit is a `schema` error that names it; what this
    /// user may not do, a `permission` error.
    pub(crate) async fn read(
        _conn: &mut Conn,
        _server: &Server,
        _schema: &Schema,
    ) -> Result<Self, WriteError> {
        Err(WriteError::new(ErrorKind::Unsupported))
    }

    /// What core needs to compare keys.
    pub(crate) fn info(&self) -> TableInfo {
        TableInfo::new(Vec::new())
    }

    /// That no row of a batch with these set columns sets one that the table computes.
    pub(crate) fn check_settable(
        &self,
        _schema: &Schema,
        _columns: &[usize],
    ) -> Result<(), WriteError> {
        Ok(())
    }
}
