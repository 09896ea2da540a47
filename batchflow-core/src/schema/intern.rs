//! One copy of each schema for the life of the process.
//!
//! Every request holds its schema. Counting those holds would cost each row two atomic
//! operations on one cache line that all producers share: as much as an allocation.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use super::Inner;

/// The most schemas that are kept for good, about 1 MB of them. Those beyond are counted.
const MOST_KEPT: usize = 1_024;
/// Wider schemas are counted: they are large, and so are their rows.
const WIDEST_KEPT: usize = 256;

static KEPT: Mutex<Option<HashMap<u64, Vec<&'static Inner>>>> = Mutex::new(None);

/// A schema's content: kept for good, or counted.
#[derive(Clone)]
pub(super) enum Shared {
    Kept(&'static Inner),
    Counted(Arc<Inner>),
}

impl Shared {
    /// The one copy of this content that there is, if it can be kept.
    pub(super) fn new(inner: Inner) -> Self {
        if inner.parts.columns.len() > WIDEST_KEPT {
            return Self::Counted(Arc::new(inner));
        }
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        let same_hash = kept.get(&inner.hash);
        let known = same_hash.and_then(|all| all.iter().find(|one| one.parts == inner.parts));
        if let Some(known) = known {
            return Self::Kept(known);
        }
        if kept.len() >= MOST_KEPT {
            return Self::Counted(Arc::new(inner));
        }
        let hash = inner.hash;
        let one: &'static Inner = Box::leak(Box::new(inner));
        kept.entry(hash).or_default().push(one);
        Self::Kept(one)
    }
}

impl Deref for Shared {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        match self {
            Self::Kept(inner) => inner,
            Self::Counted(inner) => inner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ConflictStrategy, Schema};

    #[test]
    fn equal_schemas_share_one_copy_and_surplus_ones_are_counted() {
        let make = |n: usize| {
            Schema::new(format!("intern_{n}"), ConflictStrategy::Ignore, ["id"]).unwrap()
        };
        let surplus: Vec<Schema> = (0..2 * MOST_KEPT).map(make).collect();
        assert!(matches!(surplus.last().unwrap().0, Shared::Counted(_)));
        for (n, schema) in surplus.iter().enumerate() {
            assert_eq!(*schema, make(n));
            assert_ne!(*schema, make(n + 1));
        }
        let kept = surplus.iter().filter(|schema| matches!(schema.0, Shared::Kept(_))).count();
        assert!(kept <= MOST_KEPT);
    }
}
