//! [`Schema`]: where rows go, and what happens when one is already there.

mod builder;
mod error;
mod intern;
mod strategy;
mod table_name;

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

pub use builder::SchemaBuilder;
pub use error::SchemaError;
pub use strategy::{ConflictStrategy, Merge};
pub use table_name::TableName;

use intern::Shared;

/// Where rows go: a table, its columns, its key and what happens on a conflict.
///
/// A schema is a cheap clone. Two that are structurally equal are one: their rows share batches.
/// The first 1,024 different ones of a process stay in memory for good.
///
/// ```
/// use batchflow_core::{ConflictStrategy, Merge, Schema};
///
/// let users = Schema::builder("app.users")
///     .columns(["id", "name", "hits", "updated_at"])
///     .key(["id"])
///     .on_conflict(ConflictStrategy::Update)
///     .update(["name", "hits"])
///     .merge("hits", Merge::Add)
///     .touch("updated_at")
///     .build()?;
/// let logs = Schema::new("logs", ConflictStrategy::Ignore, ["id", "line"])?;
/// assert_eq!(logs.key(), [0]);
/// # Ok::<_, batchflow_core::SchemaError>(())
/// ```
#[derive(Clone)]
pub struct Schema(Shared);

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    table: TableName,
    columns: Box<[Box<str>]>,
    key: Box<[usize]>,
    strategy: ConflictStrategy,
    rules: Box<[Rule]>,
    touch: Option<usize>,
}

/// What an `Update` does to one column that a row sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    Leave,
    Write(Merge),
}

struct Inner {
    parts: Parts,
    hash: u64,
    /// Column positions sorted by name, for schemas too wide to search column by column.
    by_name: Box<[usize]>,
}

/// Up to this many columns are searched one by one: shorter than a binary search's misses.
const LINEAR_SEARCH: usize = 12;

impl Schema {
    /// The short form: the first column is the key.
    pub fn new<C>(
        table: impl AsRef<str>,
        strategy: ConflictStrategy,
        columns: C,
    ) -> Result<Self, SchemaError>
    where
        C: IntoIterator,
        C::Item: Into<String>,
    {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let key: Vec<String> = columns.first().cloned().into_iter().collect();
        Self::builder(table).columns(columns).key(key).on_conflict(strategy).build()
    }

    /// Starts a schema for `table`.
    ///
    /// A dot separates qualifiers (`"app.users"`); a part that holds a dot itself is written in
    /// double quotes (`"app.\"odd.name\""`). Drivers quote every part, so case is kept.
    pub fn builder(table: impl AsRef<str>) -> SchemaBuilder {
        SchemaBuilder::new(table.as_ref())
    }

    fn from_parts(parts: Parts) -> Self {
        let hash =
            std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(&parts);
        let mut by_name: Box<[usize]> = (0..parts.columns.len()).collect();
        by_name.sort_unstable_by(|&a, &b| parts.columns[a].cmp(&parts.columns[b]));
        Self(Shared::new(Inner { parts, hash, by_name }))
    }

    /// Tells this schema from any other that is alive. Equal ones may still have several.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref::<Inner>(&self.0).addr()
    }

    /// Whether its content is kept for good, so that a copy of it holds nothing.
    #[inline]
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.0, Shared::Kept(_))
    }

    /// The table's name.
    pub fn table(&self) -> &TableName {
        &self.0.parts.table
    }

    /// The columns, in the order they were given.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.parts.columns.iter().map(AsRef::as_ref)
    }

    /// How many columns there are.
    #[inline]
    pub fn width(&self) -> usize {
        self.0.parts.columns.len()
    }

    /// The name of the column at `position`; empty past the last.
    #[inline]
    pub fn column(&self, position: usize) -> &str {
        self.0.parts.columns.get(position).map_or("", AsRef::as_ref)
    }

    /// The position of the column called `name`, exactly as it was given.
    #[inline]
    pub fn position(&self, name: &str) -> Option<usize> {
        let columns = &self.0.parts.columns;
        if columns.len() <= LINEAR_SEARCH {
            return columns.iter().position(|column| **column == *name);
        }
        let by_name = &self.0.by_name;
        by_name
            .binary_search_by(|&position| (*columns[position]).cmp(name))
            .ok()
            .map(|found| by_name[found])
    }

    /// The positions of the key columns; empty for a schema without a key.
    #[inline]
    pub fn key(&self) -> &[usize] {
        &self.0.parts.key
    }

    /// What happens to a row whose key is already in the table.
    #[inline]
    pub fn strategy(&self) -> ConflictStrategy {
        self.0.parts.strategy
    }

    /// What an [`Update`](ConflictStrategy::Update) that sets the column at `position` does to
    /// the row already there; `None` where it leaves it alone.
    #[inline]
    pub fn update_rule(&self, position: usize) -> Option<Merge> {
        match self.0.parts.rules.get(position) {
            Some(Rule::Write(merge)) => Some(*merge),
            _ => None,
        }
    }

    /// The column that takes the server's clock on every write.
    pub fn touch(&self) -> Option<usize> {
        self.0.parts.touch
    }

    /// Whether writing a row twice leaves the same table as writing it once: a keyed schema under
    /// anything but [`Fail`](ConflictStrategy::Fail), without [`Merge::Add`].
    pub fn is_idempotent(&self) -> bool {
        let adds = self.0.parts.rules.contains(&Rule::Write(Merge::Add));
        !self.key().is_empty() && self.strategy() != ConflictStrategy::Fail && !adds
    }
}

impl PartialEq for Schema {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(&raw const *self.0, &raw const *other.0)
            || (self.0.hash == other.0.hash && self.0.parts == other.0.parts)
    }
}

impl Eq for Schema {}

impl Hash for Schema {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |&position: &usize| self.column(position).to_owned();
        f.debug_struct("Schema")
            .field("table", &self.table().to_string())
            .field("columns", &self.0.parts.columns)
            .field("key", &self.key().iter().map(name).collect::<Vec<_>>())
            .field("on_conflict", &self.strategy())
            .finish_non_exhaustive()
    }
}
