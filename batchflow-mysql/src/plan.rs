//! [`Plan`]: how the rows of one schema and set of columns are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::Server;
use crate::statement::Texts;
use crate::table::Table;

/// How the rows of one schema and set of set columns are written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) server: Server,
    pub(crate) table: Arc<Table>,
    pub(crate) columns: Box<[usize]>,
    pub(crate) texts: Texts,
    /// Whether a LOAD has been refused.
    pub(crate) no_load: AtomicBool,
}

impl Plan {
    /// Whether rows can be written by way of a file and a temporary table.
    pub(crate) fn may_load(&self) -> bool {
        self.server.local_infile
            && self.texts.load.is_some()
            && self.table.may_stage
            && !self.no_load.load(Ordering::Relaxed)
    }
}
