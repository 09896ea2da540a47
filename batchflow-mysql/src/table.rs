//! [`Table`]: what the catalog says about a schema's table, its columns and its unique keys.

use batchflow_core::{
    ColumnInfo, ColumnKind, Comparison, ConflictStrategy, ErrorKind, Merge, Schema, Stage,
    TableInfo, WriteError,
};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};

use crate::catalog::{self, Column as CatalogColumn, Found, Index, Relation};
use crate::collation;
use crate::server::Server;
use crate::statement::quoted;
use crate::types::{ColumnType, TypeKind};

/// A schema's table as the catalog has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// The table's name with its database's, both quoted.
    pub(crate) name: String,
    /// The columns of the schema, in its order.
    pub(crate) columns: Vec<TableColumn>,
    /// Whether a unique key beside the schema's could be violated.
    pub(crate) other_unique_keys: bool,
    /// Whether this user may make temporary tables.
    pub(crate) may_stage: bool,
    /// The unique keys on columns of the schema alone.
    pub(crate) unique_keys: Vec<UniqueKey>,
}

/// A unique key on columns of the schema alone, whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UniqueKey {
    pub(crate) name: String,
    /// Positions in the schema, in the key's order.
    pub(crate) columns: Vec<usize>,
}

/// One column of the schema as the table has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) not_null: bool,
    /// Whether a row that sets it to NULL is surely refused: no trigger can fill it in, and it does
    /// not number its rows.
    pub(crate) refuses_null: bool,
    /// Whether leaving it unset stores something else than NULL.
    pub(crate) has_default: bool,
    /// Whether it is computed: no row may set it.
    pub(crate) generated: bool,
    pub(crate) auto_increment: bool,
    /// The character set that text is sent to; `None` where it holds no text.
    pub(crate) charset: Option<String>,
    /// How the server compares it.
    pub(crate) comparison: Comparison,
}

impl Table {
    /// Looks the table up. What is missing or unfit is a `schema` error that names it; what this
    /// user may not do, a `permission` error.
    pub(crate) async fn read(
        conn: &mut Conn,
        server: &Server,
        schema: &Schema,
    ) -> Result<Self, WriteError> {
        let reader = Reader { schema };
        let mut qualifiers = schema.table().qualifiers();
        let database = match (qualifiers.next(), qualifiers.next()) {
            (Some(database), None) => database.to_owned(),
            (None, _) => {
                let current =
                    catalog::database(conn).await.map_err(|error| reader.failed(&error))?;
                current.ok_or_else(|| {
                    reader.refuse(
                        "no database is chosen: name one before the table, or in the connection's URL",
                    )
                })?
            }
            _ => return Err(reader.refuse("a table's name has a database before it at most")),
        };
        let name = schema.table().name();
        let found = catalog::read(conn, server, &database, name).await;
        let Some(found) = found.map_err(|error| reader.failed(&error))? else {
            return Err(reader.missing(conn, &database, name).await);
        };
        reader.check_relation(&found)?;
        let columns = reader.columns(&found)?;
        reader.check_key(&columns, &found.indexes)?;
        reader.check_rules(&columns)?;
        let relation = &found.relation;
        Ok(Self {
            name: format!("{}.{}", quoted(&relation.database), quoted(&relation.name)),
            other_unique_keys: reader.has_other_unique_keys(&columns, &found),
            may_stage: relation.may_stage,
            unique_keys: unique_keys(&columns, &found.indexes),
            columns,
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

impl TableColumn {
    fn info(&self) -> ColumnInfo {
        let (kind, scale) = kind_of(&self.ty);
        let mut info = ColumnInfo::new(kind)
            .with_comparison(self.comparison)
            .with_type_name(self.ty.sql.as_str());
        if let Some(scale) = scale {
            info = info.with_scale(scale);
        }
        if self.refuses_null && !self.has_default {
            info = info.with_required();
        }
        if self.has_default { info.with_default() } else { info }
    }
}

/// The kind by which core compares keys as the server does, and how many digits are kept.
fn kind_of(ty: &ColumnType) -> (ColumnKind, Option<u8>) {
    match &ty.kind {
        TypeKind::Int { .. } | TypeKind::Bit(_) | TypeKind::Year => (ColumnKind::Integer, None),
        TypeKind::Decimal { scale, .. } => (ColumnKind::Decimal, Some(*scale)),
        // Rounded to so many digits.
        TypeKind::Float { .. } | TypeKind::Double { .. } if ty.float_digits().is_some() => {
            (ColumnKind::Other, None)
        }
        TypeKind::Float { .. } => (ColumnKind::Float32, None),
        TypeKind::Double { .. } => (ColumnKind::Float64, None),
        TypeKind::Char(_) | TypeKind::VarChar(_) | TypeKind::Text(_) | TypeKind::Enum(_) => {
            (ColumnKind::Text, None)
        }
        TypeKind::Binary(_) | TypeKind::VarBinary(_) => (ColumnKind::Bytes, None),
        TypeKind::Date => (ColumnKind::Date, None),
        TypeKind::Time(digits) => (ColumnKind::Time, Some(*digits)),
        TypeKind::DateTime(digits) | TypeKind::Timestamp(digits) => {
            (ColumnKind::Timestamp, Some(*digits))
        }
        TypeKind::Uuid => (ColumnKind::Uuid, None),
        TypeKind::Set(_) | TypeKind::Json | TypeKind::Other => (ColumnKind::Other, None),
    }
}

fn unique_keys(columns: &[TableColumn], indexes: &[Index]) -> Vec<UniqueKey> {
    let position = |name: &Option<String>| {
        let name = name.as_deref()?;
        columns.iter().position(|column| column.name == name)
    };
    let whole = indexes.iter().filter(|index| index.fault().is_none());
    let keys = whole.filter_map(|index| {
        let columns = index.columns.iter().map(position).collect::<Option<_>>()?;
        Some(UniqueKey { name: index.name.clone(), columns })
    });
    keys.collect()
}

struct Reader<'a> {
    schema: &'a Schema,
}

impl Reader<'_> {
    /// Why a table is not in the catalog that this user sees.
    async fn missing(&self, conn: &mut Conn, database: &str, name: &str) -> WriteError {
        let ask = format!("SELECT 1 FROM {}.{} LIMIT 0", quoted(database), quoted(name));
        match conn.query_drop(ask).await {
            Ok(()) => self.refuse("it is a temporary table, which other connections do not have"),
            Err(Error::Server(said)) if said.code == 1049 => {
                self.refuse(&format!("there is no database {database}"))
            }
            // It is not said whether there is one.
            Err(Error::Server(said)) if matches!(said.code, 1044 | 1142) => {
                self.forbid("this user may not insert into it")
            }
            Err(Error::Server(_)) => self.refuse("there is no such table"),
            Err(error) => self.failed(&error),
        }
    }

    fn check_relation(&self, found: &Found) -> Result<(), WriteError> {
        let Relation { kind, engine, transactions, .. } = &found.relation;
        match kind.as_str() {
            "BASE TABLE" | "SYSTEM VERSIONED" => {}
            "VIEW" => return Err(self.refuse("it is a view: name the table behind it")),
            "SEQUENCE" => return Err(self.refuse("it is a sequence, no table")),
            _ => return Err(self.refuse("it is no table that takes rows")),
        }
        if !transactions {
            let why = format!(
                "its engine, {engine}, has no transactions: part of a batch that failed would stay"
            );
            return Err(self.refuse(&why));
        }
        let any = |may: fn(&CatalogColumn) -> bool| found.columns.iter().any(may);
        if !any(|column| column.may_insert) {
            return Err(self.forbid("this user may not insert into it"));
        }
        if self.schema.strategy() != ConflictStrategy::Fail && !any(|column| column.may_update) {
            return Err(self.forbid("this user may not update it, as an upsert does"));
        }
        Ok(())
    }

    fn columns(&self, found: &Found) -> Result<Vec<TableColumn>, WriteError> {
        let mut columns: Vec<TableColumn> = Vec::with_capacity(self.schema.width());
        for (position, name) in self.schema.columns().enumerate() {
            // The server takes a column's name in any case.
            let exact = found.columns.iter().find(|column| column.name == name);
            let column = exact.or_else(|| {
                found
                    .columns
                    .iter()
                    .find(|column| column.name.to_lowercase() == name.to_lowercase())
            });
            let Some(column) = column else {
                return Err(self.refuse_column(position, "the table has no such column"));
            };
            if let Some(twin) = columns.iter().position(|other| other.name == column.name) {
                let why = format!(
                    "it is the same column of the table as {}: case does not count",
                    self.schema.column(twin)
                );
                return Err(self.refuse_column(position, &why));
            }
            let fills_in = found.relation.fills_in || column.auto_increment;
            columns.push(TableColumn {
                name: column.name.clone(),
                ty: column.ty.clone(),
                not_null: column.not_null,
                refuses_null: column.not_null && !fills_in,
                has_default: column.has_default || found.relation.fills_in,
                generated: column.generated,
                auto_increment: column.auto_increment,
                charset: column.charset.clone(),
                comparison: compare(column),
            });
        }
        Ok(columns)
    }

    /// That a unique index is on exactly the key. One that the optimizer is told to leave alone
    /// (invisible, ignored) forbids duplicates all the same.
    fn check_key(&self, columns: &[TableColumn], indexes: &[Index]) -> Result<(), WriteError> {
        if self.schema.strategy() == ConflictStrategy::Fail {
            // The key only orders: it needs no index, and compares as its columns do.
            return Ok(());
        }
        let names = self.key_names(columns);
        let of_key = |index: &&Index| {
            index.columns.len() == names.len() && names.iter().all(|name| index.has(name))
        };
        let mut candidates = indexes.iter().filter(of_key);
        if indexes.iter().filter(of_key).any(|index| index.fault().is_none()) {
            return Ok(());
        }
        let key = names.join(", ");
        Err(match candidates.next().and_then(|index| Some((index, index.fault()?))) {
            Some((index, fault)) => {
                let why = format!("the unique index on its key ({key}) {fault}");
                self.refuse(&why).with_constraint(&index.name)
            }
            None => self.refuse(&format!("there is no unique index on exactly its key ({key})")),
        })
    }

    fn key_names<'t>(&self, columns: &'t [TableColumn]) -> Vec<&'t str> {
        self.schema.key().iter().map(|&at| columns[at].name.as_str()).collect()
    }

    /// Whether a row could violate a unique key that its own key does not imply.
    fn has_other_unique_keys(&self, columns: &[TableColumn], found: &Found) -> bool {
        if self.schema.strategy() == ConflictStrategy::Fail {
            return false;
        }
        let key = self.key_names(columns);
        let is_set = |name: &str| columns.iter().any(|column| column.name == name);
        // NULL, or a number of its own, where no row sets it.
        let never_twice = |name: &str| {
            let column = found.columns.iter().find(|column| column.name == name);
            !is_set(name)
                && !found.relation.fills_in
                && column.is_some_and(|column| {
                    column.auto_increment || (!column.not_null && !column.has_default)
                })
        };
        found.indexes.iter().any(|index| {
            let implied = !index.prefix && key.iter().all(|name| index.has(name));
            let unset = index.columns.iter().flatten().any(|name| never_twice(name));
            !implied && !unset
        })
    }

    /// That each column can be merged and touched as the schema says.
    fn check_rules(&self, columns: &[TableColumn]) -> Result<(), WriteError> {
        for (position, column) in columns.iter().enumerate() {
            let kind = &column.ty.kind;
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
                matches!(column.ty.kind, TypeKind::DateTime(_) | TypeKind::Timestamp(_));
            if !is_moment || column.generated {
                let why = format!("it is touched, and {} is no timestamp", column.ty.sql);
                return Err(self.refuse_column(at, &why));
            }
        }
        Ok(())
    }

    fn failed(&self, error: &Error) -> WriteError {
        self.place(crate::error::translate(error, Stage::Describe, None))
    }

    fn refuse(&self, why: &str) -> WriteError {
        let error = WriteError::new(ErrorKind::Schema).at(Stage::Describe);
        self.place(error.with_message(why))
    }

    fn forbid(&self, why: &str) -> WriteError {
        let error = WriteError::new(ErrorKind::Permission).at(Stage::Describe);
        self.place(error.with_message(why))
    }

    fn refuse_column(&self, position: usize, why: &str) -> WriteError {
        self.refuse(why).with_column(self.schema.column(position))
    }

    fn place(&self, error: WriteError) -> WriteError {
        error.with_table(self.schema.table())
    }
}

/// How a column compares.
fn compare(column: &CatalogColumn) -> Comparison {
    let by_collation = |padded| match &column.collation {
        Some(name) => collation::comparison(name, padded),
        None => Comparison::Opaque,
    };
    match column.ty.kind {
        TypeKind::Char(_) => by_collation(true),
        TypeKind::VarChar(_) | TypeKind::Text(_) => by_collation(false),
        TypeKind::Binary(_) => Comparison::TrimEndZeros,
        _ => Comparison::Natural,
    }
}

fn is_number(kind: &TypeKind) -> bool {
    matches!(
        kind,
        TypeKind::Int { .. }
            | TypeKind::Decimal { .. }
            | TypeKind::Float { .. }
            | TypeKind::Double { .. }
    )
}

fn is_time(kind: &TypeKind) -> bool {
    matches!(
        kind,
        TypeKind::Year
            | TypeKind::Date
            | TypeKind::Time(_)
            | TypeKind::DateTime(_)
            | TypeKind::Timestamp(_)
    )
}

#[cfg(test)]
mod tests;
