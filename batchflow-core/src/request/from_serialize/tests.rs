use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde::ser::{Error as _, Serializer};

use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::value::Value;

fn schema() -> Schema {
    Schema::new("t", ConflictStrategy::Ignore, ["id", "v", "w"]).unwrap()
}

#[derive(Serialize)]
struct Row<T> {
    id: i64,
    v: T,
}

#[derive(Serialize)]
struct Meters(f64);

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Point {
    y: i32,
    x: i32,
}

#[derive(Serialize)]
struct Pair(i32, i32);

#[derive(Serialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i32, i32),
    Box { side: i32 },
}

struct Raw(&'static [u8]);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("canary"))
    }
}

#[track_caller]
fn becomes(value: impl Serialize, expected: &Value) {
    let request = Request::from_serialize(&schema(), &Row { id: 1, v: value }).unwrap();
    assert!(request.value(1) == Some(expected), "{:?}", request.value(1));
}

#[track_caller]
fn refused(row: impl Serialize, expected: &str) {
    let error = Request::from_serialize(&schema(), &row).expect_err(expected).to_string();
    assert!(error.contains(expected) && !error.contains("canary"), "{error:?} lacks {expected:?}");
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn array(items: impl Into<Vec<Value>>) -> Value {
    Value::Array(items.into().into())
}

#[test]
fn each_kind_of_field_becomes_the_value_it_should() {
    becomes(true, &Value::Bool(true));
    becomes(i8::MIN, &Value::I64(-128));
    becomes(i64::MIN, &Value::I64(i64::MIN));
    becomes(u64::MAX, &Value::U64(u64::MAX));
    becomes(i128::from(i64::MIN), &Value::I64(i64::MIN));
    becomes(u128::from(u64::MAX), &Value::U64(u64::MAX));
    becomes(0.1_f32, &Value::F32(0.1));
    becomes(f64::INFINITY, &Value::F64(f64::INFINITY));
    becomes('é', &text("é"));
    becomes("Ada", &text("Ada"));
    becomes(Raw(b"\0\xff"), &Value::Bytes(b"\0\xff"[..].into()));
    becomes(None::<i32>, &Value::Null);
    becomes(Some(7_i32), &Value::I64(7));
    becomes((), &Value::Null);
    becomes(Unit, &Value::Null);
    becomes(Meters(2.5), &Value::F64(2.5));
    becomes(Shape::Empty, &text("Empty"));
}

#[test]
fn sequences_become_arrays_and_structures_json() {
    becomes(vec![Some(1_i32), None], &array([Value::I64(1), Value::Null]));
    becomes(*b"ab", &array([Value::U64(97), Value::U64(98)]));
    becomes((1_i32, "a"), &array([Value::I64(1), text("a")]));
    becomes(Pair(1, 2), &array([Value::I64(1), Value::I64(2)]));
    becomes(vec![vec![1_i32], vec![]], &array([array([Value::I64(1)]), array([])]));
    becomes(Point { y: 2, x: 1 }, &json(r#"{"y":2,"x":1}"#));
    becomes(vec![Point { y: 2, x: 1 }], &json(r#"[{"y":2,"x":1}]"#));
    becomes(Some(BTreeMap::from([("a", u128::MAX)])), &json(&format!(r#"{{"a":{}}}"#, u128::MAX)));
    becomes(Shape::Circle(1.5), &json(r#"{"Circle":1.5}"#));
    becomes(Shape::Line(1, 2), &json(r#"{"Line":[1,2]}"#));
    becomes(vec![Shape::Empty, Shape::Box { side: 1 }], &json(r#"["Empty",{"Box":{"side":1}}]"#));
}

#[test]
fn a_skipped_field_stays_unset_and_a_none_is_null() {
    #[derive(Serialize)]
    struct Partial {
        id: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        v: Option<i64>,
        #[serde(rename = "w")]
        renamed: Option<i64>,
        #[serde(skip)]
        _other: i64,
    }
    let row = Partial { id: 1, v: None, renamed: None, _other: 0 };
    let request = Request::from_serialize(&schema(), &row).unwrap();
    assert_eq!((request.value(1), request.value(2)), (None, Some(&Value::Null)));
}

#[test]
fn maps_flattened_and_wrapped_structs_are_rows_too() {
    #[derive(Serialize)]
    struct Outer {
        #[serde(flatten)]
        inner: Row<i32>,
        w: char,
    }
    #[derive(Serialize)]
    struct Wrapped(Outer);
    let row = Some(Wrapped(Outer { inner: Row { id: 1, v: 2 }, w: 'x' }));
    let request = Request::from_serialize(&schema(), &row).unwrap();
    assert!(request == schema().row((1_i64, 2_i64, "x")).unwrap());
    let map = HashMap::from([("id", 1_i64)]);
    assert_eq!(Request::from_serialize(&schema(), &map).unwrap().get::<i64>("id"), Ok(Some(1)));
}

#[test]
fn each_mistake_names_the_field_and_shows_no_value() {
    #[derive(Serialize)]
    struct Misspelt {
        idd: &'static str,
    }
    refused(Misspelt { idd: "canary" }, "t has no column \"idd\"");
    refused(Row { id: 1, v: i128::MAX }, "\"v\"");
    refused(Row { id: 1, v: u128::MAX }, "an integer does not fit 64 bits");
    refused(Row { id: 1, v: vec![u128::MAX] }, "an integer does not fit 64 bits");
    refused(Row { id: 1, v: Refuses }, "its type refuses to be serialized");
    refused(Row { id: 1, v: vec![Some((Point { y: 1, x: 2 }, Refuses))] }, "written as JSON");
    refused(HashMap::from([(1, 2)]), "column names");
    refused(Refuses, "refuses");
    for not_a_row in ["a", "b"] {
        refused(not_a_row, "a row is a struct or a map");
    }
    refused((1, 2), "a row is a struct or a map");
    refused(Shape::Box { side: 1 }, "a row is a struct or a map");
    refused(None::<Row<i64>>, "a row is a struct or a map");
}
