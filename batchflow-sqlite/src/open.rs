//! Opening a database file, and what can be wrong with it.

use std::path::Path;

use batchflow_core::{ErrorKind, Stage, WriteError};
use rusqlite::{Connection, OpenFlags};

use crate::config::SqliteConfig;
use crate::error::translate;

/// Opens the file and sets it up as configured.
pub(crate) fn open(path: &Path, config: &SqliteConfig) -> Result<Connection, WriteError> {
    let explained = |error: WriteError| {
        let what = error.message().unwrap_or("it cannot be opened").to_owned();
        error.with_message(format!("{}: {what}", path.display()))
    };
    look_at(path, config).and_then(|()| connect(path, config)).map_err(explained)
}

/// Sets up an in-memory database.
pub(crate) fn in_memory() -> Result<Connection, WriteError> {
    Connection::open_in_memory().map_err(|error| translate(&error, Stage::Connect))
}

/// Finds what SQLite would only call a file that it cannot open.
fn look_at(path: &Path, config: &SqliteConfig) -> Result<(), WriteError> {
    let refuse = |kind, why| Err(WriteError::new(kind).at(Stage::Connect).with_message(why));
    match path.metadata() {
        Ok(found) if found.is_dir() => return refuse(ErrorKind::Io, "it is a folder"),
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return refuse(ErrorKind::Permission, "the folder may not be entered");
        }
        Err(_) => {}
    }
    if !config.create {
        return refuse(ErrorKind::Io, "there is no such file");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.exists() => refuse(ErrorKind::Io, "its folder does not exist"),
        Some(folder) if !folder.is_dir() => refuse(ErrorKind::Io, "its folder is a file"),
        _ => Ok(()),
    }
}

fn connect(path: &Path, config: &SqliteConfig) -> Result<Connection, WriteError> {
    let failed = |error: rusqlite::Error| translate(&error, Stage::Connect);
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if config.create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let milliseconds = config.busy_timeout.as_millis().min(i32::MAX as u128);
    connection.pragma_update(None, "busy_timeout", milliseconds as i64).map_err(failed)?;
    // The first read finds a file that is no database; a writer that goes away meanwhile may
    // leave a log that only a writer can recover.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(failed)?;
    if connection.is_readonly("main").map_err(failed)? {
        let error = WriteError::new(ErrorKind::ReadOnly).at(Stage::Connect);
        return Err(error.with_message("the file is read-only"));
    }
    journal(&connection, config)?;
    let set = |pragma: &str, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, pragma, value).map_err(failed)
    };
    set("synchronous", &config.synchronous.as_str())?;
    set("foreign_keys", &config.foreign_keys)?;
    if let Some(bytes) = config.cache_bytes {
        // A negative size is in KiB.
        set("cache_size", &-i64::try_from((bytes / 1024).max(1)).unwrap_or(i64::MAX))?;
    }
    if let Some(pages) = config.wal_autocheckpoint {
        set("wal_autocheckpoint", &pages)?;
    }
    Ok(connection)
}

/// Puts the file into its journal mode. SQLite answers with the mode that it is in then.
fn journal(connection: &Connection, config: &SqliteConfig) -> Result<(), WriteError> {
    let failed = |error: rusqlite::Error| translate(&error, Stage::Connect);
    let Some(wanted) = config.journal_mode.as_str() else {
        return Ok(());
    };
    let now = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let mode = connection.query_row("PRAGMA journal_mode", [], now).map_err(failed)?;
    if mode.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let mode = connection
        .query_row(&format!("PRAGMA journal_mode = {wanted}"), [], now)
        .map_err(failed)?;
    if mode.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let error = WriteError::new(ErrorKind::Unsupported).at(Stage::Connect);
    Err(error.with_message(format!("the file stays in journal mode {mode}, not {wanted}")))
}
