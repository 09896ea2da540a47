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
    /// MariaDB's `inet4` and `inet6`, spatial types, vectors: as text or bytes, which the server
    /// reads.
    Other,
}

/// The lengths that the catalog gives with a type.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths {
    pub(crate) characters: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) digits: Option<u64>,
    pub(crate) scale: Option<u64>,
    /// Digits of the seconds.
    pub(crate) seconds: Option<u64>,
}

impl ColumnType {
    /// `name` is the type without its lengths, `sql` with them.
    pub(crate) fn new(name: &str, sql: &str, lengths: Lengths) -> Self {
        let unsigned = sql.contains(" unsigned") || sql.contains(" zerofill");
        let small = |length: Option<u64>| u8::try_from(length.unwrap_or(0)).unwrap_or(u8::MAX);
        let length = |length: Option<u64>| u32::try_from(length.unwrap_or(0)).unwrap_or(u32::MAX);
        let int = |bytes| TypeKind::Int { bytes, unsigned };
        let seconds = small(lengths.seconds);
        let kind = match name {
            "tinyint" => int(1),
            "smallint" => int(2),
            "mediumint" => int(3),
            "int" => int(4),
            "bigint" => int(8),
            "decimal" => TypeKind::Decimal {
                digits: small(lengths.digits),
                scale: small(lengths.scale),
                unsigned,
            },
            "float" => TypeKind::Float { unsigned },
            "double" => TypeKind::Double { unsigned },
            "bit" => TypeKind::Bit(small(lengths.digits)),
            "year" => TypeKind::Year,
            "date" => TypeKind::Date,
            "time" => TypeKind::Time(seconds),
            "datetime" => TypeKind::DateTime(seconds),
            "timestamp" => TypeKind::Timestamp(seconds),
            "char" => TypeKind::Char(length(lengths.characters)),
            "varchar" => TypeKind::VarChar(length(lengths.characters)),
            "tinytext" | "text" | "mediumtext" | "longtext" => {
                TypeKind::Text(lengths.bytes.unwrap_or(u64::MAX))
            }
            "binary" => TypeKind::Binary(length(lengths.bytes)),
            "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                TypeKind::VarBinary(lengths.bytes.unwrap_or(u64::MAX))
            }
            "enum" => TypeKind::Enum(members(sql)),
            "set" => TypeKind::Set(members(sql)),
            "json" => TypeKind::Json,
            "uuid" => TypeKind::Uuid,
            _ => TypeKind::Other,
        };
        Self { sql: sql.to_owned(), kind }
    }

    /// The digits in all and after the point of a `float(7,3)` or `double(7,3)`.
    pub(crate) fn float_digits(&self) -> Option<(u8, u8)> {
        let (_, lengths) = self.sql.split_once('(')?;
        let (digits, scale) = lengths.split_once(')')?.0.split_once(',')?;
        Some((digits.parse().ok()?, scale.parse().ok()?))
    }
}

/// The members of `enum('a','it''s')`, as the catalog quotes them.
fn members(sql: &str) -> Vec<String> {
    let mut members = Vec::new();
    let mut letters = sql.chars().peekable();
    while letters.by_ref().any(|letter| letter == '\'') {
        let mut member = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '\'' if letters.next_if_eq(&'\'').is_some() => member.push('\''),
                '\'' => break,
                '\\' => match letters.next() {
                    Some('n') => member.push('\n'),
                    Some('r') => member.push('\r'),
                    Some('0') => member.push('\0'),
                    Some(escaped) => member.push(escaped),
                    None => break,
                },
                letter => member.push(letter),
            }
        }
        members.push(member);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_the_catalog_quotes_them() {
        let sql = r"enum('a','it''s','','d\\e','f\ng','h,i','(''x'',''y'')')";
        assert_eq!(members(sql), ["a", "it's", "", "d\\e", "f\ng", "h,i", "('x','y')"]);
    }

    #[test]
    fn a_floats_digits_are_in_its_name() {
        let ty = |sql| ColumnType::new("float", sql, Lengths::default());
        assert_eq!(ty("float").float_digits(), None);
        assert_eq!(ty("float(7,3) unsigned").float_digits(), Some((7, 3)));
        assert_eq!(ty("float(7,3) unsigned").kind, TypeKind::Float { unsigned: true });
    }
}
