//! [`Request`]: one row on its way to a table.

mod error;
#[cfg(feature = "serde")]
mod from_serialize;
mod from_value;
mod into_row;
mod slots;

use std::fmt;

pub use error::RequestError;
pub use from_value::FromValue;
pub use into_row::{IntoRow, RowSlots};

use crate::schema::{ConflictStrategy, Schema};
use crate::value::Value;
use slots::{Slot, Slots};

/// One row on its way to a table: an owned set of values, some of them perhaps unset.
///
/// **Unset is not NULL.** A column that was never set is left to the database's default on insert
/// and untouched on update; [`set_null`](Self::set_null) writes NULL.
///
/// Two are equal that have the same schema, values and mistake, however they were set. `Debug` shows
/// the table, the columns and the kinds of the values, never the values.
///
/// ```
/// use batchflow_core::{ConflictStrategy, Request, Schema};
///
/// let users = Schema::new("users", ConflictStrategy::Ignore, ["id", "name", "email"])?;
/// let request = Request::new(&users).set("id", 1_i64).set("name", "Ada");
/// assert_eq!(request.get::<i64>("id")?, Some(1));
/// assert!(!request.is_set("email"));
///
/// // A mistake is kept, and `submit` returns it; `try_set` reports it at once.
/// assert!(Request::new(&users).set("nmae", "Ada").validate().is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
#[must_use = "a request does nothing until it is submitted"]
pub struct Request(Slots);

/// What a row takes beside its columns: the request itself and its place in a queue.
const ROW_BYTES: usize = 96;

impl Request {
    /// An empty row of `schema`: every column unset.
    pub fn new(schema: &Schema) -> Self {
        Self(Slots::unset(schema))
    }

    /// Sets a column, replacing what it held.
    ///
    /// A column that the schema does not have is an error that [`validate`](Self::validate) and
    /// `submit` return; [`try_set`](Self::try_set) returns it at once.
    pub fn set(mut self, column: &str, value: impl Into<Value>) -> Self {
        if let Err(error) = self.try_set(column, value) {
            self.0.keep_mistake(error);
        }
        self
    }

    /// Sets a column to NULL.
    pub fn set_null(self, column: &str) -> Self {
        self.set(column, Value::Null)
    }

    /// Sets a column in place.
    pub fn try_set(
        &mut self,
        column: &str,
        value: impl Into<Value>,
    ) -> Result<&mut Self, RequestError> {
        let position = self.find(column)?;
        self.put(position, Some(value.into()));
        Ok(self)
    }

    /// Takes a column's value out and leaves it unset.
    pub fn unset(&mut self, column: &str) -> Result<Option<Value>, RequestError> {
        let position = self.find(column)?;
        Ok(self.put(position, None))
    }

    /// Replaces the value at `position`, which must be a column of the schema, and returns the old
    /// one. What a [`Coalescer`](crate::Coalescer) of your own merges with.
    pub(crate) fn put(&mut self, position: usize, value: Option<Value>) -> Option<Value> {
        self.0.replace(position, value)
    }

    #[inline]
    fn find(&self, column: &str) -> Result<usize, RequestError> {
        // Columns are mostly set in order.
        let next = self.0.after_set();
        if next < self.0.width() && self.schema().column(next) == column {
            return Ok(next);
        }
        let position = self.schema().position(column);
        position.ok_or_else(|| RequestError::UnknownColumn {
            table: self.schema().table().to_string(),
            column: column.to_owned(),
        })
    }

    /// The schema the row belongs to.
    #[inline]
    pub fn schema(&self) -> &Schema {
        self.0.schema()
    }

    /// The value at a column's position: `None` is unset, or past the last column.
    #[inline]
    pub fn value(&self, position: usize) -> Option<&Value> {
        self.0.value(position)
    }

    /// Reads a column: `Ok(None)` where it is unset or NULL, an error where there is no such
    /// column or its value is not a `T`.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<Option<T>, RequestError> {
        let position = self.find(column)?;
        match self.value(position) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match T::from_value(value) {
                Some(read) => Ok(Some(read)),
                None => Err(RequestError::WrongKind {
                    table: self.schema().table().to_string(),
                    column: column.to_owned(),
                    kind: value.kind(),
                    wanted: std::any::type_name::<T>(),
                }),
            },
        }
    }

    /// Whether a column was set, to NULL or a value; `false` where there is no such column.
    pub fn is_set(&self, column: &str) -> bool {
        self.find(column).is_ok_and(|position| self.value(position).is_some())
    }

    /// The positions of the columns that are set, in the schema's order.
    pub fn set_columns(&self) -> impl Iterator<Item = usize> {
        let values = self.0.values().enumerate();
        values.filter(|(_, value)| value.is_some()).map(|(position, _)| position)
    }

    /// Which of the first 64 columns are set, as bits.
    #[inline]
    pub(crate) fn first_set(&self) -> u64 {
        self.0.sums().set
    }

    /// What the row counts against `buffer_bytes` and `flush_bytes`, in bytes.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        ROW_BYTES + self.0.width() * size_of::<Slot>() + self.0.sums().heap_bytes
    }

    /// Checks what can be checked without a database: `submit` does it for every row.
    ///
    /// Refused are a mistake kept by [`set`](Self::set), a row without any value, an unset key
    /// column (unless the strategy is [`Fail`](ConflictStrategy::Fail)) and a set
    /// [touched](crate::SchemaBuilder::touch) column.
    pub fn validate(&self) -> Result<(), RequestError> {
        match self.fault() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    #[inline]
    pub(crate) fn fault(&self) -> Option<RequestError> {
        if self.is_sound() { None } else { Some(self.describe_fault()) }
    }

    /// Whether [`fault`](Self::fault) finds none.
    #[inline]
    pub(crate) fn is_sound(&self) -> bool {
        let schema = self.schema();
        let plain =
            self.0.mistake().is_none() && schema.touch().is_none_or(|touch| !self.0.is_set(touch));
        let keyed = schema.strategy() == ConflictStrategy::Fail
            || schema.key().iter().all(|&position| self.0.is_set(position));
        plain && keyed && !self.0.is_empty_row()
    }

    #[cold]
    fn describe_fault(&self) -> RequestError {
        if let Some(error) = self.0.mistake() {
            return error.clone();
        }
        let schema = self.schema();
        let table = schema.table().to_string();
        let column = |position| schema.column(position).to_owned();
        if let Some(touch) = schema.touch().filter(|&touch| self.value(touch).is_some()) {
            return RequestError::TouchedColumnSet { table, column: column(touch) };
        }
        let unset = schema.key().iter().find(|&&position| self.value(position).is_none());
        match unset {
            Some(&position) if schema.strategy() != ConflictStrategy::Fail => {
                RequestError::UnsetKey { table, column: column(position) }
            }
            _ => RequestError::Empty { table },
        }
    }
}

impl Schema {
    /// A row by position: the first value goes to the first column, and so on. Columns beyond the
    /// values given stay unset.
    ///
    /// Takes a tuple of up to sixteen values, or a `Vec` or array of [`Value`]s.
    ///
    /// ```
    /// use batchflow_core::{ConflictStrategy, Schema};
    ///
    /// let users = Schema::new("users", ConflictStrategy::Ignore, ["id", "name", "email"])?;
    /// let request = users.row((1_i64, "Ada"))?;
    /// assert!(!request.is_set("email"));
    /// assert!(users.row((1_i64, "Ada", "a@x", 4_i64)).is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn row(&self, values: impl IntoRow) -> Result<Request, RequestError> {
        let mut row = RowSlots::new(self.width());
        values.append_to(&mut row);
        match row.finish(self) {
            Ok(slots) => Ok(Request(slots)),
            Err(values) => Err(self.too_many_values(values)),
        }
    }

    #[cold]
    fn too_many_values(&self, values: usize) -> RequestError {
        let table = self.table().to_string();
        RequestError::TooManyValues { table, values, columns: self.width() }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Kinds<'a>(&'a Request);
        impl fmt::Debug for Kinds<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let columns = self.0.set_columns();
                f.debug_map()
                    .entries(columns.map(|at| (self.0.schema().column(at), self.0.value(at))))
                    .finish()
            }
        }
        f.debug_struct("Request")
            .field("table", &self.schema().table().to_string())
            .field("values", &Kinds(self))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Merge;

    fn users() -> Schema {
        Schema::builder("users")
            .columns(["id", "name", "hits", "seen"])
            .key(["id"])
            .on_conflict(ConflictStrategy::Update)
            .merge("hits", Merge::Add)
            .touch("seen")
            .build()
            .unwrap()
    }

    #[test]
    fn each_mistake_is_an_error_of_its_own_that_names_the_column() {
        let users = users();
        let row = || Request::new(&users);
        let cases = [
            (row().set("nmae", 1_i64).set("id", 1_i64), "users has no column \"nmae\""),
            (row().set("name", "Ada"), "key column \"id\" is unset"),
            (row().set("id", 1_i64).set("seen", 1_i64), "\"seen\" takes the server's clock"),
            (Request::new(&Schema::builder("l").columns(["a"]).build().unwrap()), "no column set"),
        ];
        for (request, expected) in cases {
            let error = request.validate().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
        assert_eq!(row().set("id", 1_i64).validate(), Ok(()));
    }

    #[test]
    fn reading_tells_unset_null_and_a_wrong_kind_apart() {
        let request = Request::new(&users()).set("id", 7_i64).set_null("name");
        assert_eq!(request.get::<i64>("id"), Ok(Some(7)));
        assert_eq!(request.get::<String>("name"), Ok(None));
        assert!(request.is_set("name") && !request.is_set("hits"));
        assert!(request.get::<String>("id").is_err());
        assert!(request.get::<i64>("none").is_err());
    }

    #[test]
    fn a_row_in_used_memory_holds_nothing_of_the_row_before() {
        let users = users();
        for text in ["short", "longer than what a value holds in place"] {
            // More rows than a thread keeps, so that some are handed on.
            let full = |id: i64| users.row((id, text, 7_i64)).unwrap();
            drop((0..300).map(full).collect::<Vec<_>>());
            let part: Vec<Request> = (0..300_i64).map(|id| users.row((id,)).unwrap()).collect();
            for row in part.iter().chain([&Request::new(&users).set("id", 1_i64)]) {
                assert_eq!(row.set_columns().collect::<Vec<_>>(), [0]);
                assert!((1..4).all(|column| row.value(column).is_none()));
                assert_eq!(row.size_bytes(), Request::new(&users).size_bytes());
            }
        }
    }

    #[test]
    fn the_size_follows_every_change() {
        let mut request = Request::new(&users()).set("id", 7_i64).set("name", "x".repeat(500));
        let full = request.size_bytes();
        assert!(full > 500 + 4 * 24);
        request.try_set("name", "").unwrap();
        assert_eq!(request.size_bytes(), full - 500);
        request.unset("name").unwrap();
        assert_eq!(request.size_bytes(), full - 500);
    }

    #[test]
    fn promise_10_debug_shows_columns_and_kinds_and_never_values() {
        let request = Request::new(&users()).set("id", 770_077_i64).set("name", "canary");
        let shown = format!("{request:?}");
        assert!(shown.contains("\"name\": Some(Text(6 bytes))"), "{shown}");
        assert!(!shown.contains("canary") && !shown.contains("770077"), "{shown}");
    }
}
