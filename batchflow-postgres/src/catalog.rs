//! What is asked of PostgreSQL's catalog, in unnamed statements of built-in types only: so it
//! works behind a pooler that gives each transaction another connection.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use crate::types::{ColumnType, NumericLimit, TextLimit, TypeKind};

/// All that was found of one relation.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) relation: Relation,
    /// Every column, in the table's order.
    pub(crate) columns: Vec<Column>,
    /// Every unique index.
    pub(crate) indexes: Vec<Index>,
}

/// What a relation is, and what this user may do with it.
#[derive(Debug)]
pub(crate) struct Relation {
    /// `pg_class.relkind`.
    pub(crate) kind: String,
    /// Its name with its schema's, both quoted: it means the same in every session.
    pub(crate) qualified: String,
    pub(crate) row_security: bool,
    pub(crate) may_insert: bool,
    /// Whether a trigger may change a row before NOT NULL is checked.
    pub(crate) fills_in: bool,
    /// Whether rules rewrite inserts, which COPY does not know of.
    pub(crate) insert_rules: bool,
    /// Of a view: whether it takes inserts, by itself or by a trigger.
    pub(crate) takes_inserts: bool,
    pub(crate) may_stage: bool,
    version: i32,
    folds_ascii: bool,
}

/// One column of the relation.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) not_null: bool,
    pub(crate) has_default: bool,
    /// `pg_attribute.attidentity`.
    pub(crate) identity: String,
    /// `pg_attribute.attgenerated`.
    pub(crate) generated: String,
    /// Whether its collation takes different bytes for different text.
    pub(crate) deterministic: bool,
}

/// A unique index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    /// The columns that make it unique; empty names for expressions.
    pub(crate) columns: Vec<String>,
    /// For each, whether it compares bytes or values as the type itself does.
    plain: Vec<bool>,
    /// Whether two NULLs are one value to it.
    pub(crate) nulls_are_one: bool,
    valid: bool,
    immediate: bool,
    partial: bool,
}

impl Relation {
    /// Whether it is a table, partitioned or not.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p")
    }
}

impl Index {
    /// Why `ON CONFLICT` cannot use it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self {
            _ if self.partial => Some("is partial: it does not cover every row"),
            _ if !self.immediate => Some("is deferrable, which ON CONFLICT does not support"),
            _ if !self.valid => Some("is not valid: it was not built to the end"),
            _ => None,
        }
    }

    /// Whether it compares this column's values as their type does.
    pub(crate) fn compares_plainly(&self, column: &str) -> bool {
        let at = self.columns.iter().position(|name| name == column);
        at.and_then(|at| self.plain.get(at)).copied().unwrap_or(false)
    }
}

const RELATION: &str = "\
SELECT c.relkind::text, \
  pg_catalog.row_security_active(c.oid), \
  pg_catalog.has_table_privilege(c.oid, 'INSERT') \
    OR pg_catalog.has_any_column_privilege(c.oid, 'INSERT'), \
  EXISTS (SELECT FROM pg_catalog.pg_trigger t \
    WHERE t.tgtype & 7 = 7 AND t.tgenabled <> 'D' \
    AND (t.tgrelid = c.oid OR c.relkind = 'p' AND t.tgrelid IN \
      (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.oid) p))), \
  EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '3'), \
  CASE WHEN c.relkind = 'v' \
    THEN pg_catalog.pg_relation_is_updatable(c.oid, true) & 8 = 8 ELSE true END, \
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP'), \
  pg_catalog.current_setting('server_version_num')::int4, \
  pg_catalog.lower('ABCDEFGHIJKLMNOPQRSTUVWXYZ' COLLATE \"default\") \
    = 'abcdefghijklmnopqrstuvwxyz', \
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) \
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE c.oid = pg_catalog.to_regclass($1)";

/// Each column's type, and beneath it the types it is made of: a domain's base, an array's
/// element. A length or precision is the column's own, or the nearest domain's.
const COLUMNS: &str = "\
WITH RECURSIVE part(attnum, depth, type, typmod) AS ( \
  SELECT a.attnum, 0, a.atttypid, a.atttypmod FROM pg_catalog.pg_attribute a \
  WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
  UNION ALL \
  SELECT p.attnum, p.depth + 1, \
    CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END, \
    CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE p.typmod END \
  FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type \
  LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid \
  WHERE t.typtype = 'd' OR e.oid IS NOT NULL \
) \
SELECT a.attname::text, a.attnotnull, \
  a.atthasdef OR EXISTS (SELECT FROM part d JOIN pg_catalog.pg_type t ON t.oid = d.type \
    WHERE d.attnum = a.attnum AND t.typtype = 'd' AND t.typdefault IS NOT NULL), \
  a.attidentity::text, a.attgenerated::text, \
  coalesce(co.collisdeterministic, true), \
  p.depth, t.oid, p.typmod, t.typtype::text, t.typname::text, n.nspname::text, \
  e.oid IS NOT NULL, coalesce(e.typdelim, ',')::text, \
  pg_catalog.format_type(t.oid, p.typmod), pg_catalog.format_type(t.oid, -1), \
  pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(t.typname), \
  ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l \
    WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder) \
FROM part p \
JOIN pg_catalog.pg_attribute a \
  ON a.attrelid = pg_catalog.to_regclass($1) AND a.attnum = p.attnum \
JOIN pg_catalog.pg_type t ON t.oid = p.type \
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid \
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation \
ORDER BY p.attnum, p.depth";

const INDEXES: &str = "\
SELECT ic.relname::text, i.indisvalid AND i.indisready AND i.indislive, i.indimmediate, \
  i.indpred IS NOT NULL, \
  ARRAY(SELECT coalesce(a.attname::text, '') FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k \
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] \
    AND i.indkey[k] <> 0 ORDER BY k), \
  ARRAY(SELECT coalesce(co.collisdeterministic, true) \
      AND (o.opcdefault OR o.opcname LIKE '%\\_pattern\\_ops') \
    FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k \
    JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[k] \
    LEFT JOIN pg_catalog.pg_collation co ON co.oid = i.indcollation[k] ORDER BY k), \
  coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false) \
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid \
WHERE i.indrelid = pg_catalog.to_regclass($1) AND i.indisunique \
ORDER BY i.indisprimary DESC, ic.relname";

/// Asks for everything at once; `None` where there is no such relation. `name` is quoted.
pub(crate) async fn read(client: &Client, name: &str) -> Result<Option<Found>, Error> {
    let name = [(&name as &(dyn tokio_postgres::types::ToSql + Sync), Type::TEXT)];
    let (relation, columns, indexes) = tokio::join!(
        client.query_typed(RELATION, &name),
        client.query_typed(COLUMNS, &name),
        client.query_typed(INDEXES, &name),
    );
    // In a transaction the first to fail says why; those behind it only that it has failed.
    let (relation, columns, indexes) = (relation?, columns?, indexes?);
    let Some(relation) = relation.first().map(Relation::read).transpose()? else {
        return Ok(None);
    };
    let columns = read_columns(&columns, &relation)?;
    let indexes = indexes.iter().map(Index::read).collect::<Result<_, _>>()?;
    Ok(Some(Found { relation, columns, indexes }))
}

impl Relation {
    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            kind: row.try_get(0)?,
            row_security: row.try_get(1)?,
            may_insert: row.try_get(2)?,
            fills_in: row.try_get(3)?,
            insert_rules: row.try_get(4)?,
            takes_inserts: row.try_get(5)?,
            may_stage: row.try_get(6)?,
            version: row.try_get(7)?,
            folds_ascii: row.try_get(8)?,
            qualified: row.try_get(9)?,
        })
    }
}

impl Index {
    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            name: row.try_get(0)?,
            valid: row.try_get(1)?,
            immediate: row.try_get(2)?,
            partial: row.try_get(3)?,
            columns: row.try_get(4)?,
            plain: row.try_get(5)?,
            nulls_are_one: row.try_get(6)?,
        })
    }
}

/// One row of [`COLUMNS`]: a type that a column is made of.
struct Part {
    oid: u32,
    typmod: i32,
    class: String,
    name: String,
    namespace: String,
    is_array: bool,
    delimiter: String,
    /// As [`spelled`], with lengths and without; of an array, only its elements' are used.
    sql: String,
    cast: String,
    labels: Vec<String>,
}

impl Part {
    fn read(row: &Row) -> Result<Self, Error> {
        let (sql, cast) =
            spelled(row.try_get(14)?, row.try_get(15)?, row.try_get(16)?, row.try_get(17)?);
        Ok(Self {
            oid: row.try_get(7)?,
            typmod: row.try_get(8)?,
            class: row.try_get(9)?,
            name: row.try_get(10)?,
            namespace: row.try_get(11)?,
            is_array: row.try_get(12)?,
            delimiter: row.try_get(13)?,
            sql,
            cast,
            labels: row.try_get(18)?,
        })
    }
}

/// A type's name with and without its lengths, so that it means the same under any `search_path`:
/// `format_type` leaves out the schema of what this session finds without it. What SQL itself
/// names (`integer`, `timestamp(3) without time zone`) is in no path. `schema` and `name` are
/// quoted.
fn spelled(sql: &str, cast: &str, schema: &str, name: &str) -> (String, String) {
    let full = format!("{schema}.{name}");
    if schema == "pg_catalog" && cast != name && cast != full {
        return (sql.to_owned(), cast.to_owned());
    }
    match sql.strip_prefix(cast) {
        Some(lengths) => (format!("{full}{lengths}"), full),
        // `character(3)`, whose own name is another.
        None => (sql.to_owned(), full),
    }
}

fn read_columns(rows: &[Row], relation: &Relation) -> Result<Vec<Column>, Error> {
    let mut columns = Vec::new();
    let mut rest = rows;
    while let Some(row) = rest.first() {
        let mut parts = vec![Part::read(row)?];
        rest = &rest[1..];
        while let Some(next) = rest.first()
            && next.try_get::<_, i32>(6)? > 0
        {
            parts.push(Part::read(next)?);
            rest = &rest[1..];
        }
        columns.push(Column {
            name: row.try_get(0)?,
            not_null: row.try_get(1)?,
            has_default: row.try_get(2)?,
            identity: row.try_get(3)?,
            generated: row.try_get(4)?,
            deterministic: row.try_get(5)?,
            ty: assemble(parts, relation),
        });
    }
    Ok(columns)
}

/// A type of its parts, the outermost first.
fn assemble(parts: Vec<Part>, relation: &Relation) -> ColumnType {
    let mut inner: Option<ColumnType> = None;
    for part in parts.into_iter().rev() {
        let kind = match inner.take() {
            Some(base) if part.class == "d" => TypeKind::Domain(Box::new(match base.kind {
                TypeKind::Domain(base) => *base,
                _ => base,
            })),
            Some(element) if part.is_array => TypeKind::Array {
                element: Box::new(element),
                delimiter: part.delimiter.chars().next().unwrap_or(','),
            },
            _ => leaf(&part, relation),
        };
        let (sql, cast) = match &kind {
            TypeKind::Array { element, .. } => {
                (format!("{}[]", element.sql), format!("{}[]", element.cast))
            }
            _ => (part.sql, part.cast),
        };
        inner = Some(ColumnType { oid: part.oid, sql, cast, kind });
    }
    inner.unwrap_or_else(|| ColumnType {
        oid: Type::TEXT.oid(),
        sql: "pg_catalog.text".to_owned(),
        cast: "pg_catalog.text".to_owned(),
        kind: TypeKind::Other,
    })
}

fn leaf(part: &Part, relation: &Relation) -> TypeKind {
    let seconds = if (0..=6).contains(&part.typmod) { part.typmod as u8 } else { 6 };
    let limit = TextLimit {
        chars: u32::try_from(part.typmod - 4).ok().filter(|_| part.typmod > 4),
        cut_spaces: true,
    };
    match Type::from_oid(part.oid) {
        _ if part.class == "e" => TypeKind::Enum(part.labels.clone().into()),
        Some(Type::BOOL) => TypeKind::Bool,
        Some(Type::INT2) => TypeKind::Int2,
        Some(Type::INT4) => TypeKind::Int4,
        Some(Type::INT8) => TypeKind::Int8,
        Some(Type::FLOAT4) => TypeKind::Float4,
        Some(Type::FLOAT8) => TypeKind::Float8,
        Some(Type::NUMERIC) => TypeKind::Numeric(NumericLimit {
            digits: digits(part.typmod),
            infinity: relation.version >= 140_000,
        }),
        Some(Type::TEXT | Type::VARCHAR) => TypeKind::Text(limit),
        Some(Type::BPCHAR) => TypeKind::Char(limit),
        Some(Type::NAME) => TypeKind::Name,
        Some(Type::BYTEA) => TypeKind::Bytea,
        Some(Type::DATE) => TypeKind::Date,
        Some(Type::TIME) => TypeKind::Time(seconds),
        Some(Type::TIMESTAMP) => TypeKind::Timestamp(seconds),
        Some(Type::TIMESTAMPTZ) => TypeKind::Timestamptz(seconds),
        Some(Type::UUID) => TypeKind::Uuid,
        Some(Type::JSON) => TypeKind::Json,
        Some(Type::JSONB) => TypeKind::Jsonb,
        Some(Type::TIMETZ) => TypeKind::TimeTz,
        Some(Type::INTERVAL) => TypeKind::Interval,
        Some(Type::INET) => TypeKind::Inet,
        Some(Type::CIDR) => TypeKind::Cidr,
        Some(Type::MACADDR) => TypeKind::MacAddr,
        Some(Type::CHAR) => TypeKind::Byte,
        None if part.name == "citext" && part.class == "b" && part.namespace != "pg_catalog" => {
            TypeKind::Citext { ascii: relation.folds_ascii }
        }
        _ => TypeKind::Other,
    }
}

/// A `numeric`'s precision and scale; the scale is a signed number of eleven bits.
fn digits(typmod: i32) -> Option<(u16, i16)> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    let scale = ((packed & 0x7ff) ^ 0x400) - 0x400;
    Some(((packed >> 16) as u16, scale as i16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_name_means_the_same_under_any_search_path() {
        for (sql, cast, schema, name, expected) in [
            ("integer", "integer", "pg_catalog", "int4", ("integer", "integer")),
            (
                "character varying(9)",
                "character varying",
                "pg_catalog",
                "\"varchar\"",
                ("character varying(9)", "character varying"),
            ),
            (
                "character(3)",
                "bpchar",
                "pg_catalog",
                "bpchar",
                ("character(3)", "pg_catalog.bpchar"),
            ),
            ("bit(3)", "\"bit\"", "pg_catalog", "\"bit\"", ("bit(3)", "pg_catalog.\"bit\"")),
            ("uuid", "uuid", "pg_catalog", "uuid", ("pg_catalog.uuid", "pg_catalog.uuid")),
            (
                "pg_catalog.text",
                "pg_catalog.text",
                "pg_catalog",
                "text",
                ("pg_catalog.text", "pg_catalog.text"),
            ),
            ("mood", "mood", "a", "mood", ("a.mood", "a.mood")),
            ("a.mood", "a.mood", "a", "mood", ("a.mood", "a.mood")),
            ("geo(Point,4)", "geo", "\"Odd\"", "geo", ("\"Odd\".geo(Point,4)", "\"Odd\".geo")),
        ] {
            let found = spelled(sql, cast, schema, name);
            assert_eq!((&*found.0, &*found.1), expected, "{schema}.{name}");
        }
    }

    #[test]
    fn a_numerics_precision_and_scale_are_unpacked() {
        let pack = |precision: i32, scale: i32| (precision << 16 | scale & 0x7ff) + 4;
        assert_eq!(digits(-1), None);
        for (precision, scale) in [(10, 2), (1_000, 1_000), (2, -3), (3, 5)] {
            let expected = (precision as u16, scale as i16);
            assert_eq!(digits(pack(precision, scale)), Some(expected));
        }
    }
}
