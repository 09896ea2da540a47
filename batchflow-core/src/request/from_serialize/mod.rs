//! [`Request::from_serialize`]: a row from anything that `serde` can serialize.

mod key;
mod row;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

use serde::Serialize;

use super::{Request, RequestError};
use crate::schema::Schema;

impl Request {
    /// Maps a struct or a map, field by field, to the columns of the same names.
    ///
    /// A field that the schema does not have is an error that names it; a field that is skipped
    /// leaves its column unset, and `None` is NULL. Values become:
    ///
    /// | serialized as | value |
    /// |---|---|
    /// | integers, floats, truth values | themselves; 128-bit integers where they fit 64 bits |
    /// | strings, characters, variants without data | text |
    /// | bytes (`serde_bytes`) | bytes; a plain `Vec<u8>` is a sequence |
    /// | sequences and tuples | an array |
    /// | structs, maps, variants with data, and sequences that hold one | JSON |
    ///
    /// An empty sequence is an array, for want of an element to tell. Types of other crates come
    /// as they serialize: a UUID or a date of a library is text; set it by name to keep its kind.
    ///
    /// ```
    /// use batchflow_core::{ConflictStrategy, Request, Schema};
    ///
    /// #[derive(serde::Serialize)]
    /// struct User<'a> {
    ///     id: i64,
    ///     name: &'a str,
    ///     email: Option<String>,
    ///     #[serde(skip)]
    ///     session: u128,
    /// }
    ///
    /// let users = Schema::new("users", ConflictStrategy::Ignore, ["id", "name", "email"])?;
    /// let user = User { id: 1, name: "Ada", email: None, session: 7 };
    /// let request = Request::from_serialize(&users, &user)?;
    /// assert_eq!(request.get::<String>("name")?.as_deref(), Some("Ada"));
    /// assert!(request.is_set("email"), "NULL, not unset");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_serialize<T: Serialize + ?Sized>(
        schema: &Schema,
        row: &T,
    ) -> Result<Self, RequestError> {
        let convert = |column: &str, why: String| RequestError::Convert {
            table: schema.table().to_string(),
            column: column.to_owned(),
            why,
        };
        row.serialize(row::RowSerializer { schema }).map_err(|fault| match fault {
            Fault::Request(error) => *error,
            Fault::Column(column, why) => convert(&column, why),
            Fault::Value(why) => convert("", why),
            Fault::Structured => convert("", "a row is a struct or a map".to_owned()),
        })
    }
}

/// Why a serializer stopped.
#[derive(Debug)]
enum Fault {
    /// The schema does not take the field.
    Request(Box<RequestError>),
    /// A column's value cannot be converted.
    Column(String, String),
    /// A value cannot be converted, or the row as a whole.
    Value(String),
    /// The value is one for JSON.
    Structured,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value cannot be set as a column")
    }
}

impl std::error::Error for Fault {}

impl serde::ser::Error for Fault {
    /// What a type says when it refuses to be serialized may show its value.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Value("its type refuses to be serialized".to_owned())
    }
}

/// The methods of a [`serde::Serializer`] that all end the same way.
macro_rules! all_end {
    ($($method:ident($($argument:ty),*) -> $result:ty;)+ => $end:expr) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$result, Fault> {
            $end
        }
    )+};
}

use all_end;
