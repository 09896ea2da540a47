//! [`Plan`]: how the rows of one schema and set of columns are written.

use std::sync::Arc;

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
}
