//! [`Model`]: what a table must look like.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::driver::{Comparison, ErrorKind};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::temporal::Timestamp;
use crate::testing::store::{identity, merge, store};
use crate::testing::{Column, Table};
use crate::value::Value;

/// What a table must look like after requests were applied to it one by one: the truth that
/// promise 5 holds every backend to.
///
/// It is as plain as can be: a list of rows, searched from the front. A
/// [touched](crate::SchemaBuilder::touch) column holds [`TOUCHED`].
///
/// ```
/// use batchflow_core::conformance::Model;
/// use batchflow_core::testing::Table;
/// use batchflow_core::{ConflictStrategy, Schema, Value};
///
/// let users = Schema::new("users", ConflictStrategy::Ignore, ["id", "name"])?;
/// let mut model = Model::new(&Table::of(&users));
/// assert!(model.apply(&users.row((1_i64, "Ada"))?).is_ok());
/// assert!(model.apply(&users.row((1_i64, "Eve"))?).is_ok());
/// assert_eq!(model.rows(), [[Value::I64(1), Value::from("Ada")]]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    table: Arc<Table>,
    rows: Vec<Vec<Value>>,
}

/// What the model stores where a server stores its clock.
pub const TOUCHED: Value = Value::Timestamp(Timestamp::from_unix_micros(0));

impl Model {
    /// An empty table.
    pub fn new(table: &Table) -> Self {
        Self { table: Arc::new(table.clone()), rows: Vec::new() }
    }

    pub(super) fn into_rows(self) -> Vec<Vec<Value>> {
        self.rows
    }

    /// The rows, their values in the order of the table's columns, in the order of insertion.
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.rows
    }

    /// Applies one request; or refuses it, for this reason, and changes nothing.
    ///
    /// A row must be insertable by itself, whatever its key: NOT NULL and checks hold for the row
    /// as an insert would store it, before its key is looked for.
    pub fn apply(&mut self, request: &Request) -> Result<(), ErrorKind> {
        let schema = request.schema();
        let proposed = self.proposed(request)?;
        self.check(&proposed)?;
        match self.conflicting(schema, &proposed) {
            None => {
                self.check_unique(&proposed, None)?;
                self.rows.push(proposed);
            }
            Some(at) => {
                let updated = self.updated(request, &self.rows[at], &proposed)?;
                self.check(&updated)?;
                self.check_unique(&updated, Some(at))?;
                self.rows[at] = updated;
            }
        }
        Ok(())
    }

    /// The request as an insert would store it.
    fn proposed(&self, request: &Request) -> Result<Vec<Value>, ErrorKind> {
        let schema = request.schema();
        let of = |column: &Column| match schema.position(column.name()) {
            Some(at) if schema.touch() == Some(at) => Ok(TOUCHED),
            Some(at) if request.value(at).is_some() => {
                store(column, request.value(at).unwrap_or(&Value::Null))
            }
            _ => Ok(column.default().cloned().unwrap_or_default()),
        };
        self.table.columns().iter().map(of).collect()
    }

    fn check(&self, row: &[Value]) -> Result<(), ErrorKind> {
        let mut cells = self.table.columns().iter().zip(row);
        let missing = cells.any(|(column, value)| column.is_not_null() && value.is_null());
        let fails = missing || self.table.failed_check(row).is_some();
        if fails { Err(ErrorKind::Constraint) } else { Ok(()) }
    }

    fn conflicting(&self, schema: &Schema, row: &[Value]) -> Option<usize> {
        if schema.strategy() == ConflictStrategy::Fail {
            return None;
        }
        let key = schema.key().iter().map(|&at| schema.column(at));
        self.holder(key, row, None)
    }

    /// Every unique key of the table that another row than `own` holds refuses the row.
    fn check_unique(&self, row: &[Value], own: Option<usize>) -> Result<(), ErrorKind> {
        let mut keys = self.table.unique_keys();
        let taken = keys.any(|key| self.holder(key.iter().map(String::as_str), row, own).is_some());
        if taken { Err(ErrorKind::DuplicateKey) } else { Ok(()) }
    }

    /// The row, other than `own`, that has the same values in these columns.
    fn holder<'a>(
        &self,
        columns: impl Iterator<Item = &'a str>,
        row: &[Value],
        own: Option<usize>,
    ) -> Option<usize> {
        let columns: Option<Vec<usize>> = columns.map(|name| self.table.position(name)).collect();
        let columns = columns?;
        let same = |other: &[Value]| {
            columns.iter().all(|&at| {
                let column = &self.table.columns()[at];
                let key = identity(column.compares(), &row[at]);
                key.is_some() && key == identity(column.compares(), &other[at])
            })
        };
        let mut rows = self.rows.iter().enumerate();
        rows.find(|(at, other)| Some(*at) != own && same(other)).map(|(at, _)| at)
    }

    fn updated(
        &self,
        request: &Request,
        old: &[Value],
        proposed: &[Value],
    ) -> Result<Vec<Value>, ErrorKind> {
        let schema = request.schema();
        let mut row = old.to_vec();
        for (at, name) in schema.columns().enumerate() {
            let position = self.table.position(name).ok_or(ErrorKind::Schema)?;
            let new = &proposed[position];
            row[position] = match schema.strategy() {
                ConflictStrategy::Replace if !schema.key().contains(&at) => new.clone(),
                ConflictStrategy::Update if schema.touch() == Some(at) => new.clone(),
                ConflictStrategy::Update if request.value(at).is_some() => {
                    match schema.update_rule(at) {
                        Some(rule) => merge(rule, &old[position], new)?,
                        None => continue,
                    }
                }
                _ => continue,
            };
        }
        Ok(row)
    }
}

/// Sorts rows by their values, so that two tables can be compared whatever order they are read
/// in.
pub fn sort_rows(rows: &mut [Vec<Value>]) {
    let by = |a: &Vec<Value>, b: &Vec<Value>| -> Ordering {
        let cells = |row: &Vec<Value>| -> Vec<Option<Vec<u8>>> {
            row.iter().map(|value| identity(Comparison::Natural, value)).collect()
        };
        cells(a).cmp(&cells(b))
    };
    rows.sort_by(by);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::ColumnKind;
    use crate::schema::Merge;

    fn table() -> Table {
        Table::new("t")
            .column(Column::new("id", ColumnKind::Integer).not_null())
            .column(Column::new("name", ColumnKind::Text).default_value("nobody"))
            .column(Column::new("hits", ColumnKind::Integer))
            .column(Column::new("seen", ColumnKind::Timestamp))
            .unique(["id"])
    }

    #[test]
    fn promise_5_the_model_says_what_each_strategy_means() {
        let schema = |strategy| {
            let schema = Schema::builder("t").columns(["id", "name", "hits", "seen"]).key(["id"]);
            let schema = schema.on_conflict(strategy).touch("seen");
            let updates = strategy == ConflictStrategy::Update;
            if updates { schema.merge("hits", Merge::Add) } else { schema }.build().unwrap()
        };
        let cases = [
            (ConflictStrategy::Fail, Err(ErrorKind::DuplicateKey), ("old", Value::I64(1))),
            (ConflictStrategy::Ignore, Ok(()), ("old", Value::I64(1))),
            (ConflictStrategy::Replace, Ok(()), ("nobody", Value::I64(2))),
            (ConflictStrategy::Update, Ok(()), ("old", Value::I64(3))),
        ];
        for (strategy, expected, (name, hits)) in cases {
            let schema = schema(strategy);
            let mut model = Model::new(&table());
            let row = || Request::new(&schema).set("id", 1_i64);
            model.apply(&row().set("name", "old").set("hits", 1_i64)).unwrap();
            assert_eq!(model.apply(&row().set("hits", 2_i64)), expected, "{strategy:?}");
            assert_eq!(model.rows(), [[Value::I64(1), Value::from(name), hits, TOUCHED]]);
            assert_eq!(
                model.apply(&Request::new(&schema).set_null("id").set("hits", 2_i64)),
                Err(ErrorKind::Constraint),
            );
        }
    }
}
