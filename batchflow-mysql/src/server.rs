//! [`Server`]: which server a connection speaks to, and what it allows; [`Known`], what else is
//! asked of it at the beginning.

use std::collections::HashMap;

use batchflow_core::{ErrorKind, Stage, WriteError};
use mysql_async::{Conn, Row};

use crate::catalog::ask;
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
    /// The last second that a `timestamp` holds, since 1970.
    pub(crate) last_second: i64,
    /// Whether it logs rows, or nothing. Else it logs statements: neither what reads only what is
    /// committed nor what is sent in bulk, and each that selects from a temporary table with a
    /// warning.
    pub(crate) logs_rows: bool,
}

impl Server {
    /// Whether an upsert names the proposed row by an alias (`AS new`), as MySQL does from 8.0.19
    /// on; else by `VALUES(column)`.
    pub(crate) fn names_the_proposed_row(&self) -> bool {
        self.family == Family::MySql && self.version >= (8, 0, 19)
    }

    /// Whether it takes many rows of parameters at once (`COM_STMT_BULK_EXECUTE`).
    pub(crate) fn takes_bulk(&self) -> bool {
        self.family == Family::MariaDb && self.logs_rows
    }

    /// Whether its log cuts a parameter that is a double after 15 digits, so that a replica has
    /// another.
    pub(crate) fn logs_doubles_cut(&self) -> bool {
        self.family == Family::MySql && !self.logs_rows
    }
}

/// What is known of a connection's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) server: Server,
    /// What tells it from any other server, across restarts.
    pub(crate) identity: String,
    pub(crate) read_only: bool,
    /// Whether it is set to have commits wait for a replica.
    pub(crate) waits_for_replicas: bool,
    /// The expressions of its identity and of [`Server::logs_rows`].
    pub(crate) told_sql: String,
}

const ASK: &str = "SHOW VARIABLES WHERE Variable_name IN ('version', 'max_allowed_packet', \
                   'local_infile', 'log_bin', 'binlog_format', 'server_uuid', 'server_uid', \
                   'hostname', 'port', 'datadir', 'read_only', 'version_compile_machine', \
                   'version_compile_os', 'rpl_semi_sync_master_enabled', \
                   'rpl_semi_sync_source_enabled')";

/// What has commits wait for a replica, as the families call it.
const SEMI_SYNC: [&str; 2] = ["rpl_semi_sync_master_enabled", "rpl_semi_sync_source_enabled"];

/// The variables that tell a server from any other. None of them has all.
const IDENTITY: [&str; 5] = ["server_uuid", "server_uid", "hostname", "port", "datadir"];

impl Known {
    /// Asks the server. One that is too old is an error that says so.
    pub(crate) async fn read(conn: &mut Conn, loads: bool) -> Result<Self, WriteError> {
        let answer: Vec<(String, String)> = ask(conn, ASK.to_owned())
            .await
            .map_err(|error| translate(&error, Stage::Connect, None))?;
        let found = answer.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let mut known = Self::of(&found.collect(), loads)?;
        if let Some(most) = conn.opts().max_allowed_packet() {
            known.server.max_allowed_packet = known.server.max_allowed_packet.min(most);
        }
        Ok(known)
    }

    /// Whether a session is still one of this server, by the columns of a row from the second on:
    /// those of `told_sql`. One that is reset logs as its server is set to by then.
    pub(crate) fn is_told_by(&self, row: Option<&Row>) -> bool {
        let identity = row.and_then(|row| row.get_opt::<String, _>(1)?.ok());
        let logs_rows = row.and_then(|row| row.get_opt::<bool, _>(2)?.ok());
        identity.as_ref() == Some(&self.identity) && logs_rows == Some(self.server.logs_rows)
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
        let machine = get("version_compile_machine").to_ascii_lowercase();
        let is_wide = (machine.contains("64") || machine == "s390x")
            && !get("version_compile_os").to_ascii_lowercase().starts_with("win");
        let to_2106 = family == Family::MariaDb && version >= (11, 5, 0) && is_wide;
        let expression = |name| {
            let has = found.contains_key(name);
            if has { format!("IFNULL(@@GLOBAL.{name}, '')") } else { "''".to_owned() }
        };
        let may_log_statements = is_on("log_bin") && found.contains_key("binlog_format");
        Ok(Self {
            server: Server {
                family,
                version,
                max_allowed_packet: packet,
                local_infile: loads && is_on("local_infile"),
                last_second: if to_2106 { u32::MAX.into() } else { i32::MAX.into() },
                logs_rows: !may_log_statements || get("binlog_format") != "STATEMENT",
            },
            identity: IDENTITY.map(get).join("|"),
            told_sql: format!(
                "CONCAT_WS('|', {}), {}",
                IDENTITY.map(expression).join(", "),
                if may_log_statements { "@@SESSION.binlog_format <> 'STATEMENT'" } else { "TRUE" }
            ),
            waits_for_replicas: SEMI_SYNC.iter().any(|name| is_on(name)),
            read_only: !matches!(get("read_only"), "OFF" | "0" | "FALSE" | ""),
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
    fn a_timestamp_ends_in_2106_where_it_may() {
        let maria = "11.8.3-MariaDB-1+b1";
        for (version, machine, os, expected) in [
            (maria, "x86_64", "debian-linux-gnu", 4_294_967_295),
            (maria, "aarch64", "Linux", 4_294_967_295),
            (maria, "s390x", "Linux", 4_294_967_295),
            (maria, "armv7l", "Linux", 2_147_483_647),
            (maria, "AMD64", "Win64", 2_147_483_647),
            ("11.4.2-MariaDB", "x86_64", "Linux", 2_147_483_647),
            ("11.8.0", "x86_64", "Linux", 2_147_483_647),
            ("", "", "", 2_147_483_647),
        ] {
            let version = if version.is_empty() { maria } else { version };
            let pairs = [
                ("version", version),
                ("version_compile_machine", machine),
                ("version_compile_os", os),
            ];
            let known = Known::of(&found(&pairs), true).unwrap();
            assert_eq!(known.server.last_second, expected, "{version} {machine} {os}");
        }
    }

    #[test]
    fn a_log_of_statements_takes_nothing_in_bulk_and_nothing_that_reads_what_is_committed() {
        for (log, format, expected) in [
            ("ON", "STATEMENT", false),
            ("ON", "MIXED", true),
            ("ON", "ROW", true),
            ("OFF", "STATEMENT", true),
        ] {
            let version = ("version", "10.11.6-MariaDB");
            let pairs = [version, ("log_bin", log), ("binlog_format", format)];
            let server = Known::of(&found(&pairs), true).unwrap().server;
            assert_eq!((server.logs_rows, server.takes_bulk()), (expected, expected));
        }
    }

    #[test]
    fn a_server_says_whether_commits_wait_for_a_replica() {
        for (name, value, expected) in [
            ("rpl_semi_sync_master_enabled", "ON", true),
            ("rpl_semi_sync_source_enabled", "ON", true),
            ("rpl_semi_sync_master_enabled", "OFF", false),
            ("port", "1", false),
        ] {
            let pairs = [("version", "10.11.6-MariaDB"), (name, value)];
            let known = Known::of(&found(&pairs), true).unwrap();
            assert_eq!(known.waits_for_replicas, expected, "{name} {value}");
        }
    }
}
