//! [`Shape`]: a layout, checked against a schema.

use std::time::Duration;

use batchflow_core::{ConflictStrategy, ErrorKind, Merge, Schema, Stage, WriteError};

use super::{Kind, Layout, Ttl};

/// The most fields of a hash or a stream's entry: Lua passes few more words to a command.
const MAX_FIELDS: usize = 2_000;

/// The longest time to live, in milliseconds: about 300 years.
pub(crate) const MAX_TTL: u64 = 10_000_000_000_000;

/// A layout, checked against a schema: which column goes where, and by which rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) strategy: ConflictStrategy,
    pub(crate) prefix: String,
    /// The columns that make the Redis key.
    pub(crate) name: Vec<usize>,
    /// The member of a set or sorted set.
    pub(crate) member: Option<usize>,
    /// The columns that are stored.
    pub(crate) cells: Vec<Cell>,
    /// The field that takes the server's clock.
    pub(crate) touch: Option<String>,
    pub(crate) lifetime: Lifetime,
    pub(crate) max_len: Option<u64>,
    /// Whether a command's words have to be text.
    pub(crate) text_only: bool,
    /// Whether keys are on several nodes.
    pub(crate) is_cluster: bool,
}

/// A column that is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) column: usize,
    pub(crate) name: String,
    pub(crate) rule: Rule,
}

/// What an update does with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Set,
    Add,
    Max,
    Min,
    /// Writes only where there is nothing.
    Keep,
    /// Written where the key is new, left as it is where it is not.
    InsertOnly,
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Unset,
    /// Milliseconds.
    Fixed(u64),
    /// The column with the seconds.
    Column(usize),
}

impl Shape {
    /// Checks a layout against a schema; the error names the table, and the column at fault.
    pub(crate) fn new(layout: &Layout, schema: &Schema) -> Result<Self, WriteError> {
        let check = Check { layout, schema };
        let lifetime = check.lifetime()?;
        let (name, member) = check.name()?;
        let shape = Self {
            kind: layout.kind,
            strategy: schema.strategy(),
            prefix: layout.prefix.clone(),
            name,
            member,
            cells: check.cells(lifetime)?,
            touch: check.touch()?,
            lifetime,
            max_len: layout.max_len,
            text_only: false,
            is_cluster: false,
        };
        check.strategy(&shape)?;
        Ok(shape)
    }

    /// Whether the order of all rows shows, and no key of theirs keeps them in order.
    pub(crate) fn is_one_line(&self) -> bool {
        matches!(self.kind, Kind::Stream | Kind::List | Kind::Command) && self.name.is_empty()
    }

    /// The cells among these columns, which a batch sets; and the one that no row can be without.
    pub(crate) fn narrowed(&self, columns: &[usize]) -> Self {
        let mut narrowed = self.clone();
        let is_all = matches!(self.kind, Kind::String | Kind::List | Kind::SortedSet);
        narrowed.cells.retain(|cell| is_all || columns.contains(&cell.column));
        if let Lifetime::Column(column) = self.lifetime
            && !columns.contains(&column)
        {
            narrowed.lifetime = Lifetime::Unset;
        }
        narrowed
    }
}

struct Check<'a> {
    layout: &'a Layout,
    schema: &'a Schema,
}

impl Check<'_> {
    fn refuse<T>(&self, why: &str) -> Result<T, WriteError> {
        let error = WriteError::new(ErrorKind::Schema).at(Stage::Describe);
        let layout = self.layout.kind.as_str();
        Err(error
            .with_table(self.schema.table())
            .with_message(format!("the {layout} layout {why}")))
    }

    fn refuse_column<T>(&self, column: usize, why: &str) -> Result<T, WriteError> {
        self.refuse::<T>(why).map_err(|error| error.with_column(self.schema.column(column)))
    }

    fn lifetime(&self) -> Result<Lifetime, WriteError> {
        let ttl = match &self.layout.ttl {
            None => return Ok(Lifetime::Unset),
            Some(_) if self.layout.kind == Kind::Command => {
                return self.refuse("has no time to live: it is one of the command's words");
            }
            Some(ttl) => ttl,
        };
        match ttl {
            Ttl::Fixed(ttl) => match u64::try_from(ttl.as_millis()) {
                Ok(millis @ 1..=MAX_TTL) => Ok(Lifetime::Fixed(millis)),
                _ => self.refuse("needs a time to live between a millisecond and 300 years"),
            },
            Ttl::Column(column) => match self.schema.position(column) {
                Some(at) if self.schema.key().contains(&at) => {
                    self.refuse_column(at, "cannot take the time to live from the key")
                }
                Some(at) => Ok(Lifetime::Column(at)),
                None => self
                    .refuse("takes the time to live from a column that the schema does not have")
                    .map_err(|error: WriteError| error.with_column(column)),
            },
        }
    }

    /// The columns that make the Redis key, and the one that is a member.
    fn name(&self) -> Result<(Vec<usize>, Option<usize>), WriteError> {
        let key = self.schema.key();
        match (self.layout.kind, key) {
            (Kind::Hash | Kind::String | Kind::Json, []) => {
                self.refuse("needs a schema with a key")
            }
            (Kind::Set | Kind::SortedSet, []) => {
                self.refuse("needs a key, whose last column is the member")
            }
            (Kind::Set | Kind::SortedSet, [name @ .., member]) => {
                if name.is_empty() && self.layout.prefix.is_empty() {
                    return self.refuse("needs a name: a prefix, or a key of two columns");
                }
                Ok((name.to_vec(), Some(*member)))
            }
            (Kind::Stream | Kind::List, []) if self.layout.prefix.is_empty() => {
                self.refuse("needs a name: a prefix, or a key")
            }
            (_, key) => Ok((key.to_vec(), None)),
        }
    }

    fn cells(&self, lifetime: Lifetime) -> Result<Vec<Cell>, WriteError> {
        let kind = self.layout.kind;
        let with_key = match kind {
            Kind::Command => true,
            Kind::Hash | Kind::Json => self.layout.key_fields,
            _ if self.layout.key_fields => {
                return self.refuse("has no fields to store the key in");
            }
            _ => false,
        };
        let mut cells = Vec::with_capacity(self.schema.width());
        for column in 0..self.schema.width() {
            let is_key = self.schema.key().contains(&column);
            let is_stored = (!is_key || with_key)
                && lifetime != Lifetime::Column(column)
                && self.schema.touch() != Some(column);
            if is_stored {
                let name = self.schema.column(column).to_owned();
                cells.push(Cell { column, name, rule: self.rule(column, is_key) });
            }
        }
        match (kind, cells.as_slice()) {
            (Kind::Hash, []) if self.schema.touch().is_some() => Ok(cells),
            (Kind::Hash | Kind::Json | Kind::Stream | Kind::Command, []) => {
                self.refuse("needs a column that is not of the key")
            }
            (Kind::String | Kind::List | Kind::SortedSet, [] | [_, _, ..]) => {
                self.refuse("needs one column, and no more, that is not of the key")
            }
            (Kind::Set, [first, ..]) => {
                self.refuse_column(first.column, "stores nothing but the key")
            }
            (Kind::Hash | Kind::Stream, cells) if cells.len() > MAX_FIELDS => {
                self.refuse("takes 2,000 fields at most")
            }
            _ => Ok(cells),
        }
    }

    fn rule(&self, column: usize, is_key: bool) -> Rule {
        if self.schema.strategy() != ConflictStrategy::Update || is_key {
            return Rule::Set;
        }
        match self.schema.update_rule(column) {
            None => Rule::InsertOnly,
            Some(Merge::Add) => Rule::Add,
            Some(Merge::Max) => Rule::Max,
            Some(Merge::Min) => Rule::Min,
            Some(Merge::KeepExisting) => Rule::Keep,
            Some(_) => Rule::Set,
        }
    }

    fn touch(&self) -> Result<Option<String>, WriteError> {
        match self.schema.touch() {
            None => Ok(None),
            Some(column) if self.layout.kind == Kind::Hash => {
                Ok(Some(self.schema.column(column).to_owned()))
            }
            Some(column) => self.refuse_column(column, "has no field for the server's clock"),
        }
    }

    /// What the layout can do by which strategy.
    fn strategy(&self, shape: &Shape) -> Result<(), WriteError> {
        let strategy = shape.strategy;
        if self.layout.max_len.is_some() && shape.kind != Kind::Stream {
            return self.refuse("has no length to keep");
        }
        match shape.kind {
            Kind::Stream | Kind::List if strategy != ConflictStrategy::Fail => {
                self.refuse("appends, which takes the strategy `Fail`")
            }
            Kind::Command
                if !matches!(strategy, ConflictStrategy::Fail | ConflictStrategy::Replace) =>
            {
                self.refuse("takes the strategies `Fail` and `Replace`")
            }
            Kind::Json => match shape
                .cells
                .iter()
                .find(|cell| matches!(cell.rule, Rule::Add | Rule::Max | Rule::Min))
            {
                Some(cell) => self.refuse_column(
                    cell.column,
                    "merges members by `Set` and `KeepExisting`, and by no other rule",
                ),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Milliseconds of a time to live in seconds, where it is one.
pub(crate) fn millis(seconds: f64) -> Option<u64> {
    let millis = Duration::try_from_secs_f64(seconds).ok()?.as_millis();
    u64::try_from(millis).ok().filter(|millis| (1..=MAX_TTL).contains(millis))
}
