//! [`Table`]: what SQLite says about a schema's table, its columns and its indexes.

use batchflow_core::{
    ColumnInfo, ColumnKind, Comparison, ConflictStrategy, ErrorKind, Merge, Schema, Stage,
    TableInfo, WriteError,
};
use rusqlite::{Connection, params};

use crate::error::translate;
use crate::statement::quoted;

/// What SQLite does to a value before it stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

/// Where a column's values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filling {
    /// From rows, or from its default.
    ByRow,
    /// From an expression: no row may set it.
    Generated,
    /// From rows, or a new number: `INTEGER PRIMARY KEY`.
    Rowid,
}

/// One column of the schema as the table has it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) affinity: Affinity,
    pub(crate) filling: Filling,
    /// How the key's unique index compares it; `None` outside the key.
    pub(crate) collation: Option<Collation>,
    /// Whether an update keeps the greater or the lesser value.
    pub(crate) compared: bool,
    type_name: String,
    required: bool,
    default: bool,
}

/// How an index compares text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collation {
    Binary,
    NoCase,
    TrimEnd,
    Unknown,
}

/// A schema's table as SQLite has it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The database that holds it: `main`, `temp` or an attached one's name.
    pub(crate) database: String,
    /// The columns of the schema, in its order.
    pub(crate) columns: Vec<Column>,
}

/// A column as `PRAGMA table_xinfo` has it.
struct Raw {
    name: String,
    type_name: String,
    not_null: bool,
    default: Option<String>,
    primary_key: i64,
    hidden: i64,
}

impl Table {
    /// Looks the table up. What is missing or unfit is a `schema` error that names it.
    pub(crate) fn read(connection: &Connection, schema: &Schema) -> Result<Self, WriteError> {
        let reader = Reader { connection, schema };
        let (database, without_rowid, strict) = reader.table()?;
        let raw = reader.columns(&database)?;
        let mut columns = Vec::with_capacity(schema.width());
        let mut found: Vec<usize> = Vec::with_capacity(schema.width());
        for (position, name) in schema.columns().enumerate() {
            let at = raw.iter().position(|column| column.name.eq_ignore_ascii_case(name));
            let at =
                at.ok_or_else(|| reader.refuse_column(position, "the table has no such column"))?;
            if found.contains(&at) {
                let why = "it names the same column as another: SQLite ignores case in names";
                return Err(reader.refuse_column(position, why));
            }
            found.push(at);
            columns.push(raw[at].describe(strict));
        }
        let indexes = reader.indexes(&database)?;
        if reader.has_trigger(&database)? {
            // It may fill in what an insert leaves unset.
            for column in &mut columns {
                column.default = true;
            }
        }
        let primary_index = indexes.iter().any(|index| index.primary);
        let keys = raw.iter().filter(|column| column.primary_key > 0).count();
        let rowid = (keys == 1 && !primary_index && !without_rowid)
            .then(|| raw.iter().position(|column| column.primary_key > 0))
            .flatten();
        for (column, &at) in columns.iter_mut().zip(&found) {
            if rowid == Some(at) {
                column.filling = Filling::Rowid;
                column.required = false;
                column.default = true;
            }
        }
        reader.compare_keys(&database, &mut columns, &indexes)?;
        reader.check_merges(&mut columns)?;
        Ok(Self { database, columns })
    }

    /// What core needs to compare keys.
    pub(crate) fn info(&self) -> TableInfo {
        TableInfo::new(self.columns.iter().map(Column::info).collect())
    }
}

impl Raw {
    fn describe(&self, strict: bool) -> Column {
        let generated = matches!(self.hidden, 2 | 3);
        let default = generated
            || self.default.as_deref().is_some_and(|text| !text.eq_ignore_ascii_case("null"));
        Column {
            affinity: affinity(&self.type_name, strict),
            filling: if generated { Filling::Generated } else { Filling::ByRow },
            collation: None,
            compared: false,
            type_name: self.type_name.clone(),
            required: self.not_null && !default,
            default,
        }
    }
}

/// The affinity of a declared type, by SQLite's own five rules in their order.
fn affinity(declared: &str, strict: bool) -> Affinity {
    let upper = declared.to_ascii_uppercase();
    let has = |part: &str| upper.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || upper.is_empty() || (strict && upper == "ANY") {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

impl Column {
    fn info(&self) -> ColumnInfo {
        let comparison = match self.collation {
            None | Some(Collation::Binary) => Comparison::Natural,
            Some(Collation::NoCase) => Comparison::AsciiNoCase,
            Some(Collation::TrimEnd) => Comparison::TrimEnd,
            Some(Collation::Unknown) => Comparison::Opaque,
        };
        let mut info = ColumnInfo::new(self.kind()).with_comparison(comparison);
        if self.required {
            info = info.with_required();
        }
        if self.filling != Filling::ByRow {
            info = info.with_left_alone();
        }
        if self.default {
            info = info.with_default();
        }
        if self.type_name.is_empty() { info } else { info.with_type_name(self.type_name.as_str()) }
    }

    /// The kind by which core may compare keys as SQLite does. The values of other kinds than
    /// the one named here are left for SQLite to compare.
    fn kind(&self) -> ColumnKind {
        let declared = self.type_name.to_ascii_uppercase();
        let is = |names: &[&str]| names.iter().any(|name| declared.starts_with(name));
        match self.affinity {
            Affinity::Text => ColumnKind::Text,
            Affinity::Real => ColumnKind::Float64,
            Affinity::Blob if is(&["BLOB"]) => ColumnKind::Bytes,
            Affinity::Blob => ColumnKind::Other,
            Affinity::Numeric if is(&["BOOL"]) => ColumnKind::Bool,
            Affinity::Numeric if is(&["DATETIME", "TIMESTAMP"]) => ColumnKind::Timestamp,
            Affinity::Numeric if is(&["DATE"]) => ColumnKind::Date,
            Affinity::Numeric if is(&["TIME"]) => ColumnKind::Time,
            Affinity::Numeric if is(&["UUID"]) => ColumnKind::Uuid,
            // Integers compare exactly; fractions become floats, which core leaves to SQLite.
            Affinity::Integer | Affinity::Numeric => ColumnKind::Integer,
        }
    }
}

/// A unique index over plain columns of the whole table.
struct Index {
    primary: bool,
    columns: Vec<(String, Collation)>,
}

struct Reader<'a> {
    connection: &'a Connection,
    schema: &'a Schema,
}

impl Reader<'_> {
    /// The database that holds the table, whether it has no rowid, and whether it is strict.
    fn table(&self) -> Result<(String, bool, bool), WriteError> {
        let table = self.schema.table();
        let mut qualifiers = table.qualifiers();
        let database = qualifiers.next();
        if qualifiers.next().is_some() {
            return Err(self.refuse("a table of SQLite has one qualifier at most: its database"));
        }
        let rows = self.select(
            "SELECT schema, wr, strict FROM pragma_table_list(?1) ORDER BY \
             CASE schema WHEN 'temp' THEN 0 WHEN 'main' THEN 1 ELSE 2 END",
            params![table.name()],
            |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let found = rows
            .into_iter()
            .find(|(name, ..)| database.is_none_or(|database| database.eq_ignore_ascii_case(name)));
        found.ok_or_else(|| self.refuse("there is no such table"))
    }

    fn columns(&self, database: &str) -> Result<Vec<Raw>, WriteError> {
        self.select(
            "SELECT name, type, \"notnull\", dflt_value, pk, hidden \
             FROM pragma_table_xinfo(?1, ?2)",
            params![self.schema.table().name(), database],
            |row| {
                Ok(Raw {
                    name: row.get(0)?,
                    type_name: row.get(1)?,
                    not_null: row.get(2)?,
                    default: row.get(3)?,
                    primary_key: row.get(4)?,
                    hidden: row.get(5)?,
                })
            },
        )
    }

    fn has_trigger(&self, database: &str) -> Result<bool, WriteError> {
        let sql = format!(
            "SELECT 1 FROM {}.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
             UNION ALL SELECT 1 FROM temp.sqlite_schema \
             WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE LIMIT 1",
            quoted(database)
        );
        let found = self.select(&sql, params![self.schema.table().name()], |_| Ok(()))?;
        Ok(!found.is_empty())
    }

    fn indexes(&self, database: &str) -> Result<Vec<Index>, WriteError> {
        let unique = self.select(
            "SELECT name, origin FROM pragma_index_list(?1, ?2) \
             WHERE \"unique\" AND NOT partial ORDER BY seq",
            params![self.schema.table().name(), database],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)? == "pk")),
        )?;
        let mut indexes = Vec::with_capacity(unique.len());
        for (name, primary) in unique {
            let columns = self.select(
                "SELECT name, coll FROM pragma_index_xinfo(?1, ?2) WHERE key ORDER BY seqno",
                params![name, database],
                |row| {
                    let collation = match row.get_ref(1)?.as_str_or_null()? {
                        Some(name) => Collation::named(name),
                        None => Collation::Unknown,
                    };
                    Ok((row.get::<_, Option<String>>(0)?, collation))
                },
            )?;
            // An expression has no name.
            let columns: Option<Vec<_>> =
                columns.into_iter().map(|(name, collation)| Some((name?, collation))).collect();
            indexes.extend(columns.map(|columns| Index { primary, columns }));
        }
        Ok(indexes)
    }

    /// Finds the unique index of the key, and how it compares each key column.
    fn compare_keys(
        &self,
        database: &str,
        columns: &mut [Column],
        indexes: &[Index],
    ) -> Result<(), WriteError> {
        let key = self.schema.key();
        if self.schema.strategy() == ConflictStrategy::Fail {
            // The key only orders: it needs no index, and compares as its columns do.
            for &position in key {
                columns[position].collation = Some(self.own_collation(database, position)?);
            }
            return Ok(());
        }
        if let [only] = key
            && columns[*only].filling == Filling::Rowid
        {
            columns[*only].collation = Some(Collation::Binary);
            return Ok(());
        }
        let of_key = |index: &&Index| {
            index.columns.len() == key.len()
                && key
                    .iter()
                    .all(|&position| index.collation_of(self.schema.column(position)).is_some())
        };
        let usable: Vec<&Index> = indexes.iter().filter(of_key).collect();
        if usable.is_empty() {
            let names: Vec<&str> =
                key.iter().map(|&position| self.schema.column(position)).collect();
            let why = format!(
                "there is no unique index on exactly its key ({}) that covers every row",
                names.join(", ")
            );
            return Err(self.refuse(&why));
        }
        for &position in key {
            let name = self.schema.column(position);
            let mut collations = usable.iter().filter_map(|index| index.collation_of(name));
            let first = collations.next();
            let agreed = collations.all(|other| Some(other) == first);
            columns[position].collation = if agreed { first } else { Some(Collation::Unknown) };
        }
        Ok(())
    }

    /// The collation that the column was declared with.
    fn own_collation(&self, database: &str, position: usize) -> Result<Collation, WriteError> {
        let (table, column) = (self.schema.table().name(), self.schema.column(position));
        match self.connection.column_metadata(Some(database), table, column) {
            Ok((_, Some(collation), ..)) => Ok(Collation::named(&collation.to_string_lossy())),
            Ok(_) => Ok(Collation::Unknown),
            Err(error) => Err(self.place(translate(&error, Stage::Describe))),
        }
    }

    fn check_merges(&self, columns: &mut [Column]) -> Result<(), WriteError> {
        for (position, column) in columns.iter_mut().enumerate() {
            let rule = self.schema.update_rule(position);
            column.compared = matches!(rule, Some(Merge::Max | Merge::Min));
            let adds = rule == Some(Merge::Add);
            if adds && matches!(column.affinity, Affinity::Text) {
                return Err(self.refuse_column(position, "it holds text, which cannot be added up"));
            }
        }
        Ok(())
    }

    fn select<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, WriteError> {
        let rows = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        rows().map_err(|error| self.place(translate(&error, Stage::Describe)))
    }

    fn refuse(&self, why: &str) -> WriteError {
        let error = WriteError::new(ErrorKind::Schema).at(Stage::Describe);
        self.place(error.with_message(why))
    }

    fn refuse_column(&self, position: usize, why: &str) -> WriteError {
        self.refuse(why).with_column(self.schema.column(position))
    }

    fn place(&self, error: WriteError) -> WriteError {
        error.with_table(self.schema.table())
    }
}

impl Index {
    fn collation_of(&self, column: &str) -> Option<Collation> {
        let own = self.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
        own.map(|(_, collation)| *collation)
    }
}

impl Collation {
    fn named(name: &str) -> Self {
        match () {
            () if name.eq_ignore_ascii_case("BINARY") => Self::Binary,
            () if name.eq_ignore_ascii_case("NOCASE") => Self::NoCase,
            () if name.eq_ignore_ascii_case("RTRIM") => Self::TrimEnd,
            () => Self::Unknown,
        }
    }
}

/// The number that changes with every change of a database's schema.
pub(crate) fn schema_version(connection: &Connection, database: &str) -> rusqlite::Result<i64> {
    let sql = format!("PRAGMA {}.schema_version", quoted(database));
    connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_has_the_affinity_that_sqlite_gives_it() {
        for (declared, expected) in [
            ("INTEGER", Affinity::Integer),
            ("BIGINT", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("FLOATING POINT", Affinity::Integer),
            ("VARCHAR(20)", Affinity::Text),
            ("text", Affinity::Text),
            ("BLOB", Affinity::Blob),
            ("", Affinity::Blob),
            ("REAL", Affinity::Real),
            ("DOUBLE PRECISION", Affinity::Real),
            ("DECIMAL(10,2)", Affinity::Numeric),
            ("STRING", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
        ] {
            assert_eq!(affinity(declared, false), expected, "{declared}");
        }
        assert_eq!(affinity("ANY", true), Affinity::Blob);
    }
}
