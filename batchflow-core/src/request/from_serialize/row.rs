//! The outermost layer: fields become columns.

use serde::ser::{Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use super::value::to_value;
use super::{Fault, all_end, key};
use crate::request::Request;
use crate::schema::Schema;

/// Takes a struct or a map.
pub(super) struct RowSerializer<'a> {
    pub(super) schema: &'a Schema,
}

impl RowSerializer<'_> {
    fn row(&self) -> Fields {
        Fields { request: Request::new(self.schema), key: None }
    }
}

type Never = Impossible<Request, Fault>;

impl Serializer for RowSerializer<'_> {
    type Ok = Request;
    type Error = Fault;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Never;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Fault> {
        Ok(self.row())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Fault> {
        Ok(self.row())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Request, Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Request, Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Request, Fault> {
        Err(Fault::Structured)
    }

    all_end! {
        serialize_bool(bool) -> Request;
        serialize_i8(i8) -> Request;
        serialize_i16(i16) -> Request;
        serialize_i32(i32) -> Request;
        serialize_i64(i64) -> Request;
        serialize_u8(u8) -> Request;
        serialize_u16(u16) -> Request;
        serialize_u32(u32) -> Request;
        serialize_u64(u64) -> Request;
        serialize_f32(f32) -> Request;
        serialize_f64(f64) -> Request;
        serialize_char(char) -> Request;
        serialize_str(&str) -> Request;
        serialize_bytes(&[u8]) -> Request;
        serialize_none() -> Request;
        serialize_unit() -> Request;
        serialize_unit_struct(&'static str) -> Request;
        serialize_unit_variant(&'static str, u32, &'static str) -> Request;
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
        => Err(Fault::Structured)
    }
}

pub(super) struct Fields {
    request: Request,
    /// A map's key that waits for its value.
    key: Option<String>,
}

impl Fields {
    fn set<T: Serialize + ?Sized>(&mut self, column: &str, value: &T) -> Result<(), Fault> {
        let named = |why| Fault::Column(column.to_owned(), why);
        let value = to_value(value).map_err(named)?;
        match self.request.try_set(column, value) {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::Request(Box::new(error))),
        }
    }
}

impl SerializeStruct for Fields {
    type Ok = Request;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.set(name, value)
    }

    fn end(self) -> Result<Request, Fault> {
        Ok(self.request)
    }
}

impl SerializeMap for Fields {
    type Ok = Request;
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        self.key = Some(key.serialize(key::KeySerializer)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        match self.key.take() {
            Some(column) => self.set(&column, value),
            None => Err(Fault::Value("a map gives a value without a key".to_owned())),
        }
    }

    fn end(self) -> Result<Request, Fault> {
        Ok(self.request)
    }
}
