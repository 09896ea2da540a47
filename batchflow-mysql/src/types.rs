//! [`ColumnType`]: what a column holds, as the catalog has it.

/// A column's type as the catalog has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnType {
    /// The type as the server writes it, lengths included: `varchar(20)`.
    pub(crate) sql: String,
    pub(crate) kind: TypeKind,
}

/// What a type's values are, as far as encoding them needs to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub(crate) enum TypeKind {
    /// Of so many bytes: 1, 2, 3, 4 or 8.
    Int {
        bytes: u8,
        unsigned: bool,
    },
    Decimal {
        digits: u8,
        scale: u8,
        unsigned: bool,
    },
    Float {
        unsigned: bool,
    },
    Double {
        unsigned: bool,
    },
    /// Of so many bits.
    Bit(u8),
    Year,
    Date,
    /// With so many digits of the seconds kept, as those that follow.
    Time(u8),
    DateTime(u8),
    Timestamp(u8),
    /// `char(n)`, in characters.
    Char(u32),
    /// `varchar(n)`, in characters.
    VarChar(u32),
    /// Any `text`, in bytes.
    Text(u64),
    /// `binary(n)`, in bytes: shorter values are filled up with zeros.
    Binary(u32),
    /// `varbinary(n)` and any `blob`, in bytes.
    VarBinary(u64),
    Enum(Vec<String>),
    Set(Vec<String>),
    Json,
    /// MariaDB's `uuid`.
    Uuid,
    /// MariaDB's `inet4` and `inet6`, spatial types, vectors: as text or bytes, unchecked.
    Other,
}
