//! What happens to a row whose key is already in the table.

/// What happens to a row whose key is already in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictStrategy {
    /// A plain insert: a duplicate key is that row's error. Rows are never merged and keep their
    /// submission order; a key, if the schema has one, only orders.
    #[default]
    Fail,
    /// The row already there is kept, and the new one counts as written. Only a duplicate of the
    /// key is ignored: every other error stays an error of its row.
    Ignore,
    /// Every column but the key is overwritten, unset ones with their default. The row is never
    /// deleted, so nothing cascades.
    Replace,
    /// The columns that the row sets are overwritten, or merged by their [`Merge`] rule; the
    /// others keep what the table has.
    Update,
}

impl ConflictStrategy {
    /// The strategy's name in messages and dead letters: `"fail"`, `"ignore"`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Ignore => "ignore",
            Self::Replace => "replace",
            Self::Update => "update",
        }
    }
}

/// How an [`Update`](ConflictStrategy::Update) combines the table's value with the row's.
///
/// Where one side is absent or NULL, the result is the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Merge {
    /// The row's value replaces the table's.
    #[default]
    Set,
    /// The sum. Integers, decimals and floats.
    Add,
    /// The greater. Numbers and times.
    Max,
    /// The lesser. Numbers and times.
    Min,
    /// The table's value stays; the row's is written only where the table has NULL.
    KeepExisting,
}

impl Merge {
    /// The rule's name in messages and dead letters: `"set"`, `"add"`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Add => "add",
            Self::Max => "max",
            Self::Min => "min",
            Self::KeepExisting => "keep_existing",
        }
    }
}
