//! Sends units through a connection, and tells what became of each row.

use batchflow_core::{ConflictStrategy, ErrorClass, ErrorKind, Verdict, WriteError};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::codes;
use crate::connect::{Connection, Lost, Reply, Words};
use crate::error;
use crate::layout::{Kind, Shape};
use crate::plan::Plan;
use crate::script::Script;
use crate::units::{Body, Unit};

/// How often a script is loaded before it is given up.
const LOADS: usize = 3;

/// What became of the rows, as far as it is known; by their positions in the batch.
pub(crate) type Verdicts = std::sync::Mutex<Vec<Option<Verdict>>>;

/// Sends units through a connection. Where their order matters, each waits for the one before it,
/// and none follows one that is to be tried again.
pub(crate) async fn send(
    connection: &Connection,
    plan: &Plan,
    units: &[Unit],
    ordered: bool,
    verdicts: &Verdicts,
) -> Result<(), Lost> {
    load(connection, plan, units).await?;
    let one = async |unit: &Unit| {
        let own = run(connection, plan, unit).await?;
        let is_held_up = own.iter().any(|verdict| match verdict {
            Verdict::NotApplied(error) => error.kind().class() == ErrorClass::Transient,
            Verdict::Unknown(_) => true,
            _ => false,
        });
        note(verdicts, &unit.rows, own);
        Ok::<bool, Lost>(is_held_up)
    };
    if !ordered {
        for done in join_all(units.iter().map(one)).await {
            done?;
        }
        return Ok(());
    }
    let mut units = units.iter();
    for unit in units.by_ref() {
        if one(unit).await? {
            break;
        }
    }
    for unit in units {
        let error = WriteError::new(ErrorKind::Serialization)
            .with_message("rows before it are to be tried again");
        note(verdicts, &unit.rows, vec![Verdict::NotApplied(error); unit.rows.len()]);
    }
    Ok(())
}

fn note(verdicts: &Verdicts, rows: &[usize], own: Vec<Verdict>) {
    let mut all = verdicts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (&row, verdict) in rows.iter().zip(own) {
        if let Some(place) = all.get_mut(row) {
            *place = Some(verdict);
        }
    }
}

/// Loads the scripts that have no name yet. Where the server refuses that, its rows learn of it
/// when they call the script.
async fn load(connection: &Connection, plan: &Plan, units: &[Unit]) -> Result<(), Lost> {
    for nulls in [false, true] {
        let uses =
            |unit: &Unit| matches!(unit.body, Body::Script { nulls: own, .. } if own == nulls);
        if units.iter().any(uses) && plan.script(nulls).sha().is_none() {
            let _ = load_one(connection, plan.script(nulls)).await?;
        }
    }
    Ok(())
}

/// Loads a script; the error is the server's.
async fn load_one(connection: &Connection, script: &Script) -> Result<Result<(), Box<str>>, Lost> {
    let text = Bytes::copy_from_slice(script.text().as_bytes());
    let reply = connection.call(Words::of("SCRIPT", &["LOAD"]).with(text)).await?;
    if let Some(sha) = reply.text() {
        script.loaded(sha);
        return Ok(Ok(()));
    }
    Ok(Err(reply.error().unwrap_or_default().into()))
}

async fn run(connection: &Connection, plan: &Plan, unit: &Unit) -> Result<Vec<Verdict>, Lost> {
    let rows = unit.rows.len();
    match &unit.body {
        Body::Mset(words) => {
            let reply = connection.call(Words::new("MSET", words.clone())).await?;
            Ok(vec![reply.error().map_or(Verdict::Written, of_call); rows])
        }
        Body::Script { packed, nulls } => {
            run_script(connection, plan.script(*nulls), packed, rows).await
        }
        Body::Commands(commands) => run_commands(connection, &plan.shape, commands).await,
    }
}

async fn run_script(
    connection: &Connection,
    script: &Script,
    packed: &Bytes,
    rows: usize,
) -> Result<Vec<Verdict>, Lost> {
    let mut refusal: Box<str> = "".into();
    for _ in 0..LOADS {
        if let Some(sha) = script.sha() {
            let call = Words::new("EVALSHA", vec![sha.into(), Bytes::from_static(b"0")]);
            let call = call.with(packed.clone()).with(rows.to_string());
            match connection.call(call).await? {
                Reply::Error(text) if text.starts_with("NOSCRIPT") => refusal = text,
                Reply::Error(text) => return Ok(vec![of_script(&text); rows]),
                Reply::Array(refused) => return Ok(of_rows(&refused, rows)),
                _ => break,
            }
        }
        if let Err(text) = load_one(connection, script).await? {
            return Ok(vec![of_script(&text); rows]);
        }
    }
    if refusal.is_empty() {
        let error = WriteError::new(ErrorKind::Internal).outcome_unknown();
        let error = error.with_message("the server answers a script as no Redis does");
        return Ok(vec![Verdict::Unknown(error); rows]);
    }
    Ok(vec![of_script(&refusal); rows])
}

/// The script's answer: the position and the error of each row that was refused.
fn of_rows(refused: &[Reply], rows: usize) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::Written; rows];
    for pair in refused.chunks(2) {
        let [at, why] = pair else { continue };
        let at = at.int().and_then(|at| usize::try_from(at).ok());
        let place = at.and_then(|at| verdicts.get_mut(at));
        if let (Some(place), Some(why)) = (place, why.text()) {
            *place = of_row(why);
        }
    }
    verdicts
}

async fn run_commands(
    connection: &Connection,
    shape: &Shape,
    commands: &[Vec<Words>],
) -> Result<Vec<Verdict>, Lost> {
    let counts: Vec<usize> = commands.iter().map(Vec::len).collect();
    let mut replies = connection.call_all(commands.concat()).await.into_iter();
    let mut verdicts = Vec::with_capacity(counts.len());
    for count in counts {
        let own: Result<Vec<Reply>, Lost> = replies.by_ref().take(count).collect();
        verdicts.push(of_commands(shape, &own?));
    }
    Ok(verdicts)
}

/// The answers to one row's commands.
fn of_commands(shape: &Shape, replies: &[Reply]) -> Verdict {
    let error = |replies: &[Reply]| replies.iter().find_map(Reply::error).map(of_row);
    let deciding = match replies {
        [one] => one,
        // The last is the transaction's, which says the less the earlier one was refused.
        [.., Reply::Array(all)] => match error(all) {
            Some(verdict) => return verdict,
            None => all.first().unwrap_or(&Reply::Nil),
        },
        _ => return error(replies).unwrap_or_else(|| of_row("EXECABORT")),
    };
    if let Some(text) = deciding.error() {
        return of_row(text);
    }
    let is_new = !matches!(deciding, Reply::Nil | Reply::Int(0));
    let only_new = shape.strategy == ConflictStrategy::Fail
        && matches!(shape.kind, Kind::String | Kind::Json | Kind::Set | Kind::SortedSet);
    if only_new && !is_new { of_row("DUPLICATE") } else { Verdict::Written }
}

/// What an error reply to one row says of it: it was not written.
pub(crate) fn of_row(text: &str) -> Verdict {
    let error = error::of_reply(text);
    match error.kind().class() {
        ErrorClass::Row | ErrorClass::TooLarge => Verdict::Rejected(error),
        _ => Verdict::NotApplied(error),
    }
}

/// What an error reply to a command of many rows says of each: none was written.
fn of_call(text: &str) -> Verdict {
    Verdict::NotApplied(error::of_reply(text))
}

/// What an error reply to a whole script says of its rows.
fn of_script(text: &str) -> Verdict {
    let error = error::of_reply(text);
    if codes::find(text).is_none() {
        // It may have come from the middle of the script.
        return Verdict::Unknown(error.outcome_unknown());
    }
    if error.code() == Some("NOPERM") {
        return Verdict::NotApplied(error.with_message(
            "this user may run no scripts; without_scripts() of the driver does without",
        ));
    }
    Verdict::NotApplied(error)
}
