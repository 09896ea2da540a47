//! [`Plans`]: the plans in use, and when one is out of date.

use std::collections::VecDeque;

use batchflow_core::{Batch, Stage, WriteError};
use rusqlite::Connection;

use crate::error::translate;
use crate::statement::Plan;
use crate::table::{Table, schema_version};

/// The most plans that are kept.
const MAX_PLANS: usize = 128;

/// The plans used last, the last one first.
#[derive(Debug, Default)]
pub(crate) struct Plans(VecDeque<Plan>);

impl Plans {
    /// The plan for a batch. One whose database has changed its schema since is made anew.
    pub(crate) fn get(
        &mut self,
        connection: &Connection,
        batch: &Batch,
    ) -> Result<&Plan, WriteError> {
        let version = |database: &str| {
            let version = schema_version(connection, database);
            version.map_err(|error| translate(&error, Stage::Describe))
        };
        let kept = match self.0.iter().position(|plan| plan.is_for(batch)) {
            Some(0) => self.0.pop_front(),
            Some(at) => self.0.remove(at),
            None => None,
        };
        let plan = match kept {
            Some(plan) if version(&plan.table.database)? == plan.version => plan,
            _outdated => {
                let table = Table::read(connection, batch.schema())?;
                let version = version(&table.database)?;
                Plan::new(batch, table, version)?
            }
        };
        self.0.truncate(MAX_PLANS - 1);
        self.0.push_front(plan);
        Ok(&self.0[0])
    }
}
