//! What [`Schema::row`](crate::Schema::row) takes.

use crate::value::Value;

/// Values for the first columns of a row, in the schema's order: tuples of up to sixteen values,
/// arrays and `Vec`s of [`Value`]s.
pub trait IntoRow {
    /// Appends the values to a row.
    fn append_to(self, row: &mut RowSlots);
}

/// The columns of a row while it is filled by position.
#[derive(Debug)]
pub struct RowSlots {
    pub(super) values: Vec<Option<Value>>,
    pub(super) heap_bytes: usize,
}

impl RowSlots {
    pub(super) fn with_capacity(width: usize) -> Self {
        Self { values: Vec::with_capacity(width), heap_bytes: 0 }
    }

    /// Sets the next column.
    #[inline]
    pub fn push(&mut self, value: impl Into<Value>) {
        let value = value.into();
        self.heap_bytes += value.heap_bytes();
        self.values.push(Some(value));
    }

    /// Leaves the next column unset.
    #[inline]
    pub fn skip(&mut self) {
        self.values.push(None);
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
