//! What is sent: the dialect, and the few shapes of statement that a batch is cut into.

use batchflow_core::sql::{Dialect, Insert};
use batchflow_core::{
    Attempt, Batch, ErrorKind, Preview, Schema, ShowValues, Stage, WriteError, fingerprint,
};
use rusqlite::{CachedStatement, Connection};

use crate::encode::Encoded;
use crate::table::{Filling, Table};

/// SQLite's own spelling.
#[derive(Debug)]
pub(crate) struct Sqlite;

impl Dialect for Sqlite {
    fn placeholder(&self, _number: usize, out: &mut String) {
        out.push('?');
    }

    /// `OR ABORT`, so that no `ON CONFLICT IGNORE` or `REPLACE` in a table's own definition skips
    /// or deletes a row unseen.
    fn insert(&self) -> &'static str {
        "INSERT OR ABORT INTO"
    }

    fn now(&self) -> &'static str {
        "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"
    }

    /// SQLite would make the sum of two integers a float where it overflows; `abs` of the least
    /// integer is an error instead.
    fn sum(&self, old: &str, new: &str) -> String {
        format!(
            "CASE WHEN typeof({old}) = 'integer' AND typeof({new}) = 'integer' \
             AND typeof({old} + {new}) = 'real' THEN abs(-9223372036854775808) \
             ELSE COALESCE({old} + {new}, {new}, {old}) END"
        )
    }

    fn greatest(&self) -> &'static str {
        "max"
    }

    fn least(&self) -> &'static str {
        "min"
    }
}

/// An identifier in quotes.
pub(crate) fn quoted(name: &str) -> String {
    let mut text = String::new();
    Sqlite.quote(name, &mut text);
    text
}

/// Rows in one statement, largest first. A statement of some rows saves most of the cost of
/// starting one; beyond a few dozen rows nothing more is saved.
const SHAPES: [usize; 3] = [32, 8, 1];

/// Wider statements are cut into fewer rows. SQLite's own limit is 32,766.
const MAX_PARAMETERS: usize = 1_024;

/// The one way that there is, as metrics call it.
const WAY: &str = "insert";

/// How the rows of one schema and set of set columns are written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) schema: Schema,
    pub(crate) columns: Box<[usize]>,
    pub(crate) table: Table,
    /// The schema's version that the table was read at.
    pub(crate) version: i64,
    /// Rows in one statement, and its text; largest first.
    shapes: Vec<(usize, String)>,
    /// Of the statement of one row: the others differ from it only in how often it is repeated.
    fingerprint: u64,
    /// Of what core knows of the table.
    seen: u64,
}

impl Plan {
    pub(crate) fn new(batch: &Batch, table: Table, version: i64) -> Result<Self, WriteError> {
        let schema = batch.schema().clone();
        let set = batch.columns();
        if let Some(&column) =
            set.iter().find(|&&column| table.columns[column].filling == Filling::Generated)
        {
            return Err(WriteError::new(ErrorKind::Schema)
                .at(Stage::Encode)
                .with_table(schema.table())
                .with_column(schema.column(column))
                .with_message("it is generated, so no row may set it"));
        }
        let own = table.columns.iter().enumerate();
        let own = own.filter(|(_, column)| column.filling != Filling::ByRow);
        let insert = Insert::new(&Sqlite, &schema, set).leave_alone(own.map(|(at, _)| at));
        let fits = |rows: usize| rows == 1 || insert.parameters(rows) <= MAX_PARAMETERS;
        let shapes = SHAPES.into_iter().filter(|&rows| fits(rows));
        let shapes = shapes.map(|rows| (rows, insert.text(rows))).collect();
        let fingerprint = fingerprint(&insert.text(1));
        let seen = table.info().fingerprint();
        Ok(Self { columns: set.into(), schema, table, version, shapes, fingerprint, seen })
    }

    /// Tells an attempt what it writes by.
    pub(crate) fn tell(&self, attempt: &Attempt) {
        attempt.note_table(self.seen);
        attempt.writes_by(WAY, self.fingerprint);
    }

    /// Whether the plan is for batches like this one.
    pub(crate) fn is_for(&self, batch: &Batch) -> bool {
        *self.columns == *batch.columns() && self.schema == *batch.schema()
    }

    /// The statement of one row.
    pub(crate) fn single(&self) -> &str {
        self.shapes.last().map_or("", |(_, text)| text)
    }

    /// The largest statements that `rows` rows fill, and what each takes of them.
    pub(crate) fn cut(&self, rows: usize) -> impl Iterator<Item = Cut<'_>> {
        let mut next = 0;
        self.shapes.iter().filter_map(move |(rows_each, text)| {
            let first = next;
            next += (rows - first) / rows_each * rows_each;
            (next > first).then_some(Cut { text, rows_each: *rows_each, rows: first..next })
        })
    }

    /// What would be sent for a batch.
    pub(crate) fn preview(&self, batch: &Batch, values: ShowValues) -> Preview {
        let mut statements = Vec::new();
        let mut shown = 0;
        for cut in self.cut(batch.len()) {
            shown = shown.max(cut.rows_each);
            let times = cut.rows.len() / cut.rows_each;
            statements.extend(std::iter::repeat_n(cut.text.to_owned(), times));
        }
        let mut parameters = Vec::new();
        for row in 0..shown.min(batch.len()) {
            for &column in batch.columns() {
                let value = batch.get(row, column);
                parameters.push(match values {
                    ShowValues::No => format!("{value:?}"),
                    ShowValues::Yes => show(&self.encoded(value, column)),
                });
            }
        }
        Preview::new(statements, batch.len())
            .with_parameters(parameters)
            .with_parameter_count(batch.len() * batch.columns().len())
            .with_way(WAY, self.fingerprint, "there is only this one")
    }

    fn encoded<'a>(&self, value: batchflow_core::ValueRef<'a>, column: usize) -> Encoded<'a> {
        Encoded { value, affinity: self.table.columns[column].affinity }
    }
}

/// A value as SQL would write it.
fn show(encoded: &Encoded<'_>) -> String {
    use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
    let Ok(output) = encoded.to_sql() else {
        return "(refused)".to_owned();
    };
    let value = match &output {
        ToSqlOutput::Borrowed(value) => *value,
        ToSqlOutput::Owned(value) => value.into(),
        _ => ValueRef::Null,
    };
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(v) => v.to_string(),
        ValueRef::Real(v) => v.to_string(),
        ValueRef::Text(v) => format!("'{}'", String::from_utf8_lossy(v).replace('\'', "''")),
        ValueRef::Blob(v) => {
            let digits = v.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
            format!("x'{}'", digits.collect::<String>())
        }
    }
}

/// Some rows of a batch, written by one statement again and again.
#[derive(Debug)]
pub(crate) struct Cut<'a> {
    text: &'a str,
    pub(crate) rows_each: usize,
    pub(crate) rows: std::ops::Range<usize>,
}

impl Cut<'_> {
    pub(crate) fn prepare<'c>(
        &self,
        connection: &'c Connection,
    ) -> rusqlite::Result<CachedStatement<'c>> {
        connection.prepare_cached(self.text)
    }
}

/// Binds and runs a statement over these rows of a batch; how many the database changed.
#[inline]
pub(crate) fn execute(
    statement: &mut CachedStatement<'_>,
    plan: &Plan,
    batch: &Batch,
    rows: std::ops::Range<usize>,
) -> rusqlite::Result<u64> {
    let mut parameter = 1;
    for row in rows {
        let Some(request) = batch.request(row) else { continue };
        for &column in &plan.columns {
            let value = request.value(column);
            let value = value.map_or(batchflow_core::ValueRef::Null, |value| value.as_ref());
            statement.raw_bind_parameter(parameter, plan.encoded(value, column))?;
            parameter += 1;
        }
    }
    statement.raw_execute().map(|changed| changed as u64)
}
