//! What [`Schema::row`](crate::Schema::row) takes.

use crate::value::Value;

/// Values for the first columns of a row, in the schema's order: tuples of up to sixteen values,
/// arrays and `Vec`s of [`Value`]s.
pub trait IntoRow {
    /// Appends the values; `None` leaves a column unset.
    fn append_to(self, slots: &mut Vec<Option<Value>>);
}

impl IntoRow for Vec<Value> {
    fn append_to(self, slots: &mut Vec<Option<Value>>) {
        slots.extend(self.into_iter().map(Some));
    }
}

impl<const N: usize> IntoRow for [Value; N] {
    fn append_to(self, slots: &mut Vec<Option<Value>>) {
        slots.extend(self.into_iter().map(Some));
    }
}

/// With `None` for columns that stay unset.
impl IntoRow for Vec<Option<Value>> {
    fn append_to(self, slots: &mut Vec<Option<Value>>) {
        slots.extend(self);
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Into<Value>),+> IntoRow for ($($name,)+) {
            #[inline]
            #[allow(non_snake_case)]
            fn append_to(self, slots: &mut Vec<Option<Value>>) {
                let ($($name,)+) = self;
                $(slots.push(Some($name.into()));)+
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
