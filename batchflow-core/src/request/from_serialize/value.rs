//! One field's value.

use serde::ser::{
    Impossible, Serialize, SerializeSeq, SerializeTuple, SerializeTupleStruct, Serializer,
};

use super::{Fault, all_end};
use crate::value::Value;

/// The value, or why there is none. What only JSON can hold is serialized a second time, as that.
pub(super) fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, String> {
    match value.serialize(ValueSerializer) {
        Ok(value) => Ok(value),
        Err(Fault::Structured) => match serde_json::to_string(value) {
            Ok(text) => Ok(Value::Json(text.into())),
            // What the error says may show values.
            Err(_) => Err("it cannot be written as JSON".to_owned()),
        },
        Err(Fault::Value(why) | Fault::Column(_, why)) => Err(why),
        Err(Fault::Request(error)) => Err(error.to_string()),
    }
}

/// Takes scalars and sequences of them.
struct ValueSerializer;

type Never = Impossible<Value, Fault>;

macro_rules! scalars {
    ($($method:ident($rust:ty);)+) => {$(
        fn $method(self, value: $rust) -> Result<Value, Fault> {
            Ok(value.into())
        }
    )+};
}

fn too_wide<E>(_: E) -> Fault {
    Fault::Value("an integer does not fit 64 bits".to_owned())
}

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = Fault;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    scalars! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
    }

    fn serialize_i128(self, value: i128) -> Result<Value, Fault> {
        Value::try_from(value).map_err(too_wide)
    }

    fn serialize_u128(self, value: u128) -> Result<Value, Fault> {
        Value::try_from(value).map_err(too_wide)
    }

    fn serialize_none(self) -> Result<Value, Fault> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Fault> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Fault> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, Fault> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Value, Fault> {
        Err(Fault::Structured)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items, Fault> {
        Ok(Items::new(len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Items, Fault> {
        Ok(Items::new(Some(len)))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items, Fault> {
        Ok(Items::new(Some(len)))
    }

    all_end! {
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
        => Err(Fault::Structured)
    }
}

/// An array's items so far.
struct Items(Vec<Value>);

impl Items {
    /// The length is what a type says of itself: too much is not allocated for it.
    fn new(len: Option<usize>) -> Self {
        Self(Vec::with_capacity(len.unwrap_or(0).min(1_024)))
    }

    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Fault> {
        self.0.push(item.serialize(ValueSerializer)?);
        Ok(())
    }

    fn array(self) -> Value {
        Value::Array(self.0.into())
    }
}

macro_rules! sequences {
    ($($sequence:ident::$method:ident;)+) => {$(
        impl $sequence for Items {
            type Ok = Value;
            type Error = Fault;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Fault> {
                self.push(item)
            }

            fn end(self) -> Result<Value, Fault> {
                Ok(self.array())
            }
        }
    )+};
}

sequences! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
}
