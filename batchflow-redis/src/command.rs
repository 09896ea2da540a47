//! Commands a row at a time: what scripts are not needed for, or not allowed.

use batchflow_core::ConflictStrategy::{Fail, Ignore, Replace, Update};
use batchflow_core::{ErrorKind, Stage, WriteError};
use bytes::Bytes;

use crate::connect::{Name, Words};
use crate::encode::Row;
use crate::form::Form;
use crate::layout::{Kind, Lifetime, Rule, Shape};

/// Commands that change what a connection is, wait, answer other than once, or may be refused in
/// the middle of what they do.
const NOT_IN_BATCHES: &[&str] = &[
    "ASKING",
    "AUTH",
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BZMPOP",
    "BZPOPMAX",
    "BZPOPMIN",
    "CLIENT",
    "DISCARD",
    "EVAL",
    "EVALSHA",
    "EVALSHA_RO",
    "EVAL_RO",
    "EXEC",
    "FCALL",
    "FCALL_RO",
    "HELLO",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PSYNC",
    "PUNSUBSCRIBE",
    "QUIT",
    "READONLY",
    "READWRITE",
    "REPLCONF",
    "RESET",
    "SELECT",
    "SHUTDOWN",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WAIT",
    "WAITAOF",
    "WATCH",
    "XREAD",
    "XREADGROUP",
];

/// Commands whose first key is another word than the second.
const KEY_AT: &[(&str, usize)] = &[
    ("BITOP", 2),
    ("LMPOP", 2),
    ("MEMORY", 2),
    ("OBJECT", 2),
    ("SINTERCARD", 2),
    ("XGROUP", 2),
    ("ZMPOP", 2),
];

/// The most words of a command.
const MOST_WORDS: usize = 4_096;

/// Whether words are a command that can be one of many.
pub(crate) fn check<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<(), &'static str> {
    let mut words = words.peekable();
    let Some(name) = words.next() else { return Err("the command has no word") };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || !name.iter().all(is_name) {
        return Err("the command's first word is no command's name");
    }
    let is = |other: &&str| name.eq_ignore_ascii_case(other.as_bytes());
    if NOT_IN_BATCHES.iter().any(is) {
        return Err("the command may not be written in batches");
    }
    if words.count() >= MOST_WORDS {
        return Err("the command has more than 4,096 words");
    }
    Ok(())
}

/// The word that is a command's first key, where it has one.
pub(crate) fn key<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let name = words.next()?;
    let known = KEY_AT.iter().find(|(other, _)| name.eq_ignore_ascii_case(other.as_bytes()));
    words.nth(known.map_or(0, |(_, at)| at - 1))
}

/// Whether rows of a shape can be written without a script; the error says what it is needed for.
pub(crate) fn without_script(shape: &Shape) -> Result<(), WriteError> {
    let rule = |rules: &[Rule]| {
        shape.strategy == Update && shape.cells.iter().any(|cell| rules.contains(&cell.rule))
    };
    let needs = match shape.kind {
        Kind::Hash => match shape.strategy {
            Fail | Ignore => Some("to write a hash only where there is none"),
            _ if shape.touch.is_some() => Some("for the server's clock"),
            _ if rule(&[Rule::Add, Rule::Max, Rule::Min, Rule::InsertOnly]) => {
                Some("to merge a hash's fields by rules")
            }
            _ => None,
        },
        Kind::String if rule(&[Rule::Max, Rule::Min]) => Some("to compare strings"),
        Kind::Json if shape.strategy == Update => Some("to merge JSON objects"),
        _ => None,
    };
    let needs = needs.or((shape.lifetime != Lifetime::Unset && !lives_by_one_command(shape))
        .then_some("to give a time to live to what was written, and to nothing else"));
    match needs {
        None => Ok(()),
        Some(what) => Err(WriteError::new(ErrorKind::Unsupported)
            .at(Stage::Describe)
            .with_message(format!("scripts are off, and one is needed {what}"))),
    }
}

/// Whether a key cannot be given a time to live by a row that is refused: one command does both, or
/// what was there before is removed first. A transaction goes on after a command that is refused.
fn lives_by_one_command(shape: &Shape) -> bool {
    match shape.kind {
        Kind::String => !is_sum(shape),
        Kind::Json => true,
        Kind::Hash => shape.strategy == Replace,
        _ => false,
    }
}

/// Whether rows add to strings.
pub(crate) fn is_sum(shape: &Shape) -> bool {
    shape.kind == Kind::String
        && shape.strategy == Update
        && shape.cells.first().is_some_and(|cell| cell.rule == Rule::Add)
}

/// The commands that write a row; several are one transaction.
pub(crate) fn commands(shape: &Shape, form: Option<&Form>, row: &Row) -> Vec<Words> {
    match shape.kind {
        Kind::Command => {
            let mut words = row.parts().flatten().map(Bytes::copy_from_slice);
            let name = words.next().unwrap_or_default();
            let name = Name::Own(String::from_utf8_lossy(&name).into());
            vec![Words { name, args: words.collect() }]
        }
        Kind::Hash => together(hash(shape, row)),
        Kind::String if is_sum(shape) => together(expiring(shape, row, sum(row))),
        _ => {
            let Some(form) = form else { return Vec::new() };
            let command = form.words(row);
            if Form::is_whole(shape) {
                return vec![command];
            }
            together(expiring(shape, row, command))
        }
    }
}

/// Commands as one transaction.
fn together(commands: Vec<Words>) -> Vec<Words> {
    if commands.len() < 2 {
        return commands;
    }
    let mut all = vec![Words::new("MULTI", Vec::new())];
    all.extend(commands);
    all.push(Words::new("EXEC", Vec::new()));
    all
}

/// A command, and what gives its key a time to live.
fn expiring(shape: &Shape, row: &Row, command: Words) -> Vec<Words> {
    [command].into_iter().chain(expire(shape, row)).collect()
}

/// What gives a row's key a time to live, where it has one: the row's last part, if it is its own.
fn expire(shape: &Shape, row: &Row) -> Option<Words> {
    let millis = match shape.lifetime {
        Lifetime::Unset => return None,
        Lifetime::Fixed(millis) => millis.to_string().into(),
        Lifetime::Column(_) => row.parts().last().flatten().map(Bytes::copy_from_slice)?,
    };
    Some(Words::new("PEXPIRE", vec![row.part_bytes(0), millis]))
}

fn sum(row: &Row) -> Words {
    let number = row.part(1).unwrap_or_default();
    let is_integer = number.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
    let name = if is_integer { "INCRBY" } else { "INCRBYFLOAT" };
    Words::new(name, vec![row.part_bytes(0), row.part_bytes(1)])
}

fn hash(shape: &Shape, row: &Row) -> Vec<Words> {
    let mut commands = Vec::new();
    let key = row.part_bytes(0);
    if shape.strategy == Replace {
        commands.push(Words::new("DEL", vec![key.clone()]));
    }
    let mut set = Words::new("HSET", vec![key.clone()]);
    let mut del = Words::new("HDEL", vec![key.clone()]);
    for (at, cell) in (1..).zip(&shape.cells) {
        let name = Bytes::copy_from_slice(cell.name.as_bytes());
        match (row.part(at), cell.rule) {
            (Some(_), Rule::Keep) => {
                let words = vec![key.clone(), name, row.part_bytes(at)];
                commands.push(Words::new("HSETNX", words));
            }
            (Some(_), _) => set.args.extend([name, row.part_bytes(at)]),
            (None, Rule::Set) if shape.strategy == Update => del.args.push(name),
            (None, _) => {}
        }
    }
    commands.extend([set, del].into_iter().filter(|command| command.args.len() > 1));
    commands.extend(expire(shape, row));
    if commands.is_empty() {
        // A row that takes nothing away from nothing.
        commands.push(Words::new("EXISTS", vec![key]));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_cannot_carry_is_refused() {
        let words = |text: &'static str| text.split(' ').map(str::as_bytes);
        assert_eq!(check(words("SET a b EX 60")), Ok(()));
        assert_eq!(check(words("JSON.SET a $ 1")), Ok(()));
        for text in ["blpop a 0", "MULTI", "Subscribe x", "CLIENT REPLY OFF", "WAIT 1 0"] {
            assert!(check(words(text)).is_err(), "{text}");
        }
        assert!(check(words("")).is_err());
        assert!(check([b"SET a".as_slice()].into_iter()).is_err());
        assert!(check(std::iter::empty()).is_err());
    }
}
