//! What is sent: the dialect, and the texts of a schema's strategy over one set of columns.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use batchflow_core::Schema;
use batchflow_core::sql::{ConflictClause, Dialect, Insert, quote_with};

use crate::server::Server;
use crate::table::{Table, TableColumn};
use crate::types::TypeKind;
use crate::way::Repeated;

/// What the proposed row is called, unless the table is called so itself.
const PROPOSED: &str = "new";

/// MySQL's and MariaDB's own spelling.
#[derive(Clone, Copy, Debug)]
struct MySql<'a> {
    /// The table's name, quoted.
    table: &'a str,
    now: &'static str,
    /// What the proposed row is called; `None` where it has no name.
    proposed: Option<&'static str>,
    /// Whether its rows are given, and not selected from another table.
    given: bool,
    /// The column that numbers its rows.
    numbered: Option<usize>,
}

impl Dialect for MySql<'_> {
    fn placeholder(&self, _number: usize, out: &mut String) {
        out.push('?');
    }

    fn quote(&self, name: &str, out: &mut String) {
        quote_with('`', name, out);
    }

    fn now(&self) -> &'static str {
        self.now
    }

    fn conflict(&self) -> ConflictClause {
        ConflictClause::OnDuplicateKey
    }

    fn proposed(&self) -> Option<&str> {
        self.proposed
    }

    /// MariaDB takes a column that is read by `VALUES(column)` for one that is set: unless it is
    /// listed, it stores 0 where the column has no default and refuses NULL. Of rows that are
    /// selected it does refuse them.
    fn lists_unset(&self) -> bool {
        self.given
    }

    /// MySQL takes the default of a column that numbers its rows for 0, and under
    /// `NO_AUTO_VALUE_ON_ZERO` stores it.
    fn unset(&self, column: usize) -> &'static str {
        if self.numbered == Some(column) { "NULL" } else { "DEFAULT" }
    }

    fn quote_table(&self, _table: &batchflow_core::TableName, out: &mut String) {
        out.push_str(self.table);
    }
}

/// An identifier in backticks.
pub(crate) fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    quote_with('`', name, &mut text);
    text
}

/// The server's clock as a column of this type takes it: with no more digits than the column
/// keeps, since it would round up what it does not. A column without zone holds UTC, whatever the
/// session's zone.
fn clock(kind: &TypeKind) -> &'static str {
    const WITH_ZONE: [&str; 7] = [
        "CURRENT_TIMESTAMP(0)",
        "CURRENT_TIMESTAMP(1)",
        "CURRENT_TIMESTAMP(2)",
        "CURRENT_TIMESTAMP(3)",
        "CURRENT_TIMESTAMP(4)",
        "CURRENT_TIMESTAMP(5)",
        "CURRENT_TIMESTAMP(6)",
    ];
    const WITHOUT: [&str; 7] = [
        "UTC_TIMESTAMP(0)",
        "UTC_TIMESTAMP(1)",
        "UTC_TIMESTAMP(2)",
        "UTC_TIMESTAMP(3)",
        "UTC_TIMESTAMP(4)",
        "UTC_TIMESTAMP(5)",
        "UTC_TIMESTAMP(6)",
    ];
    match *kind {
        TypeKind::Timestamp(digits) => WITH_ZONE[usize::from(digits.min(6))],
        TypeKind::DateTime(digits) => WITHOUT[usize::from(digits.min(6))],
        _ => WITHOUT[6],
    }
}

/// The texts of the statements for one schema and set of set columns.
#[derive(Debug)]
pub(crate) struct Texts {
    /// Up to the rows: ``INSERT INTO `t` (`a`, `b`) VALUES ``.
    head: String,
    /// One row: `(?, ?)`.
    values: String,
    /// From the rows on: what a conflict does.
    tail: String,
    /// For one row, as it is sent in bulk.
    pub(crate) row: String,
    /// By way of a temporary table; `None` where that cannot be.
    pub(crate) load: Option<LoadTexts>,
    /// The size of statement that batches ask for again and again.
    pub(crate) repeated: Repeated,
}

impl Texts {
    pub(crate) fn new(server: &Server, schema: &Schema, table: &Table, columns: &[usize]) -> Self {
        let proposed = server.names_the_proposed_row().then(|| {
            let taken = schema.table().name().eq_ignore_ascii_case(PROPOSED);
            if taken { "new_row" } else { PROPOSED }
        });
        let touch = schema.touch().map(|at| clock(&table.columns[at].ty.kind));
        let now = touch.unwrap_or_default();
        let numbered = table.columns.iter().position(|column| column.auto_increment);
        let dialect = MySql { table: &table.name, now, proposed, given: true, numbered };
        let insert = insert(&dialect, schema, table, columns);
        let mut head = insert.head();
        head.push_str(" VALUES ");
        let (values, mut tail) = (insert.values(1), insert.tail());
        if !tail.is_empty() {
            tail.insert(0, ' ');
        }
        // Writing to a string cannot fail.
        let _ = write!(tail, " /* {:016x} */", types(table, columns));
        let row = format!("{head}{values}{tail}");
        let load = LoadTexts::new(schema, table, columns, now);
        Self { row, head, values, tail, load, repeated: Repeated::default() }
    }

    /// Whether so many rows fit into a temporary table in memory, as servers are configured unless
    /// told otherwise.
    pub(crate) fn loads_in_memory(&self, rows: usize) -> bool {
        let bytes = self.load.as_ref().and_then(|load| load.bytes);
        bytes.is_some_and(|bytes| bytes.saturating_mul(rows) <= MEMORY)
    }

    /// Whether so many rows fit into the temporary table.
    pub(crate) fn may_load(&self, rows: usize) -> bool {
        let fit = |bytes: usize| bytes.saturating_mul(rows) <= MEMORY;
        // One that is not in memory grows.
        self.load.as_ref().is_some_and(|load| load.bytes.is_none_or(fit))
    }

    /// For so many rows.
    pub(crate) fn rows(&self, rows: usize) -> String {
        let each = self.values.len() + 2;
        let mut text = String::with_capacity(self.head.len() + rows * each + self.tail.len());
        text.push_str(&self.head);
        for row in 0..rows {
            if row > 0 {
                text.push_str(", ");
            }
            text.push_str(&self.values);
        }
        text.push_str(&self.tail);
        text
    }

    /// How long a text for so many rows is, in bytes.
    pub(crate) fn length(&self, rows: usize) -> usize {
        self.head.len() + rows * (self.values.len() + 2) + self.tail.len()
    }
}

/// Tells one set of columns' types from another.
///
/// MySQL keeps the types of parameters as they were when a text was first prepared on a
/// connection, also when it prepares it again by itself because the table has changed: bytes for
/// what was a number arrive as others. A text of other types is another text.
fn types(table: &Table, columns: &[usize]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for column in columns.iter().filter_map(|&at| table.columns.get(at)) {
        (&column.ty.sql, &column.charset).hash(&mut hasher);
    }
    hasher.finish()
}

/// What a temporary table in memory may hold: a little less than `max_heap_table_size`.
const MEMORY: usize = 14 << 20;

/// The texts of writing by way of a temporary table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadTexts {
    pub(crate) create: String,
    pub(crate) load: String,
    pub(crate) insert: String,
    pub(crate) drop: String,
    /// What a row takes in memory; `None` where a type cannot be held there.
    bytes: Option<usize>,
}

impl LoadTexts {
    /// `None` where a column's values are no text, so that a file cannot hold them.
    fn new(schema: &Schema, table: &Table, columns: &[usize], now: &'static str) -> Option<Self> {
        let set = || columns.iter().map(|&at| &table.columns[at]);
        if columns.is_empty() || set().any(|column| !is_text(&column.ty.kind)) {
            return None;
        }
        // Nobody else's table is called so, and none hidden by it.
        let name = quoted(&format!("batchflow_{:016x}", fastrand::u64(..)));
        let name = format!("{}.{name}", database(&table.name));
        // A statement over a table may not name the proposed row.
        let dialect =
            MySql { table: &table.name, now, proposed: None, given: false, numbered: None };
        let insert = insert(&dialect, schema, table, columns);
        let mut taken: Vec<String> =
            set().map(|column| format!("{name}.{}", quoted(&column.name))).collect();
        taken.extend((!now.is_empty()).then(|| now.to_owned()));
        let taken = taken.join(", ");
        let insert = format!("{} SELECT {taken} FROM {name} {}", insert.head(), insert.tail());
        let declared: Vec<String> = set().map(declared).collect();
        let bytes = set().map(in_memory).sum::<Option<usize>>();
        let engine = if bytes.is_some() { "MEMORY" } else { "InnoDB" };
        let names: Vec<String> = set().map(|column| quoted(&column.name)).collect();
        Some(Self {
            create: format!(
                "CREATE TEMPORARY TABLE {name} ({}) ENGINE={engine}",
                declared.join(", ")
            ),
            load: format!(
                "LOAD DATA LOCAL INFILE 'batchflow' INTO TABLE {name} CHARACTER SET utf8mb4 ({})",
                names.join(", ")
            ),
            insert: insert.trim_end().to_owned(),
            drop: format!("DROP TEMPORARY TABLE IF EXISTS {name}"),
            bytes,
        })
    }
}

/// The database of a table's quoted name, quoted.
fn database(name: &str) -> &str {
    let mut quotes = 0;
    let end = name.bytes().position(|byte| {
        quotes += usize::from(byte == b'`');
        byte == b'.' && quotes % 2 == 0
    });
    &name[..end.unwrap_or(name.len())]
}

/// A column of the temporary table: of the same type, so that it holds the same values.
fn declared(column: &TableColumn) -> String {
    let mut text = format!("{} {}", quoted(&column.name), column.ty.sql);
    if let Some(charset) = &column.charset {
        // Writing to a string cannot fail.
        let _ = write!(text, " CHARACTER SET {charset}");
    }
    text.push_str(" NULL");
    text
}

/// Whether a file can hold a type's values as text.
fn is_text(kind: &TypeKind) -> bool {
    match kind {
        TypeKind::Int { .. }
        | TypeKind::Decimal { .. }
        | TypeKind::Float { .. }
        | TypeKind::Double { .. }
        | TypeKind::Year
        | TypeKind::Date
        | TypeKind::Time(_)
        | TypeKind::DateTime(_)
        | TypeKind::Timestamp(_)
        | TypeKind::Char(_)
        | TypeKind::VarChar(_)
        | TypeKind::Text(_)
        | TypeKind::Enum(_)
        | TypeKind::Set(_)
        | TypeKind::Json => true,
        TypeKind::Bit(_)
        | TypeKind::Binary(_)
        | TypeKind::VarBinary(_)
        | TypeKind::Uuid
        | TypeKind::Other => false,
    }
}

/// What a value takes at most in a row of a table in memory, where that can hold it.
fn in_memory(column: &TableColumn) -> Option<usize> {
    Some(match column.ty.kind {
        TypeKind::Text(_) | TypeKind::Json => return None,
        TypeKind::Char(characters) | TypeKind::VarChar(characters) => 4 * characters as usize + 3,
        TypeKind::Decimal { digits, .. } => usize::from(digits) / 2 + 2,
        _ => 9,
    })
}

fn insert<'a>(
    dialect: &'a MySql<'_>,
    schema: &'a Schema,
    table: &Table,
    columns: &'a [usize],
) -> Insert<'a> {
    let own = |column: &TableColumn| column.generated || column.auto_increment;
    let own = table.columns.iter().enumerate().filter(|(_, column)| own(column));
    let insert = Insert::new(dialect, schema, columns).leave_alone(own.map(|(at, _)| at));
    if table.other_unique_keys { insert.guarded() } else { insert }
}

#[cfg(test)]
mod tests;
