//! When two rows have one key: as the key's columns compare in the database.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::DefaultHashBuilder;

use crate::driver::{ColumnInfo, ColumnKind, Comparison, TableInfo};
use crate::request::Request;
use crate::schema::Schema;
use crate::value::Value;

/// A row's key, as far as it can be told without the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKey {
    /// It has none, or one that holds a NULL where the column compares NULLs as unequal.
    None,
    /// Rows of one key have one hash; rows of one hash almost always have one key.
    Hash(u64),
    /// Only the database can compare it.
    Opaque,
}

/// How the keys of one schema's rows compare.
#[derive(Clone, Debug)]
pub(crate) struct KeyRules {
    columns: Vec<KeyColumn>,
    /// Rows without a key follow one another as if they had one.
    appends: bool,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Debug)]
struct KeyColumn {
    position: usize,
    kind: ColumnKind,
    comparison: Comparison,
    scale: Option<u8>,
    /// The class of the values seen so far. Values of two classes may be one to the database.
    class: Option<Class>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Bool,
    Number,
    Float,
    Text,
    Bytes,
    Timestamp,
    Date,
    Time,
    Uuid,
}

/// One key column's value in the form that the database compares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part<'a> {
    Int(i128),
    /// A float's bits, ordered as the numbers are.
    Float(u64),
    Decimal(String),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    Days(i32),
}

impl KeyRules {
    pub(crate) fn new(schema: &Schema, table: &TableInfo) -> Self {
        let columns = schema.key().iter().map(|&position| {
            let info = table.column(position);
            KeyColumn {
                position,
                kind: info.map_or(ColumnKind::Unknown, ColumnInfo::kind),
                comparison: info.map_or(Comparison::Natural, ColumnInfo::comparison),
                scale: info.and_then(ColumnInfo::scale),
                class: None,
            }
        });
        let hasher = DefaultHashBuilder::default();
        Self { columns: columns.collect(), appends: table.appends(), hasher }
    }

    /// The row's key. Remembers the classes of values seen, see [`KeyColumn::class`].
    #[inline]
    pub(crate) fn key_of(&mut self, row: &Request) -> RowKey {
        if self.columns.is_empty() {
            return if self.appends { RowKey::Opaque } else { RowKey::None };
        }
        let mut state = self.hasher.build_hasher();
        let mut opaque = false;
        for column in &mut self.columns {
            let Some(value) = row.value(column.position).filter(|value| !value.is_null()) else {
                if column.comparison != Comparison::Opaque {
                    return RowKey::None;
                }
                // A unique index may take NULLs for one key.
                opaque = true;
                continue;
            };
            if let Some(integer) = column.integer(value) {
                column.class = Some(Class::Number);
                Part::Int(i128::from(integer)).hash(&mut state);
                continue;
            }
            match column.part(value) {
                Some((class, part)) if column.class.is_none_or(|seen| seen == class) => {
                    column.class = Some(class);
                    part.hash(&mut state);
                }
                _ => opaque = true,
            }
        }
        if opaque { RowKey::Opaque } else { RowKey::Hash(state.finish()) }
    }

    /// Whether two rows whose keys have one hash have one key.
    #[inline]
    pub(crate) fn same(&self, a: &Request, b: &Request) -> bool {
        self.compare(a, b) == Ordering::Equal
    }

    /// An order over keys that every process shares.
    #[inline]
    pub(crate) fn compare(&self, a: &Request, b: &Request) -> Ordering {
        for column in &self.columns {
            let order = match (a.value(column.position), b.value(column.position)) {
                (Some(Value::I64(a)), Some(Value::I64(b)))
                    if !matches!(column.kind, ColumnKind::Float32 | ColumnKind::Float64) =>
                {
                    a.cmp(b)
                }
                (Some(a), Some(b)) => column.part_only(a).cmp(&column.part_only(b)),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

impl KeyColumn {
    /// What [`part`](Self::part) finds in the most usual key, found at once.
    #[inline]
    fn integer(&self, value: &Value) -> Option<i64> {
        let Value::I64(integer) = value else { return None };
        let is_number = self.class.is_none_or(|seen| seen == Class::Number);
        let is_natural = matches!(self.kind, ColumnKind::Unknown | ColumnKind::Integer)
            && self.comparison != Comparison::Opaque;
        (is_number && is_natural).then_some(*integer)
    }

    fn part_only<'a>(&self, value: &'a Value) -> Option<Part<'a>> {
        self.part(value).map(|(_, part)| part)
    }

    /// The value as the column compares it; `None` where only the database knows.
    #[inline]
    fn part<'a>(&self, value: &'a Value) -> Option<(Class, Part<'a>)> {
        if self.comparison == Comparison::Opaque {
            return None;
        }
        let (class, part) = match value {
            Value::Bool(v) => (Class::Bool, Part::Int(i128::from(*v))),
            Value::I64(v) => (Class::Number, Part::Int(i128::from(*v))),
            Value::U64(v) => (Class::Number, Part::Int(i128::from(*v))),
            Value::F32(v) => (Class::Float, Part::Float(ordered(f64::from(*v)))),
            Value::F64(v) => (Class::Float, Part::Float(ordered(*v))),
            Value::Decimal(v) => (Class::Number, self.decimal(v)?),
            Value::Text(v) => (Class::Text, Part::Text(self.fold(v)?)),
            Value::Bytes(v) => (Class::Bytes, Part::Bytes(self.padded(v))),
            Value::Timestamp(v) => {
                (Class::Timestamp, self.nanos(v.unix_nanos(), v.subsec_nanos())?)
            }
            Value::Date(v) => (Class::Date, Part::Days(v.unix_days())),
            Value::Time(v) => (Class::Time, self.nanos(i128::from(v.nanos()), v.to_hms_nano().3)?),
            Value::Uuid(v) => (Class::Uuid, Part::Bytes(v)),
            Value::Null | Value::Json(_) | Value::Array(_) => return None,
        };
        let natural = match self.kind {
            ColumnKind::Unknown => true,
            ColumnKind::Bool => class == Class::Bool,
            ColumnKind::Integer => class == Class::Number && matches!(part, Part::Int(_)),
            ColumnKind::Decimal => class == Class::Number,
            ColumnKind::Float32 | ColumnKind::Float64 => return self.float(value),
            ColumnKind::Text => matches!(
                class,
                Class::Text | Class::Timestamp | Class::Date | Class::Time | Class::Uuid
            ),
            ColumnKind::Bytes => matches!(class, Class::Bytes | Class::Uuid),
            ColumnKind::Timestamp => class == Class::Timestamp,
            ColumnKind::Date => class == Class::Date,
            ColumnKind::Time => class == Class::Time,
            ColumnKind::Uuid => class == Class::Uuid,
            ColumnKind::Other => false,
        };
        natural.then_some((class, part))
    }

    fn float(&self, value: &Value) -> Option<(Class, Part<'static>)> {
        // Rounded once, as it is stored.
        let narrow = self.kind == ColumnKind::Float32;
        let stored = match value {
            Value::F32(v) => f64::from(*v),
            Value::F64(v) if narrow => f64::from(*v as f32),
            Value::F64(v) => *v,
            Value::I64(v) if narrow => f64::from(*v as f32),
            Value::I64(v) => *v as f64,
            Value::U64(v) if narrow => f64::from(*v as f32),
            Value::U64(v) => *v as f64,
            _ => return None,
        };
        Some((Class::Float, Part::Float(ordered(stored))))
    }

    fn decimal(&self, text: &str) -> Option<Part<'static>> {
        let number = crate::decimal::normalize(text)?;
        if self.scale.is_some_and(|scale| number.scale() > usize::from(scale)) {
            return None;
        }
        Some(match number.to_i128() {
            Some(integer) => Part::Int(integer),
            None => Part::Decimal(number.to_string()),
        })
    }

    /// A moment; `None` where the column rounds it.
    fn nanos(&self, nanos: i128, subsec: u32) -> Option<Part<'static>> {
        let unit = match self.scale {
            Some(scale) if scale < 9 => 10_u32.pow(9 - u32::from(scale)),
            _ => 1,
        };
        subsec.is_multiple_of(unit).then_some(Part::Int(nanos))
    }

    fn padded<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match self.comparison {
            Comparison::TrimEndZeros => {
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                &bytes[..end]
            }
            _ => bytes,
        }
    }

    #[inline]
    fn fold<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        let printable = || text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        Some(match self.comparison {
            Comparison::AsciiNoCase => lower(text),
            Comparison::TrimEnd => Cow::Borrowed(text.trim_end_matches(' ')),
            Comparison::PrintableNoCase if printable() => lower(text),
            Comparison::PrintableNoCaseTrimEnd if printable() => lower(text.trim_end_matches(' ')),
            Comparison::Printable if printable() => Cow::Borrowed(text),
            Comparison::PrintableTrimEnd if printable() => {
                Cow::Borrowed(text.trim_end_matches(' '))
            }
            Comparison::PrintableNoCase
            | Comparison::PrintableNoCaseTrimEnd
            | Comparison::Printable
            | Comparison::PrintableTrimEnd
            | Comparison::Opaque => return None,
            Comparison::Natural | Comparison::TrimEndZeros => Cow::Borrowed(text),
        })
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Bits that order as the numbers do, with one zero and one NaN.
fn ordered(float: f64) -> u64 {
    let float = if float == 0.0 { 0.0 } else { float };
    let bits = if float.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { float.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ConflictStrategy;
    use crate::temporal::Timestamp;

    fn info(kind: ColumnKind) -> ColumnInfo {
        ColumnInfo::new(kind)
    }

    fn compare(column: &ColumnInfo, a: impl Into<Value>, b: impl Into<Value>) -> Option<bool> {
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["k"]).unwrap();
        let mut rules = KeyRules::new(&schema, &TableInfo::new(vec![column.clone()]));
        let (a, b) = (schema.row((a,)).unwrap(), schema.row((b,)).unwrap());
        match (rules.key_of(&a), rules.key_of(&b)) {
            (RowKey::Hash(left), RowKey::Hash(right)) => {
                assert_eq!(left == right, rules.same(&a, &b));
                Some(left == right)
            }
            _ => None,
        }
    }

    #[test]
    fn keys_compare_as_the_column_compares() {
        use ColumnKind::{Decimal, Float32, Float64, Integer, Text, Unknown};
        let decimal = |text: &str| Value::Decimal(text.into());
        let nocase = info(Text).with_comparison(Comparison::PrintableNoCase);
        let ascii = info(Text).with_comparison(Comparison::AsciiNoCase);
        let trim = info(Text).with_comparison(Comparison::TrimEnd);
        let printable = info(Text).with_comparison(Comparison::Printable);
        let printable_trim = info(Text).with_comparison(Comparison::PrintableTrimEnd);
        let zeros = info(ColumnKind::Bytes).with_comparison(Comparison::TrimEndZeros);
        assert_eq!(compare(&info(Unknown), 3_i32, 3_u64), Some(true));
        assert_eq!(compare(&info(Integer), -1_i64, u64::MAX), Some(false));
        assert_eq!(compare(&info(Decimal), decimal("1.0"), decimal("1.00")), Some(true));
        assert_eq!(compare(&info(Decimal), decimal("1e2"), 100_i64), Some(true));
        assert_eq!(compare(&info(Decimal).with_scale(1), decimal("1.25"), 1_i64), None);
        assert_eq!(compare(&info(Float64), 0.0, -0.0), Some(true));
        assert_eq!(compare(&info(Float64), 2.0, 2_i64), Some(true));
        assert_eq!(compare(&info(Float32), 0.1_f32, 0.1_f64), Some(true));
        let between = (1_i64 << 54) + (1 << 30) + 1;
        assert_eq!(compare(&info(Float32), between, 1_i64 << 54), Some(false));
        assert_eq!(compare(&info(Float32), between, (1_i64 << 54) + (1 << 31)), Some(true));
        assert_eq!(compare(&info(Float64), 0.1_f32, 0.1_f64), Some(false));
        assert_eq!(compare(&info(Text), "a", "A"), Some(false));
        assert_eq!(compare(&nocase, "Ada", "aDA"), Some(true));
        assert_eq!(compare(&nocase, "Ada", "Ad\u{e1}"), None);
        assert_eq!(compare(&ascii, "\u{c9}A", "\u{c9}a"), Some(true));
        assert_eq!(compare(&ascii, "\u{c9}", "\u{e9}"), Some(false));
        assert_eq!(compare(&trim, "a  ", "a"), Some(true));
        assert_eq!(compare(&printable, "a", "A"), Some(false));
        assert_eq!(compare(&printable, "a", "a "), Some(false));
        assert_eq!(compare(&printable, "\u{e9}", "\u{e9}"), None);
        assert_eq!(compare(&printable_trim, "a", "a "), Some(true));
        assert_eq!(compare(&printable_trim, "a", "A "), Some(false));
        assert_eq!(compare(&zeros, vec![1_u8, 0, 0], vec![1_u8]), Some(true));
        assert_eq!(compare(&zeros, vec![0_u8], Vec::<u8>::new()), Some(true));
        assert_eq!(compare(&zeros, vec![0_u8, 1], vec![1_u8]), Some(false));
        assert_eq!(compare(&info(Integer), 3_i64, "3"), None);
        assert_eq!(
            compare(&info(Unknown), 3_i64, "3"),
            None,
            "two classes: only the database knows"
        );
        assert_eq!(compare(&info(ColumnKind::Other), "a", "a"), None);
        let moment = |nanos| Timestamp::new(1, nanos).unwrap();
        let micros = info(ColumnKind::Timestamp).with_scale(6);
        assert_eq!(compare(&micros, moment(1_000), moment(1_000)), Some(true));
        assert_eq!(compare(&micros, moment(1_001), moment(1_000)), None, "the column rounds");
    }

    #[test]
    fn a_key_that_holds_null_equals_no_other() {
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["k"]).unwrap();
        let mut rules = KeyRules::new(&schema, &TableInfo::unchecked(&schema));
        assert_eq!(rules.key_of(&schema.row((Value::Null,)).unwrap()), RowKey::None);
    }

    /// A unique index may take two NULLs for one key.
    #[test]
    fn a_null_that_only_the_database_can_compare_may_equal_another() {
        let schema = Schema::builder("t")
            .columns(["k", "l"])
            .key(["k", "l"])
            .on_conflict(ConflictStrategy::Ignore)
            .build()
            .unwrap();
        let opaque = info(ColumnKind::Integer).with_comparison(Comparison::Opaque);
        let mut rules =
            KeyRules::new(&schema, &TableInfo::new(vec![opaque, info(ColumnKind::Integer)]));
        let mut key = |k: Value, l: Value| rules.key_of(&schema.row((k, l)).unwrap());
        assert_eq!(key(Value::Null, 1_i64.into()), RowKey::Opaque);
        assert_eq!(key(Value::Null, Value::Null), RowKey::None, "the other column tells");
    }

    #[test]
    fn rows_without_a_key_follow_one_another_where_they_are_appended() {
        let schema = Schema::builder("t").columns(["n"]).build().unwrap();
        let row = schema.row((1_i64,)).unwrap();
        let table = TableInfo::unchecked(&schema);
        assert_eq!(KeyRules::new(&schema, &table).key_of(&row), RowKey::None);
        assert_eq!(KeyRules::new(&schema, &table.with_appends()).key_of(&row), RowKey::Opaque);
    }

    #[test]
    fn floats_order_as_numbers() {
        let numbers = [f64::NEG_INFINITY, -2.5, -0.0, 1e-300, 3.0, f64::INFINITY, f64::NAN];
        let bits: Vec<u64> = numbers.map(ordered).into();
        assert!(bits.is_sorted(), "{bits:?}");
    }
}
