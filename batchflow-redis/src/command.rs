//! Commands a row at a time: what scripts are not needed for, or not allowed.

use batchflow_core::ConflictStrategy::{Fail, Ignore, Replace, Update};
use batchflow_core::{ErrorKind, Stage, WriteError};
use bytes::Bytes;

use crate::connect::{Name, Words};
use crate::encode::Row;
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
pub(crate) fn commands(shape: &Shape, row: &Row) -> Vec<Words> {
    let parts: Vec<Option<Bytes>> =
        row.parts().map(|part| part.map(Bytes::copy_from_slice)).collect();
    let mut parts = parts.into_iter();
    if shape.kind == Kind::Command {
        let mut words = parts.flatten();
        let name = words.next().unwrap_or_default();
        let name = Name::Own(String::from_utf8_lossy(&name).into());
        return vec![Words { name, args: words.collect() }];
    }
    let key = parts.next().flatten().unwrap_or_default();
    let member = shape.member.and_then(|_| parts.next().flatten());
    let cells = if shape.kind == Kind::Json { 1 } else { shape.cells.len() };
    let cells: Vec<Option<Bytes>> = parts.by_ref().take(cells).collect();
    let lifetime = match shape.lifetime {
        Lifetime::Unset => None,
        Lifetime::Fixed(millis) => Some(Bytes::from(millis.to_string())),
        Lifetime::Column(_) => parts.next().flatten(),
    };
    let parts = Parts { key, member, cells, lifetime };
    match shape.kind {
        Kind::Hash => parts.hash(shape),
        Kind::String | Kind::Json => parts.string(shape),
        Kind::Stream => parts.stream(shape),
        Kind::List => parts.expiring(Words::new("RPUSH", parts.values())),
        Kind::Set => parts.expiring(Words::new("SADD", vec![parts.key(), parts.member()])),
        Kind::SortedSet | Kind::Command => parts.sorted_set(shape),
    }
}

struct Parts {
    key: Bytes,
    member: Option<Bytes>,
    cells: Vec<Option<Bytes>>,
    lifetime: Option<Bytes>,
}

impl Parts {
    fn key(&self) -> Bytes {
        self.key.clone()
    }

    fn member(&self) -> Bytes {
        self.member.clone().unwrap_or_default()
    }

    /// The key and the values.
    fn values(&self) -> Vec<Bytes> {
        std::iter::once(self.key()).chain(self.cells.iter().flatten().cloned()).collect()
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
    fn expiring(&self, command: Words) -> Vec<Words> {
        let mut commands = vec![command];
        if let Some(millis) = &self.lifetime {
            commands.push(Words::new("PEXPIRE", vec![self.key(), millis.clone()]));
        }
        Self::together(commands)
    }

    fn hash(&self, shape: &Shape) -> Vec<Words> {
        let mut commands = Vec::new();
        if shape.strategy == Replace {
            commands.push(Words::new("DEL", vec![self.key()]));
        }
        let mut set = Words::new("HSET", vec![self.key()]);
        let mut del = Words::new("HDEL", vec![self.key()]);
        for (cell, value) in shape.cells.iter().zip(&self.cells) {
            let name = Bytes::copy_from_slice(cell.name.as_bytes());
            match (value, cell.rule) {
                (Some(value), Rule::Keep) => {
                    commands.push(Words::new("HSETNX", vec![self.key(), name, value.clone()]));
                }
                (Some(value), _) => set.args.extend([name, value.clone()]),
                (None, Rule::Set) if shape.strategy == Update => del.args.push(name),
                (None, _) => {}
            }
        }
        commands.extend([set, del].into_iter().filter(|command| command.args.len() > 1));
        if let Some(millis) = &self.lifetime {
            commands.push(Words::new("PEXPIRE", vec![self.key(), millis.clone()]));
        }
        if commands.is_empty() {
            // A row that takes nothing away from nothing.
            commands.push(Words::new("EXISTS", vec![self.key()]));
        }
        Self::together(commands)
    }

    fn string(&self, shape: &Shape) -> Vec<Words> {
        let rule = shape.cells.first().map_or(Rule::Set, |cell| cell.rule);
        if is_sum(shape) {
            let values = self.values();
            let is_integer = values
                .get(1)
                .is_some_and(|value| value.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9')));
            let name = if is_integer { "INCRBY" } else { "INCRBYFLOAT" };
            return self.expiring(Words::new(name, values));
        }
        let mut set = Words::new("SET", self.values());
        let only_new = matches!(shape.strategy, Fail | Ignore)
            || (shape.kind == Kind::String && matches!(rule, Rule::Keep | Rule::InsertOnly));
        if only_new {
            set = set.with("NX");
        }
        if let Some(millis) = &self.lifetime {
            set = set.with("PX").with(millis.clone());
        }
        vec![set]
    }

    fn stream(&self, shape: &Shape) -> Vec<Words> {
        let mut add = Words::new("XADD", vec![self.key()]);
        if let Some(most) = shape.max_len {
            add = add.with("MAXLEN").with("~").with(most.to_string());
        }
        add = add.with("*");
        for (cell, value) in shape.cells.iter().zip(&self.cells) {
            if let Some(value) = value {
                add.args.push(Bytes::copy_from_slice(cell.name.as_bytes()));
                add.args.push(value.clone());
            }
        }
        self.expiring(add)
    }

    fn sorted_set(&self, shape: &Shape) -> Vec<Words> {
        let score = self.cells.first().cloned().flatten().unwrap_or_default();
        let rule = shape.cells.first().map_or(Rule::Set, |cell| cell.rule);
        if shape.strategy == Update && rule == Rule::Add {
            return self.expiring(Words::new("ZINCRBY", vec![self.key(), score, self.member()]));
        }
        let mut add = Words::new("ZADD", vec![self.key()]);
        match (shape.strategy, rule) {
            (Fail | Ignore, _) | (Update, Rule::Keep | Rule::InsertOnly) => add = add.with("NX"),
            (Update, Rule::Max) => add = add.with("GT"),
            (Update, Rule::Min) => add = add.with("LT"),
            _ => {}
        }
        self.expiring(add.with(score).with(self.member()))
    }
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
