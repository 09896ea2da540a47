//! The rows of one in-memory table: indexed, constrained, and undone where a batch fails.

use std::collections::HashMap;

use crate::batch::Batch;
use crate::driver::{ErrorKind, Stage, TableInfo, WriteError};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::temporal::Timestamp;
use crate::value::Value;

use super::store::{can_merge, identity, merge, store};
use super::table::{Column, Table};

type Row = Vec<Value>;
type KeyBytes = Vec<Vec<u8>>;

/// One in-memory table.
#[derive(Debug)]
pub(super) struct Rows {
    table: Table,
    held: Vec<Row>,
    indexes: Vec<Index>,
    undo: Vec<Undo>,
}

#[derive(Debug)]
struct Index {
    columns: Vec<usize>,
    slots: HashMap<KeyBytes, usize>,
}

#[derive(Debug)]
enum Undo {
    Insert,
    Update(usize, Row),
}

impl Rows {
    /// An empty table.
    ///
    /// # Panics
    ///
    /// Where a unique key names a column that the table does not have.
    pub(super) fn new(table: Table) -> Self {
        let find = |name: &String| {
            let position = table.position(name);
            assert!(position.is_some(), "table {:?} has no column {name:?}", table.name());
            position.unwrap_or_default()
        };
        let indexes = table
            .unique_keys()
            .map(|key| Index { columns: key.iter().map(find).collect(), slots: HashMap::new() });
        let indexes = indexes.collect();
        Self { table, held: Vec::new(), indexes, undo: Vec::new() }
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.held
    }

    /// The row whose first unique key has these values.
    pub(super) fn find(&self, key: &[Value]) -> Option<&Row> {
        let index = self.indexes.first()?;
        let columns = index.columns.iter().map(|&at| &self.table.columns()[at]);
        let bytes: Option<KeyBytes> = columns
            .zip(key)
            .map(|(column, value)| identity(column.compares(), &store(column, value).ok()?))
            .collect();
        index.slots.get(&bytes?).map(|&slot| &self.held[slot])
    }

    /// What the schema needs and the table has.
    pub(super) fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        let refuse = |why: &'static str| {
            let error = WriteError::new(ErrorKind::Schema).at(Stage::Describe);
            error.with_table(schema.table()).with_message(why)
        };
        let mut columns = Vec::with_capacity(schema.width());
        for (at, name) in schema.columns().enumerate() {
            let Some(position) = self.table.position(name) else {
                return Err(refuse("the table has no such column").with_column(name));
            };
            let column = &self.table.columns()[position];
            let rule = schema.update_rule(at);
            if rule.is_some_and(|rule| !can_merge(rule, column.kind())) {
                return Err(refuse("the column cannot be merged so").with_column(name));
            }
            columns.push(column.info());
        }
        let key: Vec<&str> = schema.key().iter().map(|&at| schema.column(at)).collect();
        if schema.strategy() != ConflictStrategy::Fail && !self.table.has_unique(&key) {
            return Err(refuse("the key has no unique index"));
        }
        Ok(TableInfo::new(columns))
    }

    /// Makes room for a schema that the table was not declared for.
    pub(super) fn widen(&mut self, schema: &Schema) {
        let wanted = Table::of(schema);
        for column in wanted.columns() {
            if self.table.position(column.name()).is_none() {
                self.table = self.table.clone().column(column.clone());
                self.held.iter_mut().for_each(|row| row.push(Value::Null));
            }
        }
        let keys: Vec<Vec<String>> = wanted.unique_keys().map(<[String]>::to_vec).collect();
        for key in keys {
            let names: Vec<&str> = key.iter().map(String::as_str).collect();
            if !self.table.has_unique(&names) {
                self.table = self.table.clone().unique(key);
                let rows = std::mem::take(&mut self.held);
                *self = Self::new(self.table.clone());
                for row in rows {
                    self.insert(row);
                }
                self.undo.clear();
            }
        }
    }

    /// Writes a batch whole, or nothing of it. The error blames the row at fault.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<u64, WriteError> {
        self.describe(batch.schema())?;
        let mut affected = 0;
        for (position, request) in batch.requests().enumerate() {
            match self.apply(request) {
                Ok(changed) => affected += u64::from(changed),
                Err(error) => {
                    self.roll_back();
                    return Err(error.with_table(self.table.name()).with_blame([position]));
                }
            }
        }
        self.undo.clear();
        Ok(affected)
    }

    /// Applies one row; whether it changed the table.
    fn apply(&mut self, request: &Request) -> Result<bool, WriteError> {
        let schema = request.schema();
        let proposed = self.proposed(request)?;
        self.validate(&proposed)?;
        let Some(slot) = self.conflict(schema, &proposed) else {
            if let Some(index) = self.duplicate(&proposed, None) {
                return Err(self.duplicate_key(index));
            }
            self.insert(proposed);
            return Ok(true);
        };
        let mut row = self.held[slot].clone();
        match schema.strategy() {
            ConflictStrategy::Fail | ConflictStrategy::Ignore => return Ok(false),
            ConflictStrategy::Replace => {
                for at in (0..schema.width()).filter(|at| !schema.key().contains(at)) {
                    let position = self.at(schema, at)?;
                    row[position] = proposed[position].clone();
                }
            }
            ConflictStrategy::Update => {
                for at in request.set_columns() {
                    let Some(rule) = schema.update_rule(at) else { continue };
                    let position = self.at(schema, at)?;
                    row[position] = merge(rule, &row[position], &proposed[position])
                        .map_err(|kind| WriteError::new(kind).with_column(schema.column(at)))?;
                }
                if let Some(touch) = schema.touch() {
                    let position = self.at(schema, touch)?;
                    row[position] = proposed[position].clone();
                }
            }
        }
        self.validate(&row)?;
        if let Some(index) = self.duplicate(&row, Some(slot)) {
            return Err(self.duplicate_key(index));
        }
        self.replace(slot, row);
        Ok(true)
    }

    fn at(&self, schema: &Schema, column: usize) -> Result<usize, WriteError> {
        let name = schema.column(column);
        let missing = || WriteError::new(ErrorKind::Schema).with_column(name);
        self.table.position(name).ok_or_else(missing)
    }

    /// The row as an insert would store it.
    fn proposed(&self, request: &Request) -> Result<Row, WriteError> {
        let schema = request.schema();
        let default = |column: &Column| column.default().cloned().unwrap_or_default();
        let mut row: Row = self.table.columns().iter().map(default).collect();
        for at in request.set_columns() {
            let position = self.at(schema, at)?;
            let column = &self.table.columns()[position];
            let value = request.value(at).unwrap_or(&Value::Null);
            row[position] = store(column, value).map_err(|kind| {
                WriteError::new(kind).at(Stage::Encode).with_column(column.name())
            })?;
        }
        if let Some(touch) = schema.touch() {
            let position = self.at(schema, touch)?;
            row[position] = Value::Timestamp(Timestamp::now());
        }
        Ok(row)
    }

    fn validate(&self, row: &Row) -> Result<(), WriteError> {
        let mut cells = self.table.columns().iter().zip(row);
        if let Some((column, _)) =
            cells.find(|(column, value)| column.is_not_null() && value.is_null())
        {
            let error = WriteError::new(ErrorKind::Constraint).with_column(column.name());
            return Err(error.with_message("the column takes no NULL"));
        }
        match self.table.failed_check(row) {
            Some(check) => Err(WriteError::new(ErrorKind::Constraint).with_constraint(check)),
            None => Ok(()),
        }
    }

    /// The row that the schema's key already holds.
    fn conflict(&self, schema: &Schema, row: &Row) -> Option<usize> {
        if schema.strategy() == ConflictStrategy::Fail {
            return None;
        }
        let key: Vec<Option<usize>> =
            schema.key().iter().map(|&at| self.table.position(schema.column(at))).collect();
        let index = self.indexes.iter().find(|index| {
            index.columns.len() == key.len()
                && index.columns.iter().all(|column| key.contains(&Some(*column)))
        })?;
        index.slots.get(&self.key_bytes(index, row)?).copied()
    }

    /// The first unique key that another row than `own` already holds.
    fn duplicate(&self, row: &Row, own: Option<usize>) -> Option<usize> {
        self.indexes.iter().position(|index| {
            let held = self.key_bytes(index, row).and_then(|key| index.slots.get(&key).copied());
            held.is_some() && held != own
        })
    }

    fn duplicate_key(&self, index: usize) -> WriteError {
        let columns = self.indexes[index].columns.iter();
        let names: Vec<&str> = columns.map(|&at| self.table.columns()[at].name()).collect();
        let name = format!("{}_{}_key", self.table.name(), names.join("_"));
        WriteError::new(ErrorKind::DuplicateKey).with_constraint(name)
    }

    fn key_bytes(&self, index: &Index, row: &Row) -> Option<KeyBytes> {
        let columns = index.columns.iter();
        columns.map(|&at| identity(self.table.columns()[at].compares(), &row[at])).collect()
    }

    fn insert(&mut self, row: Row) {
        self.held.push(row);
        self.enter(self.held.len() - 1);
        self.undo.push(Undo::Insert);
    }

    fn replace(&mut self, slot: usize, row: Row) {
        self.leave(slot);
        let old = std::mem::replace(&mut self.held[slot], row);
        self.enter(slot);
        self.undo.push(Undo::Update(slot, old));
    }

    fn enter(&mut self, slot: usize) {
        for index in 0..self.indexes.len() {
            if let Some(key) = self.key_bytes(&self.indexes[index], &self.held[slot]) {
                self.indexes[index].slots.insert(key, slot);
            }
        }
    }

    fn leave(&mut self, slot: usize) {
        for index in 0..self.indexes.len() {
            if let Some(key) = self.key_bytes(&self.indexes[index], &self.held[slot]) {
                self.indexes[index].slots.remove(&key);
            }
        }
    }

    fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Insert => {
                    self.leave(self.held.len() - 1);
                    self.held.pop();
                }
                Undo::Update(slot, old) => {
                    self.leave(slot);
                    self.held[slot] = old;
                    self.enter(slot);
                }
            }
        }
    }
}
