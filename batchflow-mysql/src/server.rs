//! [`Server`]: which server a connection speaks to, and what it allows.

/// The family of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    MySql,
    MariaDb,
}

/// Which server a connection speaks to, and what it allows; asked once a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) family: Family,
    pub(crate) version: (u16, u16, u16),
    /// Nothing longer may be sent, in bytes.
    pub(crate) max_allowed_packet: usize,
    /// Whether `LOAD DATA LOCAL INFILE` is allowed.
    pub(crate) local_infile: bool,
}

impl Server {
    /// Whether an upsert names the proposed row by an alias (`AS new`), as MySQL does from 8.0.19
    /// on; else by `VALUES(column)`.
    pub(crate) fn names_the_proposed_row(&self) -> bool {
        self.family == Family::MySql && self.version >= (8, 0, 19)
    }

    /// Whether it takes many rows of parameters at once (`COM_STMT_BULK_EXECUTE`).
    pub(crate) fn takes_bulk(&self) -> bool {
        self.family == Family::MariaDb
    }
}
