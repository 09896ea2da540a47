//! [`Layout`]: what a row becomes in Redis.

mod shape;

use std::time::Duration;

pub(crate) use shape::{Cell, Lifetime, Rule, Shape, millis};

/// What a table's rows become in Redis.
///
/// A row's key in Redis is the layout's prefix and the schema's key columns, joined by `:`; in a
/// key of several columns, each `:` and `\` of all but the last is preceded by a `\`, so that no two
/// keys become one.
///
/// ```
/// use std::time::Duration;
///
/// use batchflow_redis::Layout;
///
/// // HSET user:7 name Ada email ada@example.com, for columns id (the key), name, email.
/// let users = Layout::hash("user:");
///
/// // SET session:9f3 <token> PX 3600000, for columns id (the key), token.
/// let sessions = Layout::string("session:").ttl(Duration::from_secs(3_600));
///
/// // SET cache:7 <body> PX <expires_in * 1000>, for columns id (the key), body, expires_in.
/// let cache = Layout::string("cache:").ttl_column("expires_in");
///
/// // XADD clicks:7 MAXLEN ~ 10000 * page /home, for columns site (the key), page.
/// let clicks = Layout::stream("clicks:").max_len(10_000);
///
/// // ZADD board:eu 250 ada, for columns region, player (both the key), score.
/// let board = Layout::sorted_set("board:");
/// # let _ = (users, sessions, cache, clicks, board);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Layout {
    pub(crate) kind: Kind,
    pub(crate) prefix: String,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) key_fields: bool,
    pub(crate) max_len: Option<u64>,
}

/// The type of value that a row becomes, or becomes a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Hash,
    String,
    Json,
    Stream,
    List,
    Set,
    SortedSet,
    Command,
}

/// How long a key lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    Fixed(Duration),
    Column(String),
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::String => "string",
            Self::Json => "JSON",
            Self::Stream => "stream",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted set",
            Self::Command => "command",
        }
    }
}

impl Layout {
    fn new(kind: Kind, prefix: impl Into<String>) -> Self {
        Self { kind, prefix: prefix.into(), ttl: None, key_fields: false, max_len: None }
    }

    /// A hash a row: a field for each column that is not of the key. NULL is a field that is not
    /// there.
    pub fn hash(prefix: impl Into<String>) -> Self {
        Self::new(Kind::Hash, prefix)
    }

    /// A string a row: the value of the one column that is not of the key.
    pub fn string(prefix: impl Into<String>) -> Self {
        Self::new(Kind::String, prefix)
    }

    /// A string a row that holds a JSON object: a member for each column that is not of the key.
    pub fn json(prefix: impl Into<String>) -> Self {
        Self::new(Kind::Json, prefix)
    }

    /// An entry of a stream a row: a field for each column that is not of the key, in the stream
    /// that the key names. Rows are appended in the order of submission, which takes
    /// [`ConflictStrategy::Fail`](crate::ConflictStrategy::Fail).
    pub fn stream(prefix: impl Into<String>) -> Self {
        Self::new(Kind::Stream, prefix)
    }

    /// An element of a list a row: the value of the one column that is not of the key, at the end
    /// of the list that the key names. Rows are appended in the order of submission, which takes
    /// [`ConflictStrategy::Fail`](crate::ConflictStrategy::Fail).
    pub fn list(prefix: impl Into<String>) -> Self {
        Self::new(Kind::List, prefix)
    }

    /// A member of a set a row: the key's last column is the member, those before it name the set.
    pub fn set(prefix: impl Into<String>) -> Self {
        Self::new(Kind::Set, prefix)
    }

    /// A member of a sorted set a row: the key's last column is the member, those before it name
    /// the set, and the one column that is not of the key is the score.
    pub fn sorted_set(prefix: impl Into<String>) -> Self {
        Self::new(Kind::SortedSet, prefix)
    }

    /// A command a row: its columns are the command's words, in their order. Words that are unset
    /// or NULL are left out.
    ///
    /// With [`ConflictStrategy::Fail`](crate::ConflictStrategy::Fail) commands are sent in the
    /// order of submission, and never twice. With
    /// [`ConflictStrategy::Replace`](crate::ConflictStrategy::Replace) you vouch for it that of
    /// two commands with one key the later does all that the earlier did, and that a command may be
    /// repeated.
    pub fn command() -> Self {
        Self::new(Kind::Command, "")
    }

    /// How long a key lives from its last write on; to the millisecond. Left out: as long as
    /// Redis has it, and a key that a write replaces whole loses the time it had.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(Ttl::Fixed(ttl));
        self
    }

    /// The column that holds how many seconds a key lives from this write on. It is stored nowhere
    /// else. A row that leaves it unset or NULL sets no time.
    pub fn ttl_column(mut self, column: impl Into<String>) -> Self {
        self.ttl = Some(Ttl::Column(column.into()));
        self
    }

    /// Stores the key's columns among a hash's fields or a JSON object's members, too.
    pub fn key_fields(mut self) -> Self {
        self.key_fields = true;
        self
    }

    /// About how many entries a stream keeps; Redis cuts it in whole blocks.
    pub fn max_len(mut self, entries: u64) -> Self {
        self.max_len = Some(entries);
        self
    }
}
