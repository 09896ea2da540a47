//! What is sent: the dialect, and the texts of each way.
//!
//! Every text is constant for a table and a set of columns. Names of the catalog are written in
//! full, so that no `search_path` of a session's changes what they mean.

use std::fmt::Write;

use batchflow_core::Schema;
use batchflow_core::sql::{Dialect, Insert};

use crate::encode::{Staged, parameter, staged};
use crate::table::{Table, TableColumn};
use crate::types::{ColumnType, TypeKind};

/// The setting that a transaction of ours carries.
pub(crate) const MARK: &str = "batchflow.attempt";

/// Whether the statement runs inside a transaction of ours. It is looked up once a statement.
///
/// A statement is sent right behind the `BEGIN`, before that is answered. Where the `BEGIN` fails
/// (a cancel request that came late hits it, say), the statement must not commit by itself.
pub(crate) const GUARD: &str =
    "pg_catalog.texteq(pg_catalog.current_setting('batchflow.attempt', true), 'on')";

/// Whether a statement that is a transaction of its own runs on the backend that has the mark named
/// by this parameter. It fails on any other, and so writes nothing there.
fn own(number: usize) -> String {
    format!("pg_catalog.current_setting(${number}) IS NOT NULL")
}

/// PostgreSQL's own spelling, for one table.
#[derive(Debug)]
struct Postgres<'a> {
    /// The table's name in full, quoted.
    table: &'a str,
    now: &'static str,
}

impl Dialect for Postgres<'_> {
    fn placeholder(&self, number: usize, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(out, "${number}");
    }

    fn now(&self) -> &'static str {
        self.now
    }

    fn sum(&self, old: &str, new: &str) -> String {
        format!("COALESCE({old} OPERATOR(pg_catalog.+) {new}, {new}, {old})")
    }

    fn quote_table(&self, _: &batchflow_core::TableName, out: &mut String) {
        out.push_str(self.table);
    }
}

/// An identifier in quotes.
fn quoted(name: &str) -> String {
    let mut text = String::new();
    Postgres { table: "", now: "" }.quote(name, &mut text);
    text
}

/// The server's clock as a column of this type takes it. A timestamp without zone holds UTC,
/// whatever the session's zone.
fn clock(ty: &ColumnType) -> &'static str {
    match &ty.kind {
        TypeKind::Domain(base) => clock(base),
        TypeKind::Timestamp { .. } | TypeKind::Date | TypeKind::Time { .. } => {
            "pg_catalog.timezone('UTC', pg_catalog.now())"
        }
        _ => "pg_catalog.now()",
    }
}

/// A text that means the same whatever `standard_conforming_strings` says; `None` where it holds
/// the quote itself.
fn literal(text: &str) -> Option<String> {
    (!text.contains("$bf$")).then(|| format!("$bf${text}$bf$"))
}

/// A value of a column as a statement takes it from where it stands.
fn cast(column: &TableColumn, value: &str) -> String {
    match parameter(column).cast {
        Some(cast) => format!("{value}::{cast}"),
        None => value.to_owned(),
    }
}

/// The texts of a COPY into the table.
#[derive(Debug)]
pub(crate) struct CopyTexts {
    /// Locks the table, and counts the columns that have the type they are sent as.
    pub(crate) check: String,
    pub(crate) copy: String,
}

/// The texts of a temporary table.
#[derive(Debug)]
pub(crate) struct StageTexts {
    pub(crate) create: String,
    pub(crate) copy: String,
    pub(crate) insert: String,
}

/// The texts for one schema, its table and a set of set columns.
pub(crate) struct Texts<'a> {
    schema: &'a Schema,
    table: &'a Table,
    columns: &'a [usize],
}

impl<'a> Texts<'a> {
    pub(crate) fn new(schema: &'a Schema, table: &'a Table, columns: &'a [usize]) -> Self {
        Self { schema, table, columns }
    }

    fn column(&self, at: usize) -> &'a TableColumn {
        &self.table.columns[at]
    }

    /// What an insert begins and ends with, around what it takes its rows from.
    fn around(&self, rows: impl FnOnce(&mut String, &str)) -> String {
        let touch = self.schema.touch().map(|at| clock(&self.column(at).ty));
        let now = touch.unwrap_or("pg_catalog.now()");
        let dialect = Postgres { table: &self.table.name, now };
        let columns = self.table.columns.iter().enumerate();
        let own = columns.filter(|(_, column)| column.leaves_alone());
        let insert =
            Insert::new(&dialect, self.schema, self.columns).leave_alone(own.map(|(at, _)| at));
        let mut text = insert.head();
        if text.ends_with(" ()") {
            // A list of no columns is none.
            text.truncate(text.len() - 3);
        }
        text.push(' ');
        rows(&mut text, touch.unwrap_or_default());
        let tail = insert.tail();
        if !tail.is_empty() {
            text.push(' ');
            text.push_str(&tail);
        }
        text
    }

    /// The parameters of one row as its columns take them, and the clock.
    fn values(&self, touch: &str) -> Vec<String> {
        let numbered = self.columns.iter().enumerate();
        let mut list: Vec<String> = numbered
            .map(|(number, &at)| cast(self.column(at), &format!("${}", number + 1)))
            .collect();
        list.extend((!touch.is_empty()).then(|| touch.to_owned()));
        list
    }

    /// One statement of one row, each column a parameter: planned in half the time that one over
    /// arrays takes. `None` where no column is set.
    pub(crate) fn row(&self) -> Option<String> {
        if self.columns.is_empty() {
            return None;
        }
        Some(self.around(|text, touch| {
            let _ = write!(text, "SELECT {} WHERE {GUARD}", self.values(touch).join(", "));
        }))
    }

    /// One statement of one row that is a transaction of its own. Behind the columns' parameters
    /// stands one for the backend's mark. `None` where no column is set.
    pub(crate) fn row_at_once(&self) -> Option<String> {
        if self.columns.is_empty() {
            return None;
        }
        Some(self.around(|text, touch| {
            let mut list = self.values(touch);
            list[0] = format!("CASE WHEN {} THEN {} END", own(self.columns.len() + 1), list[0]);
            let _ = write!(text, "VALUES ({})", list.join(", "));
        }))
    }

    /// One statement over arrays.
    pub(crate) fn unnest(&self) -> String {
        self.around(|text, touch| {
            let numbered = self.columns.iter().enumerate();
            let mut list: Vec<String> = numbered
                .map(|(number, &at)| cast(self.column(at), &format!("u.c{}", number + 1)))
                .collect();
            list.extend((!touch.is_empty()).then(|| touch.to_owned()));
            text.push_str("SELECT ");
            text.push_str(&list.join(", "));
            text.push_str(" FROM ROWS FROM (");
            for number in 1..=self.columns.len() {
                let comma = if number == 1 { "" } else { ", " };
                let _ = write!(text, "{comma}pg_catalog.unnest(${number})");
            }
            if self.columns.is_empty() {
                text.push_str("pg_catalog.generate_series(1, $1)");
            }
            text.push_str(") AS u");
            for number in 1..=self.columns.len() {
                let comma = if number == 1 { " (" } else { ", " };
                let _ = write!(text, "{comma}c{number}");
            }
            if !self.columns.is_empty() {
                text.push(')');
            }
            text.push_str(" WHERE ");
            text.push_str(GUARD);
        })
    }

    /// A COPY into the table; `None` where a name cannot be written as it must be.
    ///
    /// A COPY's fields carry no types: an integer would be taken for a float of its size. So the
    /// table is locked against being altered, and its types compared.
    pub(crate) fn copy(&self) -> Option<CopyTexts> {
        let table = &self.table.name;
        let mut check = format!(
            "LOCK TABLE ONLY {table} IN ROW EXCLUSIVE MODE; \
             SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute \
             WHERE attrelid = {}::pg_catalog.regclass AND NOT attisdropped \
             AND (attname, atttypid) IN (",
            literal(table)?
        );
        for (number, &at) in self.columns.iter().enumerate() {
            let column = self.column(at);
            let comma = if number == 0 { "" } else { ", " };
            let _ = write!(check, "{comma}({}, {})", literal(&column.name)?, column.ty.oid);
        }
        check.push(')');
        Some(CopyTexts { check, copy: self.copy_into(table) })
    }

    fn copy_into(&self, table: &str) -> String {
        let names: Vec<String> =
            self.columns.iter().map(|&at| quoted(&self.column(at).name)).collect();
        format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", names.join(", "))
    }

    /// A temporary table called `name`, and a statement over it. Its columns are called as the
    /// table's are, so that an error names them.
    pub(crate) fn stage(&self, name: &str) -> StageTexts {
        let name = format!("pg_temp.{}", quoted(name));
        let columns: Vec<(String, Staged)> = self
            .columns
            .iter()
            .map(|&at| (quoted(&self.column(at).name), staged(self.column(at))))
            .collect();
        let declared = columns.iter().map(|(name, staged)| format!("{name} {}", staged.declared));
        let declared: Vec<String> = declared.collect();
        let create =
            format!("CREATE TEMPORARY TABLE {name} ({}) ON COMMIT DROP", declared.join(", "));
        let insert = self.around(|text, touch| {
            let taken = columns.iter().map(|(name, staged)| match &staged.cast {
                Some(cast) => format!("s.{name}::{cast}"),
                None => format!("s.{name}"),
            });
            let mut list: Vec<String> = taken.collect();
            list.extend((!touch.is_empty()).then(|| touch.to_owned()));
            let _ = write!(text, "SELECT {} FROM {name} AS s", list.join(", "));
        });
        StageTexts { create, copy: self.copy_into(&name), insert }
    }
}

#[cfg(test)]
mod tests;
