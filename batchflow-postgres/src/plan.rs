//! [`Plan`]: how the rows of one schema and set of columns are written; [`Plans`], those in use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use batchflow_core::{Batch, ConflictStrategy, Schema, WriteError, fingerprint};
use tokio::time::Instant;
use tokio_postgres::types::{Kind, Type};

use crate::encode::{copies_natively, parameter};
use crate::statement::{CopyTexts, StageTexts, Texts};
use crate::table::{Identity, Table};
use crate::way::Way;

/// The most schemas that are remembered; beyond it, all are looked up anew.
const MAX_SCHEMAS: usize = 1_024;

/// The most sets of columns of one schema that are remembered.
const MAX_SHAPES: usize = 64;

/// How the rows of one schema and set of set columns are written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) table: Arc<Table>,
    pub(crate) columns: Box<[usize]>,
    /// The types of the statement's parameters, an array for each set column.
    pub(crate) parameters: Vec<Type>,
    pub(crate) unnest: String,
    /// What takes the place of `unnest` for one row; `None` where no column is set.
    pub(crate) row: Option<String>,
    /// What writes one row in a transaction of its own; `None` where no column is set.
    pub(crate) at_once: Option<OwnTransaction>,
    /// `None` where rows cannot be copied straight into the table.
    pub(crate) copy: Option<CopyTexts>,
    /// Set once the server has refused to let this user copy into the table.
    pub(crate) no_copy: AtomicBool,
    /// `None` where no column is set, or this user may make no temporary tables.
    pub(crate) stage: Option<StageTexts>,
    /// The fingerprint of what core knows of the table.
    pub(crate) seen: u64,
    /// Of the statement of each way.
    prints: Prints,
}

/// A statement that is a transaction of its own, and the types of its parameters: the columns', and
/// the mark's.
#[derive(Debug)]
pub(crate) struct OwnTransaction {
    pub(crate) text: Arc<str>,
    pub(crate) types: Vec<Type>,
    pub(crate) print: u64,
}

impl OwnTransaction {
    fn new(text: &str, arrays: &[Type]) -> Self {
        let element = |array: &Type| match array.kind() {
            Kind::Array(element) => element.clone(),
            _ => array.clone(),
        };
        let types = arrays.iter().map(element).chain([Type::TEXT]).collect();
        Self { print: fingerprint(text), text: text.into(), types }
    }
}

#[derive(Debug)]
struct Prints {
    unnest: u64,
    row: u64,
    copy: u64,
    stage: u64,
}

impl Plan {
    fn new(batch: &Batch, table: &Arc<Table>, stage: &str) -> Result<Self, WriteError> {
        let schema = batch.schema();
        let columns: Box<[usize]> = batch.columns().into();
        table.check_settable(schema, &columns)?;
        let texts = Texts::new(schema, table, &columns);
        let copies = schema.strategy() == ConflictStrategy::Fail
            && schema.touch().is_none()
            && !columns.is_empty()
            && table.may_copy
            && columns.iter().map(|&at| &table.columns[at]).all(|column| {
                // COPY would write what an insert refuses to.
                column.identity != Identity::Always && copies_natively(column)
            });
        let unnest = texts.unnest();
        let row = texts.row();
        let copy = copies.then(|| texts.copy()).flatten();
        let staged = (table.may_stage && !columns.is_empty()).then(|| texts.stage(stage));
        let prints = Prints {
            unnest: fingerprint(&unnest),
            row: fingerprint(row.as_ref().unwrap_or(&unnest)),
            copy: copy.as_ref().map_or(0, |copy| fingerprint(&copy.copy)),
            // Every process has a name of its own for the temporary table.
            stage: staged.as_ref().map_or(0, |own| fingerprint(&own.insert.replace(stage, ""))),
        };
        let types = columns.iter().map(|&at| parameter(&table.columns[at]).array_type);
        let parameters: Vec<Type> = types.collect();
        Ok(Self {
            at_once: texts.row_at_once().map(|text| OwnTransaction::new(&text, &parameters)),
            parameters,
            unnest,
            row,
            no_copy: AtomicBool::new(false),
            copy,
            stage: staged,
            prints,
            seen: table.info().fingerprint(),
            table: Arc::clone(table),
            columns,
        })
    }
}

impl Plan {
    /// The fingerprint of what writes so many rows this way.
    pub(crate) fn fingerprint(&self, way: Way, rows: usize) -> u64 {
        match way {
            Way::Unnest if rows == 1 => self.prints.row,
            Way::Unnest => self.prints.unnest,
            Way::Copy => self.prints.copy,
            Way::Stage => self.prints.stage,
        }
    }

    /// Whether rows can be copied straight into the table.
    pub(crate) fn may_copy(&self) -> bool {
        self.copy.is_some() && !self.no_copy.load(Ordering::Relaxed)
    }
}

/// What is known of a schema.
#[derive(Debug)]
struct Known {
    table: Arc<Table>,
    /// When the table was looked up.
    since: Instant,
    shapes: Vec<Arc<Plan>>,
}

/// The plans in use.
#[derive(Debug)]
pub(crate) struct Plans {
    known: Mutex<HashMap<Schema, Known>>,
    /// What a temporary table is called: nobody else's is called so.
    stage: String,
}

impl Plans {
    pub(crate) fn new() -> Self {
        let stage = format!("batchflow_{:016x}", fastrand::u64(..));
        Self { known: Mutex::default(), stage }
    }

    /// The plan for a batch; `None` where its table has not been looked up.
    pub(crate) fn get(&self, batch: &Batch) -> Option<Result<Arc<Plan>, WriteError>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_mut(batch.schema())?;
        let shape = known.shapes.iter().find(|plan| *plan.columns == *batch.columns());
        if let Some(plan) = shape {
            return Some(Ok(Arc::clone(plan)));
        }
        let plan = match Plan::new(batch, &known.table, &self.stage) {
            Ok(plan) => Arc::new(plan),
            Err(error) => return Some(Err(error)),
        };
        if known.shapes.len() >= MAX_SHAPES {
            known.shapes.remove(0);
        }
        known.shapes.push(Arc::clone(&plan));
        Some(Ok(plan))
    }

    /// A plan for a batch whose table has just been looked up, and is forgotten already: more
    /// schemas are in use than are remembered.
    pub(crate) fn plan_once(
        &self,
        batch: &Batch,
        table: &Arc<Table>,
    ) -> Result<Arc<Plan>, WriteError> {
        Plan::new(batch, table, &self.stage).map(Arc::new)
    }

    /// When a schema's table was looked up last, and what was found.
    pub(crate) fn looked_up(&self, schema: &Schema) -> Option<(Arc<Table>, Instant)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(schema).map(|known| (Arc::clone(&known.table), known.since))
    }

    /// Remembers what was found. Plans for a table that has not changed are kept.
    pub(crate) fn learn(&self, schema: &Schema, table: Table) -> Arc<Table> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(schema).filter(|known| *known.table == table) {
            known.since = Instant::now();
            return Arc::clone(&known.table);
        }
        if all.len() >= MAX_SCHEMAS {
            all.clear();
        }
        let table = Arc::new(table);
        let known = Known { table: Arc::clone(&table), since: Instant::now(), shapes: Vec::new() };
        all.insert(schema.clone(), known);
        table
    }
}

#[cfg(test)]
mod tests;
