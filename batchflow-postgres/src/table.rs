//! [`Table`]: what the catalog says about a schema's table, its columns and its key's index.

use batchflow_core::{
    ColumnInfo, ColumnKind, Comparison, ConflictStrategy, ErrorKind, Merge, Schema, Stage,
    TableInfo, TableName, WriteError,
};
use tokio_postgres::Client;

use crate::catalog::{self, Column as CatalogColumn, Relation};
use crate::types::{ColumnType, NumericLimit, TextLimit, TypeKind};

/// A schema's table as the catalog has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// The table's name with its schema's, both quoted: it means the same in every session.
    pub(crate) name: String,
    /// The columns of the schema, in its order.
    pub(crate) columns: Vec<TableColumn>,
    /// Every column of the table, in the table's order: its position in the schema, if it has one.
    pub(crate) layout: Vec<Option<usize>>,
    /// Whether row-level security applies to this user.
    pub(crate) row_security: bool,
    /// Whether COPY into the table would do what an insert does: not under row-level security,
    /// not past rules, and not into a view or a foreign table.
    pub(crate) may_copy: bool,
    /// Whether this user may make temporary tables.
    pub(crate) may_stage: bool,
}

/// One column of the schema as the table has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) not_null: bool,
    /// Whether a row that sets it to NULL is surely refused: no trigger can fill it in.
    pub(crate) refuses_null: bool,
    /// Whether leaving it unset stores something else than NULL.
    pub(crate) has_default: bool,
    /// Whether it is computed: no row may set it.
    pub(crate) generated: bool,
    pub(crate) identity: Identity,
    /// How the key's unique index compares it; how it compares itself, outside the key.
    pub(crate) comparison: Comparison,
}

/// Whether a column numbers its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    None,
    /// A row may set it.
    ByDefault,
    /// A row may set it only where the statement says so.
    Always,
}

impl Table {
    /// Looks the table up. What is missing or unfit is a `schema` error that names it; what this
    /// user may not do, a `permission` error.
    pub(crate) async fn read(client: &Client, schema: &Schema) -> Result<Self, WriteError> {
        let reader = Reader { schema };
        if schema.table().qualifiers().len() > 2 {
            return Err(
                reader.refuse("a table's name has a database and a schema before it at most")
            );
        }
        let found = catalog::read(client, &regclass(schema.table())).await.map_err(|error| {
            reader.place(crate::error::translate(&error, Stage::Describe, None))
        })?;
        let Some(found) = found else {
            return Err(reader.refuse("there is no such table"));
        };
        reader.check_relation(&found.relation)?;
        let mut columns = reader.columns(&found.relation, &found.columns)?;
        reader.compare_keys(&mut columns, &found)?;
        reader.check_rules(&columns)?;
        let layout = found.columns.iter().map(|column| schema.position(&column.name)).collect();
        let relation = found.relation;
        Ok(Self {
            name: relation.qualified.clone(),
            columns,
            layout,
            row_security: relation.row_security,
            may_copy: relation.is_table() && !relation.row_security && !relation.insert_rules,
            may_stage: relation.may_stage,
        })
    }

    /// What core needs to compare keys.
    pub(crate) fn info(&self) -> TableInfo {
        TableInfo::new(self.columns.iter().map(TableColumn::info).collect())
    }

    /// That no row of a batch with these set columns sets one that the table computes.
    pub(crate) fn check_settable(
        &self,
        schema: &Schema,
        columns: &[usize],
    ) -> Result<(), WriteError> {
        let generated = |&&at: &&usize| self.columns.get(at).is_some_and(|column| column.generated);
        match columns.iter().find(generated) {
            Some(&at) => {
                let why = "it is a generated column, which no row may set";
                Err(Reader { schema }.refuse_column(at, why).at(Stage::Encode))
            }
            None => Ok(()),
        }
    }
}

/// The name as `to_regclass` reads it: every part quoted.
fn regclass(table: &TableName) -> String {
    let parts = table.qualifiers().chain([table.name()]);
    let quoted: Vec<String> =
        parts.map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    quoted.join(".")
}

impl TableColumn {
    /// Whether a `Replace` that does not set it leaves it as it is.
    pub(crate) fn leaves_alone(&self) -> bool {
        self.generated || self.identity != Identity::None
    }

    fn info(&self) -> ColumnInfo {
        let base = self.ty.base();
        let (kind, scale) = kind_of(&base.kind);
        let mut info = ColumnInfo::new(kind)
            .with_comparison(self.comparison)
            .with_type_name(self.ty.sql.as_str());
        if let Some(scale) = scale {
            info = info.with_scale(scale);
        }
        if self.refuses_null && !self.has_default {
            info = info.with_required();
        }
        if self.leaves_alone() {
            info = info.with_left_alone();
        }
        if self.has_default { info.with_default() } else { info }
    }
}

/// The kind by which core compares keys as PostgreSQL does, and how many digits are kept.
fn kind_of(kind: &TypeKind) -> (ColumnKind, Option<u8>) {
    match kind {
        TypeKind::Bool => (ColumnKind::Bool, None),
        TypeKind::Int2 | TypeKind::Int4 | TypeKind::Int8 => (ColumnKind::Integer, None),
        TypeKind::Float4 => (ColumnKind::Float32, None),
        TypeKind::Float8 => (ColumnKind::Float64, None),
        TypeKind::Numeric(NumericLimit { digits: None, .. }) => (ColumnKind::Decimal, None),
        TypeKind::Numeric(NumericLimit { digits: Some((_, scale)), .. }) => {
            match u8::try_from(*scale) {
                Ok(scale) => (ColumnKind::Decimal, Some(scale)),
                // Hundreds and thousands are rounded, or more digits kept than a row's text has.
                Err(_) => (ColumnKind::Other, None),
            }
        }
        TypeKind::Text(_)
        | TypeKind::Char(_)
        | TypeKind::Citext { .. }
        | TypeKind::Name
        | TypeKind::Enum(_) => (ColumnKind::Text, None),
        TypeKind::Bytea => (ColumnKind::Bytes, None),
        TypeKind::Date => (ColumnKind::Date, None),
        TypeKind::Time(digits) => (ColumnKind::Time, Some(*digits)),
        TypeKind::Timestamp(digits) | TypeKind::Timestamptz(digits) => {
            (ColumnKind::Timestamp, Some(*digits))
        }
        TypeKind::Uuid => (ColumnKind::Uuid, None),
        _ => (ColumnKind::Other, None),
    }
}

struct Reader<'a> {
    schema: &'a Schema,
}

impl Reader<'_> {
    fn check_relation(&self, relation: &Relation) -> Result<(), WriteError> {
        let strategy = self.schema.strategy();
        match relation.kind.as_str() {
            "v" if !relation.takes_inserts => {
                return Err(self.refuse("it is a view that takes no rows"));
            }
            "v" if strategy != ConflictStrategy::Fail => {
                let why = "it is a view, which has no unique index: name the table behind it";
                return Err(self.refuse(why));
            }
            "f" if strategy != ConflictStrategy::Fail => {
                return Err(self.refuse("it is a foreign table, which has no unique index here"));
            }
            "r" | "p" | "v" | "f" => {}
            "m" => return Err(self.refuse("it is a materialized view, which takes no rows")),
            _ => return Err(self.refuse("it is no table")),
        }
        if !relation.may_insert {
            let error = WriteError::new(ErrorKind::Permission).at(Stage::Describe);
            return Err(self.place(error.with_message("this user may not insert into it")));
        }
        Ok(())
    }

    fn columns(
        &self,
        relation: &Relation,
        found: &[CatalogColumn],
    ) -> Result<Vec<TableColumn>, WriteError> {
        let mut columns = Vec::with_capacity(self.schema.width());
        for (position, name) in self.schema.columns().enumerate() {
            let Some(column) = found.iter().find(|column| column.name == name) else {
                return Err(self.refuse_column(position, "the table has no such column"));
            };
            let identity = match column.identity.as_str() {
                "a" => Identity::Always,
                "d" => Identity::ByDefault,
                _ => Identity::None,
            };
            let generated = !column.generated.is_empty();
            columns.push(TableColumn {
                name: name.to_owned(),
                ty: column.ty.clone(),
                not_null: column.not_null,
                refuses_null: column.not_null && !relation.fills_in,
                has_default: column.has_default
                    || generated
                    || identity != Identity::None
                    || relation.fills_in,
                generated,
                identity,
                comparison: compare(&column.ty, column.deterministic),
            });
        }
        Ok(columns)
    }

    /// Finds the unique index of the key, and how it compares each key column.
    fn compare_keys(
        &self,
        columns: &mut [TableColumn],
        found: &catalog::Found,
    ) -> Result<(), WriteError> {
        let key = self.schema.key();
        for &at in key {
            exact(&mut columns[at].ty);
        }
        if self.schema.strategy() == ConflictStrategy::Fail {
            // The key only orders: it needs no index, and compares as its columns do.
            return Ok(());
        }
        let names: Vec<&str> = key.iter().map(|&at| self.schema.column(at)).collect();
        let of_key = |index: &&catalog::Index| {
            index.columns.len() == names.len()
                && names.iter().all(|name| index.columns.iter().any(|column| column == name))
        };
        let candidates: Vec<&catalog::Index> = found.indexes.iter().filter(of_key).collect();
        let usable = || candidates.iter().filter(|index| index.fault().is_none());
        if usable().next().is_none() {
            let key = names.join(", ");
            return Err(match candidates.first().and_then(|index| Some((index, index.fault()?))) {
                Some((index, fault)) => {
                    let why = format!("the unique index on its key ({key}) {fault}");
                    self.refuse(&why).with_constraint(&index.name)
                }
                None => self.refuse(&format!(
                    "there is no unique index on exactly its key ({key}) that covers every row"
                )),
            });
        }
        for (&at, name) in key.iter().zip(&names) {
            let takes_null_for_one =
                !columns[at].not_null && usable().any(|index| index.nulls_are_one);
            if takes_null_for_one || usable().any(|index| !index.compares_plainly(name)) {
                columns[at].comparison = Comparison::Opaque;
            } else {
                // The index's collation, not the column's, tells rows apart.
                columns[at].comparison = compare(&columns[at].ty, true);
            }
        }
        Ok(())
    }

    /// That each column can be merged and touched as the schema says.
    fn check_rules(&self, columns: &[TableColumn]) -> Result<(), WriteError> {
        for (position, column) in columns.iter().enumerate() {
            let kind = &column.ty.base().kind;
            let why = match self.schema.update_rule(position) {
                Some(Merge::Add) if !is_number(kind) => "which cannot be added up",
                Some(Merge::Max | Merge::Min) if !is_number(kind) && !is_time(kind) => {
                    "which has no greatest and no least"
                }
                Some(_) if column.generated => "which is computed: no update may set it",
                _ => continue,
            };
            let why = format!("its type is {}, {why}", column.ty.sql);
            return Err(self.refuse_column(position, &why));
        }
        if let Some(at) = self.schema.touch() {
            let column = &columns[at];
            let is_moment =
                matches!(column.ty.base().kind, TypeKind::Timestamp(_) | TypeKind::Timestamptz(_));
            if !is_moment || column.generated {
                let why = format!("it is touched, and {} is no timestamp", column.ty.sql);
                return Err(self.refuse_column(at, &why));
            }
        }
        Ok(())
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

fn is_number(kind: &TypeKind) -> bool {
    matches!(
        kind,
        TypeKind::Int2
            | TypeKind::Int4
            | TypeKind::Int8
            | TypeKind::Float4
            | TypeKind::Float8
            | TypeKind::Numeric(_)
    )
}

fn is_time(kind: &TypeKind) -> bool {
    matches!(
        kind,
        TypeKind::Date
            | TypeKind::Time(_)
            | TypeKind::TimeTz
            | TypeKind::Timestamp(_)
            | TypeKind::Timestamptz(_)
            | TypeKind::Interval
    )
}

/// How a column compares by its own collation.
fn compare(ty: &ColumnType, deterministic: bool) -> Comparison {
    match ty.base().kind {
        _ if !deterministic => Comparison::Opaque,
        TypeKind::Char(_) => Comparison::TrimEnd,
        TypeKind::Citext { ascii: true } => Comparison::PrintableNoCase,
        TypeKind::Citext { ascii: false } => Comparison::Opaque,
        _ => Comparison::Natural,
    }
}

/// Takes no text for a key that the server would make another's key by cutting its spaces.
/// Spaces at the end of a `char(n)` never count.
fn exact(ty: &mut ColumnType) {
    match &mut ty.kind {
        TypeKind::Text(limit) => *limit = TextLimit { cut_spaces: false, ..*limit },
        TypeKind::Domain(base) => exact(base),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
