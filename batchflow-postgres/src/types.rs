//! [`ColumnType`]: what a column holds, as the catalog has it.

/// A column's type as the catalog has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnType {
    /// The type's oid; of a domain, the domain's own.
    pub(crate) oid: u32,
    /// The type as a declaration writes it, lengths and precisions included:
    /// `character varying(20)`. It means the same in every session: what has no name of SQL's own
    /// stands with its schema.
    pub(crate) sql: String,
    /// The type as a cast writes it, without lengths: an explicit cast to `varchar(5)` would cut
    /// what an insert refuses. Of a domain, its base type.
    pub(crate) cast: String,
    pub(crate) kind: TypeKind,
}

/// What a type's values are, as far as encoding them needs to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub(crate) enum TypeKind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric(NumericLimit),
    /// `text` and `varchar`.
    Text(TextLimit),
    /// `char(n)`: blank-padded, compared without trailing spaces.
    Char(TextLimit),
    /// Text that compares without regard to case. `ascii` tells whether the database folds A–Z
    /// to a–z, as every locale but a few does.
    Citext {
        ascii: bool,
    },
    /// `name`: an identifier of 63 bytes at most.
    Name,
    Bytea,
    Date,
    /// Digits kept of a second.
    Time(u8),
    /// Digits kept of a second.
    Timestamp(u8),
    /// Digits kept of a second.
    Timestamptz(u8),
    Uuid,
    Json,
    Jsonb,
    /// Its labels.
    Enum(Box<[String]>),
    TimeTz,
    Interval,
    Inet,
    Cidr,
    MacAddr,
    /// `"char"`: one byte.
    Byte,
    /// A domain's base type, which is no domain itself. Its constraints are the server's.
    Domain(Box<ColumnType>),
    Array {
        element: Box<ColumnType>,
        /// What separates elements in the array's text form: a comma for all types but `box`.
        delimiter: char,
    },
    /// Any other type, by its text form.
    Other,
}

/// What a `numeric` column keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumericLimit {
    /// How many digits in all, and how many of them after the decimal point, if that is limited.
    pub(crate) digits: Option<(u16, i16)>,
    /// Whether the server's `numeric` knows infinities: from PostgreSQL 14 on.
    pub(crate) infinity: bool,
}

/// How long a column's text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextLimit {
    /// In characters.
    pub(crate) chars: Option<u32>,
    /// Whether spaces beyond the limit are cut, as SQL has it. Not in a key: there, two values
    /// would become one row's key without anyone knowing before.
    pub(crate) cut_spaces: bool,
}

impl TextLimit {
    #[cfg(test)]
    pub(crate) const NONE: Self = Self { chars: None, cut_spaces: true };
}

impl ColumnType {
    /// The type itself, or a domain's base type.
    pub(crate) fn base(&self) -> &Self {
        match &self.kind {
            TypeKind::Domain(base) => base.base(),
            _ => self,
        }
    }
}
