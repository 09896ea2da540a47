//! [`Plan`]: how the rows of one schema and set of columns are written; [`Plans`], those in use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batchflow_core::{Batch, Schema, WriteError, fingerprint};
use tokio::time::Instant;

use crate::server::Server;
use crate::statement::Texts;
use crate::table::Table;

/// The most schemas that are remembered; beyond it, all are looked up anew.
const MAX_SCHEMAS: usize = 1_024;

/// The most sets of columns of one schema that are remembered.
const MAX_SHAPES: usize = 64;

/// How the rows of one schema and set of set columns are written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) server: Server,
    pub(crate) table: Arc<Table>,
    pub(crate) columns: Box<[usize]>,
    pub(crate) texts: Texts,
    /// Set once a server has refused to be sent the schema's rows by `LOAD DATA LOCAL INFILE`.
    no_load: Arc<AtomicBool>,
    /// The fingerprint of what core knows of the table.
    pub(crate) seen: u64,
    /// Of the statement of one row, whatever the way.
    pub(crate) fingerprint: u64,
}

impl Plan {
    /// Whether so many rows can be written by way of a file and a temporary table.
    pub(crate) fn may_load(&self, rows: usize) -> bool {
        self.server.local_infile
            && self.server.logs_rows
            && self.texts.may_load(rows)
            && self.table.may_stage
            && !self.no_load.load(Ordering::Relaxed)
    }

    /// Writes no more of the schema's rows by `LOAD DATA LOCAL INFILE`; whether that is news.
    pub(crate) fn forbid_load(&self) -> bool {
        !self.no_load.swap(true, Ordering::Relaxed)
    }

    fn new(
        batch: &Batch,
        table: &Arc<Table>,
        server: &Server,
        no_load: &Arc<AtomicBool>,
    ) -> Result<Self, WriteError> {
        let schema = batch.schema();
        let columns: Box<[usize]> = batch.columns().into();
        table.check_settable(schema, &columns)?;
        let texts = Texts::new(server, schema, table, &columns);
        Ok(Self {
            fingerprint: fingerprint(&texts.row),
            seen: table.info().fingerprint(),
            texts,
            server: server.clone(),
            table: Arc::clone(table),
            columns,
            no_load: Arc::clone(no_load),
        })
    }

    /// Whether it is one for this server, which may not be the one that was asked.
    pub(crate) fn suits(&self, server: &Server) -> bool {
        let packet = self.server.max_allowed_packet;
        let same = Server { max_allowed_packet: packet, ..server.clone() };
        self.server == same && packet <= server.max_allowed_packet
    }
}

/// What a look-up has found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) table: Arc<Table>,
    server: Server,
}

/// What is known of a schema.
#[derive(Debug)]
struct Known {
    table: Arc<Table>,
    server: Server,
    /// When the table was looked up.
    since: Instant,
    /// Shared by its plans; see [`Plan::forbid_load`].
    no_load: Arc<AtomicBool>,
    shapes: Vec<Arc<Plan>>,
}

/// The plans in use.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    known: Mutex<HashMap<Schema, Known>>,
}

impl Plans {
    /// The plan for a batch; `None` where its table has not been looked up.
    pub(crate) fn get(&self, batch: &Batch) -> Option<Result<Arc<Plan>, WriteError>> {
        let mut known = self.known();
        let known = known.get_mut(batch.schema())?;
        let shape = known.shapes.iter().find(|plan| *plan.columns == *batch.columns());
        if let Some(plan) = shape {
            return Some(Ok(Arc::clone(plan)));
        }
        let plan = match Plan::new(batch, &known.table, &known.server, &known.no_load) {
            Ok(plan) => Arc::new(plan),
            Err(error) => return Some(Err(error)),
        };
        if known.shapes.len() >= MAX_SHAPES {
            known.shapes.remove(0);
        }
        known.shapes.push(Arc::clone(&plan));
        Some(Ok(plan))
    }

    /// The same plan for another server, as the next ones will be.
    pub(crate) fn adapt(
        &self,
        batch: &Batch,
        plan: &Plan,
        server: &Server,
    ) -> Result<Arc<Plan>, WriteError> {
        if let Some(known) = self.known().get_mut(batch.schema()) {
            known.server = server.clone();
            known.shapes.clear();
        }
        Ok(Arc::new(Plan::new(batch, &plan.table, server, &plan.no_load)?))
    }

    /// A plan for a batch whose table has just been looked up, and is forgotten already: more
    /// schemas are in use than are remembered.
    pub(crate) fn plan_once(batch: &Batch, found: &Found) -> Result<Arc<Plan>, WriteError> {
        Plan::new(batch, &found.table, &found.server, &Arc::default()).map(Arc::new)
    }

    /// When a schema's table was looked up last.
    pub(crate) fn looked_up(&self, schema: &Schema) -> Option<Instant> {
        self.known().get(schema).map(|known| known.since)
    }

    /// Remembers what was found. Plans for a table that has not changed are kept.
    pub(crate) fn learn(&self, schema: &Schema, table: Table, server: &Server) -> Found {
        let server = server.clone();
        Found { table: self.remember(schema, table, &server), server }
    }

    fn remember(&self, schema: &Schema, table: Table, server: &Server) -> Arc<Table> {
        let mut all = self.known();
        let mut no_load = Arc::default();
        if let Some(known) = all.get_mut(schema).filter(|known| *known.table == table) {
            if known.server == *server {
                known.since = Instant::now();
                return Arc::clone(&known.table);
            }
            no_load = Arc::clone(&known.no_load);
        }
        if all.len() >= MAX_SCHEMAS {
            all.clear();
        }
        let table = Arc::new(table);
        let known = Known {
            table: Arc::clone(&table),
            server: server.clone(),
            since: Instant::now(),
            no_load,
            shapes: Vec::new(),
        };
        all.insert(schema.clone(), known);
        table
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Schema, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
