//! [`TableInfo`]: what a driver found out about a table.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::schema::Schema;

/// What a driver found out about the table of a [`Schema`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableInfo {
    columns: Vec<ColumnInfo>,
    checked: bool,
    appends: bool,
}

impl TableInfo {
    /// Nothing was looked up: values compare by their own kinds.
    pub fn unchecked(schema: &Schema) -> Self {
        let columns = vec![ColumnInfo::new(ColumnKind::Unknown); schema.width()];
        Self { columns, checked: false, appends: false }
    }

    /// What was found for each column of the schema, in its order.
    pub fn new(columns: Vec<ColumnInfo>) -> Self {
        Self { columns, checked: true, appends: false }
    }

    /// Rows without a key are appended to something that keeps their order, a list say: they go in
    /// submission order, one batch at a time.
    #[must_use]
    pub fn with_appends(mut self) -> Self {
        self.appends = true;
        self
    }

    /// Whether rows without a key go in submission order.
    pub fn appends(&self) -> bool {
        self.appends
    }

    /// Whether the table was looked up.
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// A number that tables of which other things were found rarely share: for
    /// [`Attempt::note_table`](crate::Attempt::note_table). It means nothing outside this process.
    ///
    /// ```
    /// use batchflow_core::{ColumnInfo, ColumnKind, TableInfo};
    ///
    /// let of = |kind| TableInfo::new(vec![ColumnInfo::new(kind)]).fingerprint();
    /// assert_eq!(of(ColumnKind::Text), of(ColumnKind::Text));
    /// assert_ne!(of(ColumnKind::Text), of(ColumnKind::Bytes));
    /// ```
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The column at a position of the schema.
    pub fn column(&self, position: usize) -> Option<&ColumnInfo> {
        self.columns.get(position)
    }
}

/// What a driver found out about one column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnInfo {
    kind: ColumnKind,
    comparison: Comparison,
    required: bool,
    default: bool,
    left_alone: bool,
    scale: Option<u8>,
    type_name: Option<String>,
}

impl ColumnInfo {
    /// A nullable column of `kind` without a default that compares
    /// [naturally](Comparison::Natural).
    pub fn new(kind: ColumnKind) -> Self {
        Self {
            kind,
            comparison: Comparison::Natural,
            required: false,
            default: false,
            left_alone: false,
            scale: None,
            type_name: None,
        }
    }

    /// How the column compares.
    #[must_use]
    pub fn with_comparison(mut self, comparison: Comparison) -> Self {
        self.comparison = comparison;
        self
    }

    /// An insert must set the column: it is NOT NULL and has no default.
    #[must_use]
    pub fn with_required(mut self) -> Self {
        self.required = true;
        self
    }

    /// An insert that leaves the column unset stores something other than NULL.
    #[must_use]
    pub fn with_default(mut self) -> Self {
        self.default = true;
        self
    }

    /// A `Replace` that leaves the column unset leaves it as it is in a row that is there: it is
    /// generated, or an identity.
    #[must_use]
    pub fn with_left_alone(mut self) -> Self {
        self.left_alone = true;
        self
    }

    /// How many digits the column keeps after the decimal point: of a decimal, or of the seconds
    /// of a time or timestamp. Left out: as many as the value has.
    #[must_use]
    pub fn with_scale(mut self, digits: u8) -> Self {
        self.scale = Some(digits);
        self
    }

    /// The type as the server names it, for messages.
    #[must_use]
    pub fn with_type_name(mut self, name: impl Into<String>) -> Self {
        self.type_name = Some(name.into());
        self
    }

    /// What the column holds.
    pub fn kind(&self) -> ColumnKind {
        self.kind
    }

    /// How the column compares.
    pub fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// Whether an insert must set the column.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether leaving the column unset on insert stores something other than NULL.
    pub fn has_default(&self) -> bool {
        self.default
    }

    /// Whether a `Replace` that leaves the column unset leaves it as it is.
    pub fn is_left_alone(&self) -> bool {
        self.left_alone
    }

    /// How many digits the column keeps after the decimal point.
    pub fn scale(&self) -> Option<u8> {
        self.scale
    }

    /// The type as the server names it.
    pub fn type_name(&self) -> Option<&str> {
        self.type_name.as_deref()
    }
}

/// What a column holds, as far as comparing its values needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnKind {
    /// Not looked up: values compare by their own kinds.
    Unknown,
    /// Truth values.
    Bool,
    /// Integers.
    Integer,
    /// Single-precision floats.
    Float32,
    /// Double-precision floats.
    Float64,
    /// Decimals.
    Decimal,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Instants.
    Timestamp,
    /// Days.
    Date,
    /// Times of day.
    Time,
    /// UUIDs.
    Uuid,
    /// Anything that only the database can compare.
    Other,
}

/// When two values of a key column are one to the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Comparison {
    /// When they are equal: text byte by byte, numbers by value, times by instant.
    #[default]
    Natural,
    /// Text without regard to the case of A–Z; every other byte counts. SQLite's `NOCASE`.
    AsciiNoCase,
    /// Text without regard to trailing spaces. SQLite's `RTRIM`.
    TrimEnd,
    /// Printable ASCII without regard to case; of other text only the database knows.
    /// A case-insensitive collation.
    PrintableNoCase,
    /// Like [`PrintableNoCase`](Self::PrintableNoCase), without regard to trailing spaces.
    PrintableNoCaseTrimEnd,
    /// Printable ASCII byte by byte; of other text only the database knows. A case-sensitive
    /// collation.
    Printable,
    /// Like [`Printable`](Self::Printable), without regard to trailing spaces.
    PrintableTrimEnd,
    /// Bytes without regard to trailing zeros, which fill up a `binary(n)`.
    TrimEndZeros,
    /// Only the database knows.
    Opaque,
}
