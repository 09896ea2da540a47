//! What [`Schema::row`](crate::Schema::row) takes.

use std::fmt;

use super::slots::{self, HEAD, Slot, Slots, Sums};
use crate::schema::Schema;
use crate::value::Value;

/// Values for the first columns of a row, in the schema's order: tuples of up to sixteen values,
/// arrays and `Vec`s of [`Value`]s.
pub trait IntoRow {
    /// Appends the values to a row.
    fn append_to(self, row: &mut RowSlots);
}

/// The columns of a row while it is filled by position.
pub struct RowSlots {
    /// From `next` on, they hold anything without heap.
    slots: Box<[Slot]>,
    heap_bytes: usize,
    /// Which of the first 64 columns were left unset, as bits.
    skipped: u64,
    /// The column that is set next; past the last where there were too many values.
    next: usize,
}

impl RowSlots {
    #[inline]
    pub(super) fn new(width: usize) -> Self {
        Self { slots: slots::unfilled(width), heap_bytes: 0, skipped: 0, next: 0 }
    }

    /// Sets the next column.
    #[allow(clippy::inline_always, reason = "where the kind is known, most of this is nothing")]
    #[inline(always)]
    pub fn push(&mut self, value: impl Into<Value>) {
        if let Some(slot) = self.slots.get_mut(HEAD + self.next) {
            let value = value.into();
            self.heap_bytes += value.heap_bytes();
            slots::fill(slot, Slot::Set(value));
        }
        self.next += 1;
    }

    /// Leaves the next column unset.
    #[inline]
    pub fn skip(&mut self) {
        if let Some(slot) = self.slots.get_mut(HEAD + self.next) {
            self.skipped |= slots::bit(self.next);
            slots::empty(slot);
        }
        self.next += 1;
    }

    /// The row, its last columns unset; how many values it was given, where those are too many.
    #[inline]
    pub(super) fn finish(mut self, schema: &Schema) -> Result<Slots, usize> {
        let Some(rest) = self.slots.get_mut(HEAD + self.next..) else { return Err(self.next) };
        rest.iter_mut().for_each(slots::empty);
        let given = slots::bit(self.next).wrapping_sub(1);
        let sums = Sums { heap_bytes: self.heap_bytes, set: given & !self.skipped };
        Ok(Slots::filled(self.slots, schema, sums))
    }
}

impl fmt::Debug for RowSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowSlots").field("next", &self.next).finish_non_exhaustive()
    }
}

impl IntoRow for Vec<Value> {
    fn append_to(self, row: &mut RowSlots) {
        for value in self {
            row.push(value);
        }
    }
}

impl<const N: usize> IntoRow for [Value; N] {
    fn append_to(self, row: &mut RowSlots) {
        for value in self {
            row.push(value);
        }
    }
}

/// With `None` for columns that stay unset.
impl IntoRow for Vec<Option<Value>> {
    fn append_to(self, row: &mut RowSlots) {
        for value in self {
            match value {
                Some(value) => row.push(value),
                None => row.skip(),
            }
        }
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Into<Value>),+> IntoRow for ($($name,)+) {
            #[inline]
            #[allow(non_snake_case)]
            fn append_to(self, row: &mut RowSlots) {
                let ($($name,)+) = self;
                $(row.push($name);)+
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
tuples!(A B C D E F G H I J K L M);
tuples!(A B C D E F G H I J K L M N);
tuples!(A B C D E F G H I J K L M N O);
tuples!(A B C D E F G H I J K L M N O P);
