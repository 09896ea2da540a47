//! [`Batch`]: what a driver writes at once.

use std::fmt;
use std::sync::Arc;

use crate::driver::{ErrorKind, TableInfo, WriteError};
use crate::key::{KeyRules, RowKey};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::value::ValueRef;

/// What is done with a batch's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// They are written by the schema's [`ConflictStrategy`].
    Write,
}

/// Rows of one schema that set the same columns, written at once.
///
/// A cheap clone: the rows are shared. Parts of a batch ([`split_at`](Self::split_at),
/// [`pick`](Self::pick)) share them too.
///
/// ```
/// use batchflow_core::{Batch, ConflictStrategy, Schema, ValueRef};
///
/// let logs = Schema::new("logs", ConflictStrategy::Ignore, ["id", "line"])?;
/// let batch = Batch::from_requests(vec![logs.row((1_i64, "a"))?, logs.row((2_i64, "b"))?])?;
/// assert_eq!(batch.columns(), [0, 1]);
/// assert_eq!(batch.get(1, 1), ValueRef::Text("b"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Batch {
    shared: Arc<Shared>,
    rows: Rows,
}

struct Shared {
    schema: Schema,
    columns: Box<[usize]>,
    requests: Vec<Request>,
    distinct_keys: bool,
}

#[derive(Clone)]
enum Rows {
    Range(u32, u32),
    Picked(Arc<[u32]>, u32, u32),
}

impl Batch {
    /// A batch of rows as they stand, for calling a driver or an executor by hand: a flow and a
    /// [`BatchWriter`](crate::BatchWriter) make their own.
    ///
    /// An [`Unsupported`](ErrorKind::Unsupported) error where there are no rows, or where they
    /// differ in their schema or in the columns they set.
    pub fn from_requests(requests: Vec<Request>) -> Result<Self, WriteError> {
        let refuse = |why| Err(WriteError::new(ErrorKind::Unsupported).with_message(why));
        let Some(first) = requests.first() else {
            return refuse("a batch needs a row");
        };
        let schema = first.schema().clone();
        let columns: Box<[usize]> = first.set_columns().collect();
        for request in &requests {
            if *request.schema() != schema {
                return refuse("the rows of a batch have one schema");
            }
            if !request.set_columns().eq(columns.iter().copied()) {
                return refuse("the rows of a batch set the same columns");
            }
        }
        let mut rules = KeyRules::new(&schema, &TableInfo::unchecked(&schema));
        let mut seen = std::collections::HashSet::with_capacity(requests.len());
        let distinct = schema.strategy() != ConflictStrategy::Fail
            && requests.iter().all(|request| match rules.key_of(request) {
                RowKey::Hash(hash) => seen.insert(hash),
                RowKey::None => true,
                RowKey::Opaque => false,
            });
        Ok(Self::assemble(schema, columns, requests, distinct))
    }

    pub(crate) fn assemble(
        schema: Schema,
        columns: Box<[usize]>,
        requests: Vec<Request>,
        distinct_keys: bool,
    ) -> Self {
        let rows = Rows::Range(0, requests.len() as u32);
        let shared = Shared { schema, columns, requests, distinct_keys };
        Self { shared: Arc::new(shared), rows }
    }

    /// What is done with the rows.
    pub fn op(&self) -> Op {
        Op::Write
    }

    /// The schema of every row.
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// The positions in the schema of the columns that every row sets, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.shared.columns
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Range(start, end) | Rows::Picked(_, start, end) => (end - start) as usize,
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value that a row sets for the schema's column at `column`; NULL where it sets none or
    /// there is no such row.
    #[inline]
    pub fn get(&self, row: usize, column: usize) -> ValueRef<'_> {
        let request = self.shared.requests.get(self.index(row));
        let value = request.and_then(|request| request.value(column));
        value.map_or(ValueRef::Null, |value| value.as_ref())
    }

    /// The row as it was merged, with its values.
    pub fn request(&self, row: usize) -> Option<&Request> {
        self.shared.requests.get(self.index(row))
    }

    /// The rows, in order.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &Request> {
        (0..self.len()).map(|row| &self.shared.requests[self.index(row)])
    }

    /// Whether no two rows have one key, as far as the database compares. Where only the database
    /// can tell, rows of one key may stand in one batch, in submission order.
    pub fn has_distinct_keys(&self) -> bool {
        self.shared.distinct_keys || self.len() == 1
    }

    /// Whether writing the batch twice leaves the same table as writing it once: the schema
    /// [is idempotent](Schema::is_idempotent) and no key holds a NULL, which equals no other.
    pub fn is_idempotent(&self) -> bool {
        self.schema().is_idempotent() && (0..self.len()).all(|row| self.has_key(row))
    }

    /// Whether writing this row twice leaves the same table as writing it once.
    pub(crate) fn is_row_idempotent(&self, row: usize) -> bool {
        self.schema().is_idempotent() && self.has_key(row)
    }

    fn has_key(&self, row: usize) -> bool {
        self.schema().key().iter().all(|&at| !self.get(row, at).is_null())
    }

    /// The rows' size in bytes, as [`Request::size_bytes`] counts.
    pub fn size_bytes(&self) -> usize {
        self.requests().map(Request::size_bytes).sum()
    }

    /// The rows before `row` and those from it on. Where `row` is past the end, the second is
    /// empty.
    #[must_use]
    pub fn split_at(&self, row: usize) -> (Self, Self) {
        let row = row.min(self.len()) as u32;
        let (left, right) = match &self.rows {
            Rows::Range(start, end) => {
                (Rows::Range(*start, start + row), Rows::Range(start + row, *end))
            }
            Rows::Picked(picked, start, end) => (
                Rows::Picked(picked.clone(), *start, start + row),
                Rows::Picked(picked.clone(), start + row, *end),
            ),
        };
        (self.part(left), self.part(right))
    }

    /// The rows at these positions, in this order; positions past the end are left out.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        let within = rows.iter().filter(|&&row| row < self.len());
        let picked: Arc<[u32]> = within.map(|&row| self.index(row) as u32).collect();
        let len = picked.len() as u32;
        self.part(Rows::Picked(picked, 0, len))
    }

    fn part(&self, rows: Rows) -> Self {
        Self { shared: Arc::clone(&self.shared), rows }
    }

    #[inline]
    fn index(&self, row: usize) -> usize {
        match &self.rows {
            Rows::Range(start, end) if row < (end - start) as usize => *start as usize + row,
            Rows::Picked(picked, start, end) if row < (end - start) as usize => {
                picked[*start as usize + row] as usize
            }
            _ => usize::MAX,
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns().iter().map(|&at| self.schema().column(at));
        f.debug_struct("Batch")
            .field("table", &self.schema().table().to_string())
            .field("rows", &self.len())
            .field("columns", &columns.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows: i64) -> Batch {
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
        Batch::from_requests((0..rows).map(|id| schema.row((id,)).unwrap()).collect()).unwrap()
    }

    fn ids(batch: &Batch) -> Vec<i64> {
        let ids = batch.requests().map(|request| request.get("id").unwrap().unwrap());
        ids.collect()
    }

    #[test]
    fn parts_hold_the_rows_they_were_asked_for() {
        let whole = batch(7);
        let (left, right) = whole.split_at(3);
        assert_eq!((ids(&left), ids(&right)), (vec![0, 1, 2], vec![3, 4, 5, 6]));
        let picked = right.pick(&[3, 0, 9, 1]);
        assert_eq!(ids(&picked), [6, 3, 4]);
        let (first, rest) = picked.split_at(1);
        assert_eq!((ids(&first), ids(&rest)), (vec![6], vec![3, 4]));
        assert_eq!(rest.split_at(9).1.len(), 0);
        assert_eq!(left.get(3, 0), ValueRef::Null);
    }

    #[test]
    fn rows_of_different_shapes_make_no_batch() {
        let schema = Schema::new("t", ConflictStrategy::Ignore, ["id", "a"]).unwrap();
        let rows = vec![schema.row((1_i64,)).unwrap(), schema.row((2_i64, "x")).unwrap()];
        assert!(Batch::from_requests(rows).is_err());
        assert!(Batch::from_requests(Vec::new()).is_err());
    }
}
