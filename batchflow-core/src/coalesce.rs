//! The [`Coalescer`]: which waiting rows become one, and how.

use std::fmt;

use crate::request::Request;
use crate::value::Value;

/// What a [`Coalescer`] made of a waiting row and a newer one of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Merged {
    /// The waiting row stands as it is; the newer one is superseded.
    Keep,
    /// The newer row takes the waiting one's place; the waiting one is superseded.
    Replace,
    /// The waiting row was changed to stand for both; the older is superseded.
    Merged,
    /// The two are not merged: the newer goes out in a later batch, in order.
    Separate,
}

/// A merge key of a [`Coalescer`]'s own making.
///
/// ```
/// use batchflow_core::Key;
///
/// assert_eq!(Key::from("user 7"), Key::from(String::from("user 7")));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<[u8]>);

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(key.as_bytes().into())
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key.into_bytes().into())
    }
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        Self(key.into())
    }
}

impl From<i64> for Key {
    fn from(key: i64) -> Self {
        Self(key.to_be_bytes().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.0.len())
    }
}

/// Decides which waiting rows become one, and how.
///
/// A flow without one merges rows of a schema's key by its
/// [`ConflictStrategy`](crate::ConflictStrategy). Rows of [`Fail`](crate::ConflictStrategy::Fail)
/// are never merged.
///
/// It runs on the flow's own task: it must not block. Where it panics, the newer row is not
/// merged.
pub trait Coalescer: fmt::Debug + Send + Sync + 'static {
    /// The row's merge key; `None` keeps it apart. Rows that the database takes for one key must
    /// not have two: the schema's own key orders them either way.
    fn key(&self, request: &Request) -> Option<Key>;

    /// Merges `newer` into `kept`, which has the same key and set before it.
    /// Use [`Request::merge_value`] to change `kept`.
    fn merge(&self, kept: &mut Request, newer: &Request) -> Merged;
}

impl Request {
    /// Replaces the value at a column's position, or unsets it with `None`; for a [`Coalescer`].
    /// Returns the old value; a position past the last column changes nothing.
    pub fn merge_value(&mut self, position: usize, value: Option<Value>) -> Option<Value> {
        self.put(position, value)
    }
}
