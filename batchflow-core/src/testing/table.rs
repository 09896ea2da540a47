//! [`Table`] and [`Column`]: what a test declares about a table.

use std::fmt;
use std::sync::Arc;

use crate::driver::{ColumnInfo, ColumnKind, Comparison};
use crate::schema::Schema;
use crate::value::Value;

/// A table as a test declares it: columns, unique keys, checks.
///
/// A [`MemoryDriver`](super::MemoryDriver) holds it; a conformance harness turns it into DDL.
///
/// ```
/// use batchflow_core::ColumnKind;
/// use batchflow_core::testing::{Column, Table};
///
/// let users = Table::new("users")
///     .column(Column::new("id", ColumnKind::Integer).not_null())
///     .column(Column::new("name", ColumnKind::Text))
///     .column(Column::new("hits", ColumnKind::Integer).not_null().default_value(0_i64).at_least(0))
///     .unique(["id"])
///     .unique(["name"]);
/// assert_eq!(users.position("hits"), Some(2));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Table {
    name: String,
    columns: Vec<Column>,
    unique: Vec<Vec<String>>,
    checks: Vec<Check>,
}

type Predicate = Arc<dyn Fn(&[Value]) -> bool + Send + Sync>;

#[derive(Clone)]
struct Check {
    name: String,
    holds: Predicate,
}

impl Table {
    /// A table without columns.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), columns: Vec::new(), unique: Vec::new(), checks: Vec::new() }
    }

    /// The table that a schema takes for granted: its columns, of any kind and nullable, and its
    /// key.
    pub fn of(schema: &Schema) -> Self {
        let columns = schema.columns().map(|name| Column::new(name, ColumnKind::Unknown));
        let mut table =
            Self { columns: columns.collect(), ..Self::new(schema.table().to_string()) };
        let key = schema.key();
        if !key.is_empty() {
            table.unique.push(key.iter().map(|&at| schema.column(at).to_owned()).collect());
        }
        table
    }

    /// Adds a column.
    pub fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    /// Adds a unique key. Rows that hold a NULL in it equal no other. The first is the primary
    /// key in a harness's DDL.
    pub fn unique<I>(mut self, columns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.unique.push(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a check over a whole row, its values in the order of the columns. No harness can turn
    /// it into DDL: for a [`MemoryDriver`](super::MemoryDriver) and the reference model only.
    pub fn check(
        mut self,
        name: impl Into<String>,
        holds: impl Fn(&[Value]) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Check { name: name.into(), holds: Arc::new(holds) });
        self
    }

    /// The table's name, as [`Schema::builder`] reads it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The unique keys, each as its columns' names.
    pub fn unique_keys(&self) -> impl ExactSizeIterator<Item = &[String]> {
        self.unique.iter().map(Vec::as_slice)
    }

    /// The position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|own| own.name == column)
    }

    pub(crate) fn has_unique(&self, columns: &[&str]) -> bool {
        self.unique.iter().any(|key| {
            key.len() == columns.len()
                && columns.iter().all(|column| key.iter().any(|k| k == column))
        })
    }

    /// The name of the first check that a whole row fails, its columns' own checks included.
    pub(crate) fn failed_check(&self, row: &[Value]) -> Option<&str> {
        let own = self.columns.iter().zip(row);
        let low = own.filter(|(column, value)| column.is_below(value));
        let low = low.map(|(column, _)| column.name.as_str()).next();
        low.or_else(|| {
            let failed = self.checks.iter().find(|check| !(check.holds)(row));
            failed.map(|check| check.name.as_str())
        })
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A column as a test declares it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Column {
    name: String,
    kind: ColumnKind,
    comparison: Comparison,
    scale: Option<u8>,
    not_null: bool,
    default: Option<Value>,
    at_least: Option<i64>,
    type_name: Option<String>,
}

impl Column {
    /// A nullable column without a default. [`ColumnKind::Unknown`] and [`ColumnKind::Other`]
    /// take any value.
    pub fn new(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self {
            name: name.into(),
            kind,
            comparison: Comparison::Natural,
            scale: None,
            not_null: false,
            default: None,
            at_least: None,
            type_name: None,
        }
    }

    /// The column refuses NULL.
    pub fn not_null(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// What an insert stores that leaves the column unset.
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// The column refuses numbers below `least`, as `CHECK (column >= least)` does.
    pub fn at_least(mut self, least: i64) -> Self {
        self.at_least = Some(least);
        self
    }

    /// How the column compares. Under [`Comparison::Opaque`] a
    /// [`MemoryDriver`](super::MemoryDriver) takes text that differs only in case for one, and
    /// does not tell.
    pub fn comparison(mut self, comparison: Comparison) -> Self {
        self.comparison = comparison;
        self
    }

    /// How many digits the column keeps after the decimal point, of a decimal or of the seconds.
    pub fn scale(mut self, digits: u8) -> Self {
        self.scale = Some(digits);
        self
    }

    /// The type to use in DDL, where the kind alone does not say.
    pub fn type_name(mut self, name: impl Into<String>) -> Self {
        self.type_name = Some(name.into());
        self
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the column holds.
    pub fn kind(&self) -> ColumnKind {
        self.kind
    }

    /// Whether the column refuses NULL.
    pub fn is_not_null(&self) -> bool {
        self.not_null
    }

    /// What an insert stores that leaves the column unset.
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The least number that the column takes.
    pub fn least(&self) -> Option<i64> {
        self.at_least
    }

    /// How the column compares.
    pub fn compares(&self) -> Comparison {
        self.comparison
    }

    /// How many digits the column keeps after the decimal point.
    pub fn digits(&self) -> Option<u8> {
        self.scale
    }

    /// The type to use in DDL.
    pub fn ddl_type(&self) -> Option<&str> {
        self.type_name.as_deref()
    }

    fn is_below(&self, value: &Value) -> bool {
        match (self.at_least, value) {
            (Some(least), Value::I64(v)) => *v < least,
            (Some(least), Value::F64(v)) => *v < least as f64,
            _ => false,
        }
    }

    /// What a driver that looks the table up finds out.
    pub(crate) fn info(&self) -> ColumnInfo {
        let mut info = ColumnInfo::new(self.kind).with_comparison(self.comparison);
        if self.not_null && self.default.is_none() {
            info = info.with_required();
        }
        if self.default.is_some() {
            info = info.with_default();
        }
        if let Some(digits) = self.scale {
            info = info.with_scale(digits);
        }
        if let Some(name) = &self.type_name {
            info = info.with_type_name(name);
        }
        info
    }
}
