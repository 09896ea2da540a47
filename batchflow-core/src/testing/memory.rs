//! [`MemoryDriver`]: a backend without a server.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::batch::Batch;
use crate::driver::{
    Attempt, Capabilities, Driver, ErrorKind, Report, Stage, TableInfo, WriteError,
};
use crate::schema::Schema;
use crate::value::Value;

use super::rows::Rows;
use super::table::Table;

/// A backend without a server: tables in memory, with the conflict semantics that every SQL
/// backend has. A batch is applied whole or not at all, and an error blames the row at fault.
///
/// It records the batches it was handed, so that a test can look at what was sent as well as at
/// what the tables hold. They and the tables grow with what is written: it is for tests.
///
/// ```
/// use std::sync::Arc;
/// use batchflow_core::testing::MemoryDriver;
/// use batchflow_core::{Attempt, Batch, ConflictStrategy, Driver, Schema, Value};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = Arc::new(MemoryDriver::new());
/// let users = Schema::new("users", ConflictStrategy::Update, ["id", "name"])?;
///
/// // What a flow does:
/// let batch = Batch::from_requests(vec![users.row((1_i64, "Ada"))?])?;
/// driver.write(batch, &Attempt::new()).await?;
///
/// assert_eq!(driver.value("users", [1_i64], "name"), Some(Value::from("Ada")));
/// assert_eq!(driver.batches().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryDriver {
    declared_only: bool,
    blames: bool,
    limits: Option<Capabilities>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<String, Rows>,
    batches: Vec<Batch>,
    attempts: usize,
    closed: usize,
}

impl MemoryDriver {
    /// A driver that makes a table for every schema it meets: columns of any kind, nullable, and
    /// the schema's key as a unique key.
    pub fn new() -> Self {
        Self { blames: true, ..Self::default() }
    }

    /// A driver with these tables only: a schema for any other is a
    /// [`Schema`](ErrorKind::Schema) error.
    ///
    /// # Panics
    ///
    /// Where a table's unique key names a column that the table does not have.
    pub fn with_tables(tables: impl IntoIterator<Item = Table>) -> Self {
        let driver = Self { declared_only: true, ..Self::new() };
        for table in tables {
            driver.create(table);
        }
        driver
    }

    /// Errors no longer name the row at fault, as from a server that does not tell.
    #[must_use]
    pub fn without_blame(mut self) -> Self {
        self.blames = false;
        self
    }

    /// Declares other limits of rows, parameters and bytes; what the driver can do stays.
    #[must_use]
    pub fn with_limits(mut self, limits: Capabilities) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Makes a table, or makes it anew, empty.
    ///
    /// # Panics
    ///
    /// Where a unique key names a column that the table does not have.
    pub fn create(&self, table: Table) {
        self.state().tables.insert(table.name().to_owned(), Rows::new(table));
    }

    /// The rows of a table in the order they were inserted, their values in the order of its
    /// columns; empty where there is no such table.
    pub fn rows(&self, table: &str) -> Vec<Vec<Value>> {
        self.state().tables.get(table).map(|rows| rows.rows().to_vec()).unwrap_or_default()
    }

    /// How many rows a table has.
    pub fn len(&self, table: &str) -> usize {
        self.state().tables.get(table).map_or(0, |rows| rows.rows().len())
    }

    /// Whether a table has no rows.
    pub fn is_empty(&self, table: &str) -> bool {
        self.len(table) == 0
    }

    /// One value of the row whose first unique key is `key`; `None` where there is no such table,
    /// row or column.
    pub fn value<K>(&self, table: &str, key: K, column: &str) -> Option<Value>
    where
        K: IntoIterator,
        K::Item: Into<Value>,
    {
        let key: Vec<Value> = key.into_iter().map(Into::into).collect();
        let state = self.state();
        let rows = state.tables.get(table)?;
        rows.find(&key)?.get(rows.table().position(column)?).cloned()
    }

    /// The batches that were applied, in order.
    pub fn batches(&self) -> Vec<Batch> {
        self.state().batches.clone()
    }

    /// How many batches were handed over, applied or not.
    pub fn attempts(&self) -> usize {
        self.state().attempts
    }

    /// How often the driver was closed: once, by the flow that owns it.
    pub fn closed(&self) -> usize {
        self.state().closed
    }

    /// Forgets the recorded batches and counts; the tables stay.
    pub fn forget_batches(&self) {
        let mut state = self.state();
        state.batches.clear();
        state.attempts = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The schema's table, made or widened where this driver makes tables.
    fn table<'a>(&self, state: &'a mut State, schema: &Schema) -> Result<&'a mut Rows, WriteError> {
        let name = schema.table().to_string();
        if self.declared_only {
            let missing = WriteError::new(ErrorKind::Schema).with_table(&name);
            let missing = missing.with_message("there is no such table");
            return state.tables.get_mut(&name).ok_or(missing);
        }
        let rows = state.tables.entry(name).or_insert_with(|| Rows::new(Table::of(schema)));
        rows.widen(schema);
        Ok(rows)
    }
}

#[async_trait]
impl Driver for MemoryDriver {
    fn backend(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        self.limits.unwrap_or(Capabilities::none()).with_describe().with_atomic().with_nonblocking()
    }

    async fn write(&self, batch: Batch, attempt: &Attempt) -> Result<Report, WriteError> {
        let mut state = self.state();
        state.attempts += 1;
        if attempt.is_cancelled() {
            return Err(ErrorKind::Cancelled.into());
        }
        let written = self.table(&mut state, batch.schema())?.write(&batch);
        let affected =
            written.map_err(|error| if self.blames { error } else { error.with_blame([]) })?;
        state.batches.push(batch);
        Ok(Report::all().with_affected(affected))
    }

    async fn describe(&self, schema: &Schema) -> Result<TableInfo, WriteError> {
        let mut state = self.state();
        self.table(&mut state, schema)
            .and_then(|rows| rows.describe(schema))
            .map_err(|error| error.at(Stage::Describe))
    }

    async fn close(&self) {
        self.state().closed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Column;
    use super::*;
    use crate::driver::ColumnKind;
    use crate::request::Request;
    use crate::schema::{ConflictStrategy, Merge};

    fn table() -> Table {
        Table::new("t")
            .column(Column::new("id", ColumnKind::Integer).not_null())
            .column(Column::new("name", ColumnKind::Text))
            .column(
                Column::new("hits", ColumnKind::Integer)
                    .not_null()
                    .default_value(7_i64)
                    .at_least(0),
            )
            .unique(["id"])
            .unique(["name"])
    }

    fn schema(strategy: ConflictStrategy) -> Schema {
        Schema::new("t", strategy, ["id", "name", "hits"]).unwrap()
    }

    async fn write(driver: &MemoryDriver, rows: Vec<Request>) -> Result<(), WriteError> {
        driver.write(Batch::from_requests(rows).unwrap(), &Attempt::new()).await.map(drop)
    }

    #[tokio::test]
    async fn each_strategy_does_what_it_says_to_a_row_that_is_there() {
        let cases = [
            (ConflictStrategy::Ignore, ["old", "1"]),
            (ConflictStrategy::Replace, ["new", "7"]),
            (ConflictStrategy::Update, ["new", "1"]),
        ];
        for (strategy, [name, hits]) in cases {
            let driver = MemoryDriver::with_tables([table()]);
            let schema = schema(strategy);
            write(&driver, vec![schema.row((1_i64, "old", 1_i64)).unwrap()]).await.unwrap();
            write(&driver, vec![schema.row((1_i64, "new")).unwrap()]).await.unwrap();
            let hits: i64 = hits.parse().unwrap();
            let expected = vec![Value::I64(1), Value::from(name), Value::I64(hits)];
            assert_eq!(driver.rows("t")[0], expected, "{strategy:?}");
        }
    }

    #[tokio::test]
    async fn a_refused_row_leaves_nothing_of_its_batch_and_is_blamed() {
        let driver = MemoryDriver::with_tables([table()]);
        let fail = schema(ConflictStrategy::Fail);
        let update = schema(ConflictStrategy::Update);
        write(&driver, vec![fail.row((1_i64, "a", 1_i64)).unwrap()]).await.unwrap();
        let before = driver.rows("t");
        let good = || update.row((1_i64, "b", 2_i64)).unwrap();
        let new = || update.row((5_i64, "c", 2_i64)).unwrap();
        let cases = [
            (vec![new(), fail.row((1_i64, "x", 1_i64)).unwrap()], None),
            (
                vec![good(), new(), update.row((6_i64, "c", 1_i64)).unwrap()],
                Some(ErrorKind::DuplicateKey),
            ),
            (
                vec![good(), new(), update.row((6_i64, "d", -1_i64)).unwrap()],
                Some(ErrorKind::Constraint),
            ),
            (
                vec![good(), new(), update.row((6_i64, "d", Value::Null)).unwrap()],
                Some(ErrorKind::Constraint),
            ),
            (
                vec![good(), new(), update.row((6_i64, 4_i64, 1_i64)).unwrap()],
                Some(ErrorKind::Data),
            ),
        ];
        for (rows, expected) in cases {
            let Some(kind) = expected else {
                assert!(Batch::from_requests(rows).is_err(), "two schemas make no batch");
                continue;
            };
            let last = rows.len() - 1;
            let error = write(&driver, rows).await.unwrap_err();
            assert_eq!((error.kind(), error.blame()), (kind, &[last][..]));
            assert_eq!(driver.rows("t"), before);
        }
        let duplicate = write(&driver, vec![fail.row((1_i64, "x", 1_i64)).unwrap()]).await;
        assert_eq!(duplicate.unwrap_err().kind(), ErrorKind::DuplicateKey);
    }

    #[tokio::test]
    async fn describe_names_what_is_missing() {
        let driver = MemoryDriver::with_tables([table()]);
        let cases = [
            (Schema::new("u", ConflictStrategy::Ignore, ["id"]), "no such table"),
            (Schema::new("t", ConflictStrategy::Ignore, ["id", "no"]), "column no"),
            (Schema::new("t", ConflictStrategy::Ignore, ["hits"]), "no unique index"),
            (
                Schema::builder("t")
                    .columns(["id", "name"])
                    .key(["id"])
                    .on_conflict(ConflictStrategy::Update)
                    .merge("name", Merge::Add)
                    .build(),
                "cannot be merged",
            ),
        ];
        for (schema, expected) in cases {
            let error = driver.describe(&schema.unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Schema);
            assert!(error.to_string().contains(expected), "{error}");
        }
        let info = driver.describe(&schema(ConflictStrategy::Update)).await.unwrap();
        assert!(info.column(0).unwrap().is_required() && info.column(2).unwrap().has_default());
    }

    #[tokio::test]
    async fn an_undeclared_table_grows_with_the_schemas_that_name_it() {
        let driver = MemoryDriver::new();
        let narrow = Schema::new("t", ConflictStrategy::Update, ["id", "a"]).unwrap();
        let wide = Schema::new("t", ConflictStrategy::Update, ["id", "b"]).unwrap();
        write(&driver, vec![narrow.row((1_i64, "x")).unwrap()]).await.unwrap();
        write(&driver, vec![wide.row((1_i64, "y")).unwrap()]).await.unwrap();
        let expected = vec![Value::I64(1), Value::from("x"), Value::from("y")];
        assert_eq!(driver.rows("t"), [expected]);
        assert_eq!(driver.value("t", [1_i64], "b"), Some(Value::from("y")));
    }
}
