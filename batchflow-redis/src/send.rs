//! Sends units through a connection, and tells what became of each row.

use batchflow_core::{ConflictStrategy, ErrorClass, ErrorKind, Verdict, WriteError};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::cluster::slot;
use crate::codes;
use crate::command;
use crate::connect::{Connection, Encoded, Lost, Reply, Words};
use crate::error;
use crate::layout::{Kind, Shape};
use crate::plan::Plan;
use crate::script::Script;
use crate::units::{Body, Unit};

/// How often a script is loaded before it is given up.
const LOADS: usize = 3;

/// What `INCRBY` answers where a float is.
const NO_INTEGER: &str = "ERR value is not an integer";

/// How the answers begin that send the caller to another node.
const ELSEWHERE: [&str; 3] =
    ["MOVED ", "ASK ", "ERR Script attempted to access a non local key in a cluster node"];

/// What became of the rows, as far as it is known; by their positions in the batch.
pub(crate) type Verdicts = std::sync::Mutex<Vec<Option<Verdict>>>;

/// A connection that units are sent through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) connection: &'a Connection,
    /// Whether each call has to say that we know that its slot is on its way to this node.
    pub(crate) asking: bool,
}

impl Line<'_> {
    async fn call(self, words: Words) -> Result<Reply, Lost> {
        if !self.asking {
            return self.connection.call(words).await;
        }
        let replies = self.connection.call_all(vec![asking(), words]).await;
        replies.into_iter().last().unwrap_or_else(|| Err(Lost(String::new())))
    }

    /// Sends the commands of rows without waiting in between; the answers are each row's.
    async fn call_all(self, rows: &[Vec<Words>]) -> Vec<Result<Vec<Reply>, Lost>> {
        let before = usize::from(self.asking);
        let words = rows
            .iter()
            .flat_map(|row| self.asking.then(asking).into_iter().chain(row.iter().cloned()));
        let mut replies = self.connection.call_all(words.collect()).await.into_iter();
        let own =
            |row: &Vec<Words>| replies.by_ref().take(before + row.len()).skip(before).collect();
        rows.iter().map(own).collect()
    }
}

/// It counts for the next command, or transaction.
fn asking() -> Words {
    Words::new("ASKING", Vec::new())
}

/// Sends units through a connection. Where their order matters, each waits for the one before it,
/// and none follows one that is to be tried again.
pub(crate) async fn send(
    line: Line<'_>,
    plan: &Plan,
    units: &[Unit],
    ordered: bool,
    verdicts: &Verdicts,
) -> Result<(), Lost> {
    load(line, plan, units).await?;
    let one = async |unit: &Unit| {
        let mut own = run(line, plan, unit).await?;
        if !plan.shape.is_cluster {
            own.iter_mut().for_each(tell_of_cluster);
        }
        let is_held_up = own.iter().any(is_held_up);
        note(verdicts, &unit.rows, own);
        Ok::<bool, Lost>(is_held_up)
    };
    if !ordered && !line.asking {
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
        note(verdicts, &unit.rows, vec![behind(); unit.rows.len()]);
    }
    Ok(())
}

/// Whether a row may be applied later than now.
fn is_held_up(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::NotApplied(error) => error.kind().class() == ErrorClass::Transient,
        Verdict::Unknown(_) => true,
        _ => false,
    }
}

/// The verdict of a row that must not overtake one which [is held up](is_held_up).
fn behind() -> Verdict {
    let error = WriteError::new(ErrorKind::Serialization);
    Verdict::NotApplied(error.with_message("rows before it are to be tried again"))
}

/// Whether a node answered that a key is not its own.
pub(crate) fn is_elsewhere(text: &str) -> bool {
    ELSEWHERE.iter().any(|begins| text.starts_with(begins))
}

/// Says what is wrong where a node of a cluster refuses what is not its own.
fn tell_of_cluster(verdict: &mut Verdict) {
    if let Verdict::NotApplied(error) = verdict
        && error
            .server_message()
            .is_some_and(|text| ELSEWHERE.iter().any(|to| text.starts_with(to)))
    {
        *error = error.clone().with_kind(ErrorKind::Schema).with_message(
            "the server is a cluster's node: the URL has to begin with redis-cluster://",
        );
    }
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
async fn load(line: Line<'_>, plan: &Plan, units: &[Unit]) -> Result<(), Lost> {
    for nulls in [false, true] {
        let uses =
            |unit: &Unit| matches!(unit.body, Body::Script { nulls: own, .. } if own == nulls);
        if units.iter().any(uses) && plan.script(nulls).sha().is_none() {
            let _ = load_one(line.connection, plan.script(nulls)).await?;
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

async fn run(line: Line<'_>, plan: &Plan, unit: &Unit) -> Result<Vec<Verdict>, Lost> {
    let rows = unit.rows.len();
    match &unit.body {
        Body::Mset(words) => {
            let reply = line.call(Words::new("MSET", words.clone())).await?;
            Ok(vec![reply.error().map_or(Verdict::Written, of_call); rows])
        }
        Body::Script { packed, nulls } => run_script(line, plan.script(*nulls), packed, rows).await,
        Body::Pipeline { commands, counts } => {
            run_pipeline(line, &plan.shape, commands, counts).await
        }
        Body::Commands(commands) if plan.shape.is_one_line() => {
            run_in_line(line, &plan.shape, commands).await
        }
        Body::Commands(commands) => run_commands(line, &plan.shape, commands).await,
    }
}

async fn run_script(
    line: Line<'_>,
    script: &Script,
    packed: &Bytes,
    rows: usize,
) -> Result<Vec<Verdict>, Lost> {
    let mut refusal: Box<str> = "".into();
    for _ in 0..LOADS {
        if let Some(sha) = script.sha() {
            let call = Words::new("EVALSHA", vec![sha.into(), Bytes::from_static(b"0")]);
            let call = call.with(packed.clone()).with(rows.to_string());
            match line.call(call).await? {
                Reply::Error(text) if text.starts_with("NOSCRIPT") => refusal = text,
                Reply::Error(text) => return Ok(vec![of_script(&text); rows]),
                Reply::Array(refused) => {
                    return Ok(of_rows(&refused, rows).unwrap_or_else(|| unreadable(rows)));
                }
                _ => return Ok(unreadable(rows)),
            }
        }
        if let Err(text) = load_one(line.connection, script).await? {
            return Ok(vec![of_script(&text); rows]);
        }
    }
    Ok(vec![of_script(&refusal); rows])
}

/// The script's answer: the position and the error of each row that was refused. `None` where it
/// is no such list.
fn of_rows(refused: &[Reply], rows: usize) -> Option<Vec<Verdict>> {
    let mut verdicts = vec![Verdict::Written; rows];
    for pair in refused.chunks(2) {
        let [at, why] = pair else { return None };
        let place = verdicts.get_mut(usize::try_from(at.int()?).ok()?)?;
        *place = of_row(&why.lossy()?);
    }
    Some(verdicts)
}

fn unreadable(rows: usize) -> Vec<Verdict> {
    let error = WriteError::new(ErrorKind::Internal).outcome_unknown();
    vec![Verdict::Unknown(error.with_message("the server answers a script as no Redis does")); rows]
}

async fn run_pipeline(
    line: Line<'_>,
    shape: &Shape,
    commands: &Encoded,
    counts: &[usize],
) -> Result<Vec<Verdict>, Lost> {
    let replies = line.connection.send(commands).await?;
    let mut rest = replies.as_slice();
    let own = |count: &usize| {
        let (own, after) = rest.split_at_checked(*count).unwrap_or_default();
        rest = after;
        of_commands(shape, own)
    };
    Ok(counts.iter().map(own).collect())
}

async fn run_commands(
    line: Line<'_>,
    shape: &Shape,
    commands: &[Vec<Words>],
) -> Result<Vec<Verdict>, Lost> {
    let mut verdicts = Vec::with_capacity(commands.len());
    for (row, own) in commands.iter().zip(line.call_all(commands).await) {
        let mut own = own?;
        if command::is_sum(shape)
            && let ([add], [reply]) = (row.as_slice(), own.as_mut_slice())
            && reply.error().is_some_and(|text| text.starts_with(NO_INTEGER))
        {
            // As the script does: what is there may be a float.
            let key = add.args.first().cloned().unwrap_or_default();
            let old = line.call(Words::new("GET", vec![key])).await?;
            if old.error().is_some() {
                *reply = old;
            } else if old.text().is_some_and(|old| old.contains(['.', 'e', 'E'])) {
                *reply = line.call(Words::new("INCRBYFLOAT", add.args.clone())).await?;
            }
        }
        let is_misplaced = is_misplaced(shape, row, &own);
        verdicts.push(if is_misplaced { of_row("MISPLACED") } else { of_commands(shape, &own) });
    }
    Ok(verdicts)
}

/// Whether a command's key is not the word that it was taken for: it went to the wrong node, and
/// always would.
fn is_misplaced(shape: &Shape, commands: &[Words], replies: &[Reply]) -> bool {
    let ([words], [reply], Kind::Command) = (commands, replies, shape.kind) else { return false };
    let Some(moved) = reply.error().and_then(|text| text.strip_prefix("MOVED ")) else {
        return false;
    };
    let name = words.name.as_str().as_bytes();
    let all = std::iter::once(name).chain(words.args.iter().map(|word| &**word));
    let own = slot(command::key(all).unwrap_or_default());
    moved.split(' ').next().and_then(|slot| slot.parse().ok()) != Some(own)
}

/// Rows of which none may be applied after a later one: each waits for the answer to the one before.
async fn run_in_line(
    line: Line<'_>,
    shape: &Shape,
    commands: &[Vec<Words>],
) -> Result<Vec<Verdict>, Lost> {
    let mut verdicts = Vec::with_capacity(commands.len());
    for row in commands {
        verdicts.extend(run_commands(line, shape, std::slice::from_ref(row)).await?);
        if verdicts.last().is_some_and(is_held_up) {
            verdicts.resize(commands.len(), behind());
            break;
        }
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

/// What an error reply to one row says of it: it was not written, unless a script says that part of
/// it was.
pub(crate) fn of_row(text: &str) -> Verdict {
    if let Some(text) = text.strip_prefix("PARTLY ") {
        return Verdict::Unknown(error::of_reply(text).outcome_unknown());
    }
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
    let is_unknown = ["ERR unknown command", "ERR unknown subcommand"];
    if is_unknown.iter().any(|begins| text.starts_with(begins)) {
        return Verdict::NotApplied(error.with_kind(ErrorKind::Unsupported).with_message(
            "the server runs no scripts; without_scripts() of the driver does without",
        ));
    }
    if error.code() == Some("NOPERM") {
        return Verdict::NotApplied(error.with_message(
            "this user may run no scripts; without_scripts() of the driver does without",
        ));
    }
    Verdict::NotApplied(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Reply {
        Reply::Text(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn promise_2_a_refused_row_is_refused_whatever_bytes_its_error_quotes() {
        let refused = [Reply::Int(1), text(b"ERR unknown command '\xff\xfe'")];
        let verdicts = of_rows(&refused, 3).unwrap();
        assert!(matches!(verdicts[..], [Verdict::Written, Verdict::Rejected(_), Verdict::Written]));
    }

    #[test]
    fn promise_2_a_row_that_was_written_in_part_is_not_called_unapplied() {
        let verdict = of_row("PARTLY ASK 3999 127.0.0.1:6381");
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
        assert!(matches!(of_row("ASK 3999 127.0.0.1:6381"), Verdict::NotApplied(_)));
    }

    #[test]
    fn promise_2_an_answer_that_cannot_be_read_says_nothing_of_any_row() {
        for refused in [
            vec![Reply::Int(0)],
            vec![Reply::Int(3), text(b"OOM")],
            vec![Reply::Int(-1), text(b"OOM")],
            vec![Reply::Nil, text(b"OOM")],
            vec![Reply::Int(0), Reply::Int(0)],
        ] {
            assert!(of_rows(&refused, 3).is_none(), "{refused:?}");
        }
    }

    #[test]
    fn a_server_that_knows_no_scripts_says_how_to_do_without() {
        for text in [
            "ERR unknown command 'EVALSHA', with args beginning with: ",
            "ERR unknown command 'SCRIPT', with args beginning with: 'LOAD'",
            "NOPERM User app has no permissions to run the 'evalsha' command",
        ] {
            let Verdict::NotApplied(error) = of_script(text) else { panic!("{text}") };
            assert_eq!(error.kind().class(), ErrorClass::Systemic, "{error}");
            assert!(error.to_string().contains("without_scripts()"), "{error}");
        }
    }
}
