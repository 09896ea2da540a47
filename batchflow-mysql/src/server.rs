//! [`Server`]: which server a connection speaks to, and what it allows; [`Known`], what else is
//! asked of it at the beginning.

use std::collections::HashMap;

use batchflow_core::{ErrorKind, Stage, WriteError};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use crate::error::translate;

/// The family of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    MySql,
    MariaDb,
}

impl Family {
    /// The oldest version that is written to.
    fn oldest(self) -> (u16, u16, u16) {
        match self {
            Self::MySql => (8, 0, 0),
            Self::MariaDb => (10, 5, 0),
        }
    }
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

/// What is known of a connection's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) server: Server,
    /// What tells it from any other server, across restarts.
    pub(crate) identity: String,
    /// Whether a transaction of another server can arrive here at any time.
    pub(crate) in_cluster: bool,
    pub(crate) read_only: bool,
    /// Whether what `READ COMMITTED` writes can be logged.
    pub(crate) logs_rows: bool,
}

const ASK: &str = "SHOW VARIABLES WHERE Variable_name IN ('version', 'max_allowed_packet', \
                   'local_infile', 'log_bin', 'binlog_format', 'server_uuid', 'server_uid', \
                   'hostname', 'port', 'datadir', 'read_only', 'wsrep_on', \
                   'group_replication_group_name')";

impl Known {
    /// Asks the server. One that is too old is an error that says so.
    pub(crate) async fn read(conn: &mut Conn, loads: bool) -> Result<Self, WriteError> {
        let answer: Vec<(String, String)> =
            conn.query(ASK).await.map_err(|error| translate(&error, Stage::Connect, None))?;
        let found = answer.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let mut known = Self::of(&found.collect(), loads)?;
        if let Some(most) = conn.opts().max_allowed_packet() {
            known.server.max_allowed_packet = known.server.max_allowed_packet.min(most);
        }
        Ok(known)
    }

    fn of(found: &HashMap<String, String>, loads: bool) -> Result<Self, WriteError> {
        let get = |name: &str| found.get(name).map_or("", String::as_str);
        let is_on = |name: &str| matches!(get(name), "ON" | "1");
        let (family, version) = parse(get("version")).ok_or_else(|| {
            let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Connect);
            error.with_message("the server does not tell its version")
        })?;
        if version < family.oldest() {
            let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Connect);
            return Err(error.with_message("MySQL 8.0 or MariaDB 10.5 or newer is needed"));
        }
        let packet = get("max_allowed_packet").parse().unwrap_or(1 << 20);
        let parts = ["server_uuid", "server_uid", "hostname", "port", "datadir"];
        Ok(Self {
            server: Server {
                family,
                version,
                max_allowed_packet: packet,
                local_infile: loads && is_on("local_infile"),
            },
            identity: parts.map(get).join("|"),
            in_cluster: is_on("wsrep_on") || !get("group_replication_group_name").is_empty(),
            read_only: !matches!(get("read_only"), "OFF" | "0" | "FALSE" | ""),
            logs_rows: !is_on("log_bin") || get("binlog_format") != "STATEMENT",
        })
    }
}

/// `10.11.19-MariaDB-0+deb12u1`, `8.0.36-28`, `9.7.4`.
fn parse(version: &str) -> Option<(Family, (u16, u16, u16))> {
    let family = if version.contains("MariaDB") { Family::MariaDb } else { Family::MySql };
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let mut numbers = version[..end].split('.').map(|number| number.parse().unwrap_or(0));
    let first = numbers.next().filter(|&first| first > 0)?;
    Some((family, (first, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn family_and_version_are_read_and_what_is_too_old_is_refused() {
        let cases = [
            ("10.11.19-MariaDB-0+deb12u1", Some((Family::MariaDb, (10, 11, 19)))),
            ("11.4.2-MariaDB-log", Some((Family::MariaDb, (11, 4, 2)))),
            ("10.4.34-MariaDB", None),
            ("9.7.4-2", Some((Family::MySql, (9, 7, 4)))),
            ("8.0.36-28", Some((Family::MySql, (8, 0, 36)))),
            ("8.0.mysql_aurora.3.05.2", Some((Family::MySql, (8, 0, 0)))),
            ("5.7.44-log", None),
            ("", None),
        ];
        for (version, expected) in cases {
            let known = Known::of(&found(&[("version", version)]), true);
            let read = known.ok().map(|known| (known.server.family, known.server.version));
            assert_eq!(read, expected, "{version}");
        }
        let error = Known::of(&found(&[("version", "5.7.44")]), true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("MySQL 8.0"), "{error}");
    }

    #[test]
    fn rows_are_loaded_only_where_both_sides_allow_it() {
        for (loads, allowed, expected) in
            [(true, "ON", true), (false, "ON", false), (true, "OFF", false), (true, "", false)]
        {
            let pairs = [("version", "9.0.1"), ("local_infile", allowed)];
            let known = Known::of(&found(&pairs), loads).unwrap();
            assert_eq!(known.server.local_infile, expected, "{loads} {allowed}");
        }
    }

    #[test]
    fn a_log_of_statements_takes_nothing_that_reads_only_what_is_committed() {
        for (log, format, expected) in [
            ("ON", "STATEMENT", false),
            ("ON", "MIXED", true),
            ("ON", "ROW", true),
            ("OFF", "STATEMENT", true),
        ] {
            let pairs = [("version", "9.0.1"), ("log_bin", log), ("binlog_format", format)];
            assert_eq!(Known::of(&found(&pairs), true).unwrap().logs_rows, expected);
        }
    }
}
