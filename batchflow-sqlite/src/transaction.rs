//! One batch, one transaction.

use batchflow_core::{Batch, ErrorClass, ErrorKind, Report, Stage, WriteError};
use rusqlite::Connection;

use crate::encode::{MAX_BLAME, check};
use crate::error::{is_interrupt, is_io, name_culprit, translate};
use crate::fate::Fate;
use crate::guard::Guard;
use crate::plan::Plans;
use crate::statement::{Plan, execute};
use crate::writer::Job;

/// Writes a batch, whole or not at all, and settles its fate.
pub(crate) fn write(
    connection: &Connection,
    plans: &mut Plans,
    guard: &Guard,
    job: &Job,
) -> Result<Report, WriteError> {
    let (batch, fate) = (&job.batch, &job.fate);
    let mut run = || -> Result<u64, WriteError> {
        if fate.is_stopped() {
            return Err(fate.stopped());
        }
        run_plain(connection, "BEGIN IMMEDIATE")
            .map_err(|error| refused(&error, Stage::Write, fate))?;
        let plan = plans.get(connection, batch)?;
        plan.tell(&job.attempt);
        apply(connection, plan, batch, fate)
    };
    let applied = run();
    guard.finish();
    let place = |error: WriteError| match error.table() {
        Some(_) => error,
        None => error.with_table(batch.schema().table()),
    };
    match applied {
        Ok(changed) => match run_plain(connection, "COMMIT") {
            Ok(()) => {
                fate.committed();
                Ok(Report::all().with_affected(changed))
            }
            Err(error) => {
                roll_back(connection);
                let refused = translate(&error, Stage::Commit);
                // The commit may have reached the disk before the disk failed.
                if is_io(&error) {
                    fate.unknown();
                    Err(place(refused.outcome_unknown()))
                } else {
                    fate.not_applied();
                    Err(place(refused))
                }
            }
        },
        Err(error) => {
            roll_back(connection);
            fate.not_applied();
            Err(place(error))
        }
    }
}

/// Writes a batch's rows inside a transaction; returns how many rows it changed.
pub(crate) fn apply(
    connection: &Connection,
    plan: &Plan,
    batch: &Batch,
    fate: &Fate,
) -> Result<u64, WriteError> {
    let mut changed = 0;
    for cut in plan.cut(batch.len()) {
        let mut statement =
            cut.prepare(connection).map_err(|error| translate(&error, Stage::Write))?;
        for first in cut.rows.clone().step_by(cut.rows_each) {
            if fate.is_stopped() {
                return Err(fate.stopped());
            }
            let rows = first..first + cut.rows_each;
            check(batch, &plan.table.columns, rows.clone())?;
            match execute(&mut statement, plan, batch, rows) {
                Ok(rows) => changed += rows,
                Err(error) => {
                    drop(statement);
                    return Err(find_culprits(connection, plan, batch, first, &error, fate));
                }
            }
        }
    }
    Ok(changed)
}

/// Runs what is left of the batch row by row, to learn which rows are at fault. Nothing of it is
/// committed.
fn find_culprits(
    connection: &Connection,
    plan: &Plan,
    batch: &Batch,
    from: usize,
    error: &rusqlite::Error,
    fate: &Fate,
) -> WriteError {
    let whole = refused(error, Stage::Write, fate);
    // Some errors end the transaction, and with it the ground that the next rows stand on.
    if whole.kind().class() != ErrorClass::Row || connection.is_autocommit() {
        return name_culprit(whole, &plan.schema);
    }
    let mut statement = match connection.prepare_cached(plan.single()) {
        Ok(statement) => statement,
        Err(error) => return translate(&error, Stage::Write),
    };
    let mut blame = Vec::new();
    let mut first = None;
    for row in from..batch.len() {
        if fate.is_stopped() {
            return fate.stopped();
        }
        let Err(error) = execute(&mut statement, plan, batch, row..row + 1) else { continue };
        let refused = refused(&error, Stage::Write, fate);
        if refused.kind().class() != ErrorClass::Row {
            return refused;
        }
        blame.push(row);
        first.get_or_insert(refused);
        if blame.len() == MAX_BLAME || connection.is_autocommit() {
            break;
        }
    }
    name_culprit(first.unwrap_or(whole), &plan.schema).with_blame(blame)
}

fn refused(error: &rusqlite::Error, stage: Stage, fate: &Fate) -> WriteError {
    let translated = translate(error, stage);
    let waited = translated.kind() == ErrorKind::LockTimeout && fate.is_stopped();
    if waited || is_interrupt(error) { fate.stopped() } else { translated }
}

pub(crate) fn run_plain(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// Ends the transaction, if SQLite has not ended it itself. Whether it did, the writer looks up.
pub(crate) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // A failed rollback leaves the transaction open, which the writer then sees.
        let _ = run_plain(connection, "ROLLBACK");
    }
}
