//! [`Harness`]: what a driver crate brings to the kit.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::driver::{ColumnKind, Driver};
use crate::testing::Table;
use crate::value::Value;

/// What a driver crate brings to the kit: a database, a way to make a table in it, and a way to
/// read one that does not go through the driver.
///
/// Its methods panic where they fail: that ends the test.
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use batchflow_core::conformance::{self, Harness};
/// use batchflow_core::testing::{MemoryDriver, Table};
/// use batchflow_core::{Driver, Value};
///
/// struct Memory(Arc<MemoryDriver>);
///
/// #[async_trait]
/// impl Harness for Memory {
///     async fn create(&self, table: &Table) {
///         self.0.create(table.clone());
///     }
///
///     async fn driver(&self) -> Arc<dyn Driver> {
///         self.0.clone()
///     }
///
///     async fn read(&self, table: &Table) -> Vec<Vec<Value>> {
///         self.0.rows(table.name())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let harness = Memory(Arc::new(MemoryDriver::with_tables([])));
/// conformance::unset_is_not_null(&harness).await;
/// # }
/// ```
#[async_trait]
pub trait Harness: Send + Sync {
    /// Makes a table, empty, in place of any of its name. Its first unique key is its primary
    /// key.
    async fn create(&self, table: &Table);

    /// A new driver to the database.
    async fn driver(&self) -> Arc<dyn Driver>;

    /// Every row of a table, in any order: its values in the order of the columns, each of its
    /// column's kind.
    async fn read(&self, table: &Table) -> Vec<Vec<Value>>;

    /// Whether the database's tables are what [`create`](Self::create) is told: columns that are
    /// declared, with defaults, checks and NOT NULL, and further unique keys. Left out: they are; a
    /// store without them says `false`, and what needs them is not tested.
    fn has_constraints(&self) -> bool {
        true
    }

    /// The kinds of columns that the database has. Left out: all that core can name, but those of
    /// [`Other`](ColumnKind::Other) types.
    fn kinds(&self) -> Vec<ColumnKind> {
        use ColumnKind::{
            Bool, Bytes, Date, Decimal, Float32, Float64, Integer, Text, Time, Timestamp, Uuid,
        };
        vec![Bool, Integer, Float32, Float64, Decimal, Text, Bytes, Timestamp, Date, Time, Uuid]
    }

    /// Whether columns of the kind refuse values of other kinds. Left out: all do.
    fn is_strict(&self, kind: ColumnKind) -> bool {
        let _ = kind;
        true
    }

    /// How many digits of a second the database keeps, 9 at most. Left out: 6.
    fn second_digits(&self) -> u8 {
        6
    }

    /// Secrets that the driver was given, a password say, which no output may show.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes every write to the table wait until the guard is dropped, as another's lock does.
    /// Left out: `None`, it cannot, and what needs it is not tested.
    async fn hold_up(&self, table: &Table) -> Option<Hold> {
        let _ = table;
        None
    }

    /// Cuts every connection that drivers of this harness have. Left out: `false`, it cannot,
    /// and what needs it is not tested.
    async fn cut_connections(&self) -> bool {
        false
    }
}

/// Holds writes up until it is dropped; see [`Harness::hold_up`].
pub type Hold = Box<dyn Any + Send>;

/// A table's name that no other test of this process uses.
pub(super) fn fresh(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("batchflow_{what}_{}_{number}", std::process::id())
}
