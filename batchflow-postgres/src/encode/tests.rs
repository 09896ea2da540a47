//! Each way of sending a value against what the server makes of its text.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use ::bytes::BytesMut;
use batchflow_core::{
    Batch, ConflictStrategy, Date, Request, Schema, Time, Timestamp, Value, ValueRef,
};
use futures_util::SinkExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tokio_postgres::Client;

use super::{CopyTarget, array, copies_natively, copy, parameter, plain, staged};
use crate::table::Table;
use crate::testing::{Encoded, clean_up, column, connect, run};

/// Every type there is a rule for, lengths and precisions with them.
const TYPES: &[&str] = &[
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "numeric(10,2)",
    "numeric(3,5)",
    "numeric(2,-3)",
    "text",
    "varchar(5)",
    "varchar",
    "char(4)",
    "bpchar",
    "citext",
    "name",
    "\"char\"",
    "bytea",
    "date",
    "time",
    "time(0)",
    "timestamp",
    "timestamp(3)",
    "timestamptz",
    "timestamptz(0)",
    "timetz",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "inet",
    "cidr",
    "macaddr",
    "mood",
    "positive",
    "short",
    "moods",
    "int4[]",
    "text[]",
    "varchar(3)[]",
    "numeric(5,1)[]",
    "timestamptz[]",
    "bytea[]",
    "mood[]",
    "positive[]",
    "bool[]",
    "float8[]",
    "date[]",
    "uuid[]",
    "jsonb[]",
    "box[]",
    "bit(3)",
    "varbit(5)",
    "money",
    "xml",
    "int4range",
    "point",
    "tsvector",
    "hstore",
    "oid",
];

async fn prepare(client: &Client) {
    run(
        client,
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'Happy, \"very\"'); \
         CREATE DOMAIN positive AS int4 CHECK (VALUE > 0); \
         CREATE DOMAIN short AS varchar(3); \
         CREATE DOMAIN moods AS mood[]",
    )
    .await;
}

/// What became of a value: its text in the table, or who refused it.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Stored(Option<String>),
    Refused,
    /// Refused before it was sent, for this.
    Checked(String),
}

struct Target {
    client: Client,
    sql: &'static str,
    schema: Schema,
    table: Table,
}

impl Target {
    async fn new(client: Client, sql: &'static str) -> Self {
        run(&client, &format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id int8, c {sql})")).await;
        let schema = Schema::new("t", ConflictStrategy::Fail, ["id", "c"]).unwrap();
        let table = Table::read(&client, &schema).await.unwrap();
        let stage = staged(&table.columns[1]);
        let declared = stage.declared;
        run(
            &client,
            &format!("DROP TABLE IF EXISTS s; CREATE TEMP TABLE s (id int8, c {declared})"),
        )
        .await;
        Self { client, sql, schema, table }
    }

    fn batch(&self, values: &[Value]) -> Batch {
        let row = |(id, value): (i64, &Value)| {
            Request::new(&self.schema).set("id", id).set("c", value.clone())
        };
        Batch::from_requests((0..).zip(values).map(row).collect()).unwrap()
    }

    async fn insert(&self, expression: &str) -> Fate {
        let sql = format!("INSERT INTO t (c) VALUES ({expression}) RETURNING c::text");
        match column(&self.client, &sql).await {
            Ok(mut texts) => Fate::Stored(texts.remove(0)),
            Err(error) if error.as_db_error().is_some() => Fate::Refused,
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    async fn unnest(&self, values: &[Value]) -> Result<Vec<Option<String>>, Fate> {
        let batch = self.batch(values);
        let (mut ids, mut cells) = (BytesMut::new(), BytesMut::new());
        let [id, c] = &self.table.columns[..] else { panic!("two columns") };
        array(id, &batch, 0, &mut ids).unwrap();
        array(c, &batch, 1, &mut cells)
            .map_err(|error| Fate::Checked(error.message().unwrap_or_default().to_owned()))?;
        let cast = parameter(c).cast.map(|cast| format!("::{cast}")).unwrap_or_default();
        let sql =
            format!("INSERT INTO t (id, c) SELECT u.id, u.c{cast} FROM unnest($1, $2) u (id, c)");
        let types = [parameter(id).array_type, parameter(c).array_type];
        let (ids, cells) = (Encoded(ids), Encoded(cells));
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 2] =
            [(&ids, types[0].clone()), (&cells, types[1].clone())];
        run(&self.client, "TRUNCATE t").await;
        match self.client.execute_typed(&sql, &parameters).await {
            Ok(_) => Ok(self.rows().await),
            Err(error) if error.as_db_error().is_some() => Err(Fate::Refused),
            Err(error) => panic!("{}: {error:?}", self.sql),
        }
    }

    async fn copied(&self, values: &[Value], target: CopyTarget) -> Vec<Option<String>> {
        let mut body = BytesMut::new();
        copy(&self.table, &[0, 1], &self.batch(values), target, &mut body).unwrap();
        let into = if target == CopyTarget::Table { "t" } else { "s" };
        run(&self.client, "TRUNCATE t, s").await;
        let sql = format!("COPY {into} (id, c) FROM STDIN (FORMAT binary)");
        let sink = self.client.copy_in(&sql).await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(body.freeze()).await.unwrap();
        if let Err(error) = sink.finish().await {
            panic!("COPY of {}: {error:?}", self.sql);
        }
        if target == CopyTarget::Stage {
            let cast = staged(&self.table.columns[1]).cast.map(|cast| format!("::{cast}"));
            let cast = cast.unwrap_or_default();
            run(&self.client, &format!("INSERT INTO t (id, c) SELECT id, c{cast} FROM s")).await;
        }
        self.rows().await
    }

    async fn rows(&self) -> Vec<Option<String>> {
        column(&self.client, "SELECT c::text FROM t ORDER BY id").await.unwrap()
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The ways to write a value in an INSERT: as an expression of its kind, and as a bare literal.
fn expressions(value: &Value, column: &str) -> Vec<String> {
    let mut text = String::new();
    if plain::put(value.as_ref(), &mut text).is_err() {
        return Vec::new();
    }
    let zoned = column.starts_with("timestamptz");
    let own = match value.as_ref() {
        ValueRef::Null => return vec!["NULL".to_owned()],
        ValueRef::Bool(_) => "bool",
        ValueRef::I64(_) => "int8",
        ValueRef::U64(_) | ValueRef::Decimal(_) => "numeric",
        ValueRef::F32(_) => "float4",
        ValueRef::F64(_) => "float8",
        ValueRef::Bytes(_) => "bytea",
        ValueRef::Timestamp(_) if zoned => "timestamptz",
        ValueRef::Timestamp(_) => "timestamp",
        ValueRef::Date(_) => "date",
        ValueRef::Time(_) => "time",
        ValueRef::Uuid(_) => "uuid",
        ValueRef::Json(_) => "json",
        ValueRef::Array(items) if items.iter().all(is_number) => "numeric[]",
        // The elements of a `box[]` are separated by semicolons.
        ValueRef::Array(_) if column == "box[]" => {
            return vec![literal(&text.replace("\",\"", "\";\""))];
        }
        _ => return vec![literal(&text)],
    };
    vec![format!("{}::{own}", literal(&text)), literal(&text)]
}

fn is_number(value: &Value) -> bool {
    match value {
        Value::I64(_) | Value::U64(_) | Value::F64(_) | Value::Decimal(_) | Value::Null => true,
        Value::Array(items) => items.iter().all(is_number),
        _ => false,
    }
}

/// What we refuse and the server takes, on purpose.
fn is_stricter(column: &str, value: &Value, why: &str) -> bool {
    let hexadecimal = matches!(value, Value::Text(text) if text.contains("0x"));
    if hexadecimal && column.starts_with("float") {
        return true;
    }
    // A decimal stays the text it is, zeros and exponent with it.
    let by_length = matches!(value, Value::Decimal(_)) && why.contains("longer");
    let by_session = ["zone", "ISO 8601"].iter().any(|part| why.contains(part));
    let by_text = matches!(column, "name" | "\"char\"") && why.contains("longer");
    by_session || by_text || by_length
}

/// What a kind that we refuse would be taken as by a literal of its text alone.
fn is_other_kind(why: &str) -> bool {
    why.contains("takes no such kind")
}

async fn check(target: &Target, values: Vec<Value>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut stored = Vec::new();
    for value in values {
        let mut texts = Vec::new();
        let mut fates = Vec::new();
        for expression in expressions(&value, target.sql) {
            let fate = target.insert(&expression).await;
            if let Fate::Stored(text) = &fate {
                texts.push(text.clone());
            }
            fates.push((expression, fate));
        }
        let shown = || format!("{} <- {value:?} {fates:?}", target.sql);
        match target.unnest(std::slice::from_ref(&value)).await {
            Ok(found) => {
                if !texts.contains(&found[0]) {
                    faults.push(format!("{}: stored {found:?}", shown()));
                }
                stored.push((value, found[0].clone()));
            }
            Err(Fate::Checked(why)) => {
                let is_array = matches!(value, Value::Array(_));
                let typed = is_array || (fates.len() == 2 && fates[0].1 == Fate::Refused);
                let agreed = texts.is_empty()
                    || is_stricter(target.sql, &value, &why)
                    || (is_other_kind(&why) && typed);
                if !agreed {
                    faults.push(format!("{}: refused: {why}", shown()));
                }
            }
            Err(_) => {
                let by_server = fates.iter().any(|(_, fate)| *fate == Fate::Refused);
                if !by_server && !fates.is_empty() {
                    faults.push(format!("{}: the server refused", shown()));
                }
            }
        }
    }
    let (mut values, mut texts): (Vec<_>, Vec<_>) = stored.into_iter().unzip();
    values.push(Value::Null);
    texts.push(None);
    let mut compare = |way: &str, found: &[Option<String>]| {
        for ((value, text), found) in values.iter().zip(&texts).zip(found) {
            if text != found {
                faults.push(format!("{} {way} {value:?}: {found:?}, not {text:?}", target.sql));
            }
        }
    };
    compare("UNNEST", &target.unnest(&values).await.unwrap_or_default());
    compare("stage", &target.copied(&values, CopyTarget::Stage).await);
    if copies_natively(&target.table.columns[1]) {
        compare("COPY", &target.copied(&values, CopyTarget::Table).await);
    }
    faults
}

/// Values at the limits of one type or another.
fn edges() -> Vec<Value> {
    let date = |year, month, day| Value::Date(Date::from_ymd(year, month, day).unwrap());
    let at = |seconds, nanos| Value::Timestamp(Timestamp::new(seconds, nanos).unwrap());
    let time = |nanos| Value::Time(Time::from_nanos(nanos).unwrap());
    let array = |items: Vec<Value>| Value::Array(items.into());
    let mut values = vec![Value::Bool(true), Value::Bool(false)];
    let integers = [
        0,
        1,
        -1,
        32_767,
        32_768,
        -32_768,
        -32_769,
        2_147_483_647,
        2_147_483_648,
        -2_147_483_648,
        -2_147_483_649,
        i64::MAX,
        i64::MIN,
        99_999_999,
        100_000_000,
        9_999,
        10_000,
    ];
    values.extend(integers.map(Value::I64));
    values.extend([0, 1 << 63, u64::MAX].map(Value::U64));
    let floats = [
        0.0,
        -0.0,
        0.1,
        -1.5,
        2.5,
        0.5,
        1e15,
        1e-5,
        123_456_789.123,
        32_767.5,
        32_767.4,
        2_147_483_647.5,
        9.3e18,
        1e39,
        1e-46,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        99_999_999.995,
        0.009_994,
        99_499.0,
        99_500.0,
    ];
    values.extend(floats.map(Value::F64));
    let singles =
        [0.0, 0.1, 1e10, f32::MAX, f32::MIN_POSITIVE, f32::NAN, f32::INFINITY, 16_777_216.0];
    values.extend(singles.map(Value::F32));
    let decimals = [
        "0",
        "-0.00",
        "1.50",
        "99999999.99",
        "99999999.994",
        "99999999.995",
        "0.00999",
        "0.009994",
        "0.009995",
        "12..5",
        "",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e10",
        "1e-10",
        "1e400",
        "123456789012345678901234567890.123456789",
        "0.5",
        "-0.5",
        "1.5",
        "2147483647.4",
        "2147483647.5",
        "99499",
        "99500",
        "+1.",
        ".5",
        "1e131071",
        "1e131072",
        "1e-16383",
    ];
    values.extend(decimals.map(|text| Value::Decimal(text.into())));
    let texts = [
        "",
        " ",
        "a",
        "abc",
        "abcd",
        "abcde",
        "abcdef",
        "abcde   ",
        "abcd   ",
        "abc ",
        "\u{e9}",
        "\u{4e16}\u{754c}\u{1f980}xy",
        "a\0b",
        "'; \\ \" {},",
        "NULL",
        "null",
        "true",
        " YES ",
        "of",
        "x",
        "three",
        "3",
        " +3 ",
        "3.5",
        "1e3",
        "0x1f",
        "99999999999",
        "NaN",
        "-Infinity",
        "1e999",
        "2024-02-29",
        "2023-02-29",
        "2024-02-29 12:34:56.789123",
        "infinity",
        "2024-02-29T12:34:56Z",
        "2024-02-29 12:34:56.5+05:30",
        "-infinity",
        "12:34:56",
        "12:34:56.9999999",
        "24:00:00",
        "24:00:01",
        "12:34:56+02",
        "1 day 02:03:04",
        "P1Y2M",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
        "{\"a\": [1, 2.50, null]}",
        "[1, 2",
        "\"\\u0000\"",
        "10.1.2.3",
        "10.1.2.0/24",
        "::1",
        "10.1.2.3/24",
        "08:00:2b:01:02:03",
        "sad",
        "Sad",
        "Happy, \"very\"",
        "\\xdeadBEEF",
        "\\x0",
        "\\001\\\\x",
        "{1,2,NULL}",
        "{sad,ok}",
        "{{1,2},{3,4}}",
        "{1,2",
        "101",
        "1012",
        "$1.50",
        "<a>b</a>",
        "[1,5)",
        "(1,2)",
        "(1,1),(0,0)",
        "a=>1",
        "fat cat",
    ];
    values.extend(texts.map(Value::from));
    values.push("x".repeat(63).into());
    values.push("x".repeat(64).into());
    values.extend([vec![], vec![0, 255, b'\\'], b"text".to_vec()].map(Value::from));
    values.extend([
        date(1, 1, 1),
        date(0, 12, 31),
        date(-4_713, 11, 24),
        date(-4_713, 11, 23),
        date(1970, 1, 1),
        date(2000, 1, 1),
        date(9_999, 12, 31),
        date(294_276, 12, 31),
        date(294_277, 1, 1),
        Value::Date(Date::from_unix_days(2_145_042_905)),
        Value::Date(Date::from_unix_days(2_145_042_906)),
        Value::Date(Date::from_unix_days(i32::MIN)),
    ]);
    values.extend([
        at(0, 0),
        at(-1, 999_999_999),
        at(946_684_799, 999_999_500),
        at(1_709_210_096, 789_123_456),
        at(1, 499),
        at(1, 500),
        at(1, 1_500),
        at(1, 2_500),
        at(1, 500_000_000),
        at(1, 499_500_000),
        at(-210_866_803_200, 0),
        at(-210_866_803_201, 0),
        at(9_224_318_015_999, 999_999_000),
        at(9_224_318_016_000, 0),
        at(i64::MAX, 0),
        at(-62_135_596_801, 5_000),
    ]);
    values.extend([
        time(0),
        time(1),
        time(86_399_999_999_999),
        time(86_400_000_000_000),
        time(45_296_789_123_456),
        time(1_500),
        time(500_000_000),
    ]);
    values.extend([[0; 16], [0xff; 16], *b"0123456789abcdef"].map(Value::Uuid));
    let documents = ["{}", "[1, 2.50, {\"a\": null}]", "\"\\u0000\"", "{", "null", ""];
    values.extend(documents.map(|text| Value::Json(text.into())));
    values.extend([
        array(vec![]),
        array(vec![1_i64.into(), Value::Null, (-2_i64).into()]),
        array(vec![
            array(vec![1_i64.into(), 2_i64.into()]),
            array(vec![3_i64.into(), 4_i64.into()]),
        ]),
        array(vec![array(vec![1_i64.into()]), array(vec![3_i64.into(), 4_i64.into()])]),
        array(vec!["a".into(), "NULL".into(), "".into(), "\",{}\\ ".into()]),
        array(vec!["abc   ".into()]),
        array(vec!["abcd".into()]),
        array(vec!["a\0".into()]),
        array(vec!["sad".into(), Value::Null]),
        array(vec!["Happy, \"very\"".into()]),
        array(vec!["x".into()]),
        array(vec![Value::Decimal("9999.94".into()), Value::Decimal("9999.95".into())]),
        array(vec![Value::Decimal("9999.94".into()), Value::F64(0.25)]),
        array(vec![at(1, 500_000_000), at(-62_135_596_801, 0)]),
        array(vec![Value::Bytes([0, 255, b'"'].into())]),
        array(vec![true.into(), false.into()]),
        array(vec![Value::F64(f64::NAN), Value::F64(1e300), Value::F64(0.1)]),
        array(vec![date(2024, 2, 29), date(-43, 3, 15)]),
        array(vec![Value::Uuid([7; 16])]),
        array(vec![Value::Json("{\"a\": \"\\\"\"}".into())]),
        array(vec!["(1,1),(0,0)".into(), "(2,2),(1,1)".into()]),
        array(vec![0_i64.into()]),
    ]);
    values
}

fn any_value() -> BoxedStrategy<Value> {
    let digits = "[+-]?[0-9]{0,12}(\\.[0-9]{0,8})?([eE][+-]?[0-9]{1,2})?";
    let moment = (-300_000_000_000_i64..9_300_000_000_000, 0_u32..1_000_000_000);
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        (-70_000_i64..70_000).prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<f64>().prop_map(Value::F64),
        (-1e6..1e6).prop_map(Value::F64),
        any::<f32>().prop_map(Value::F32),
        digits.prop_map(|text| Value::Decimal(text.into())),
        digits.prop_map(Value::from),
        "[a-z \u{e9}\u{1f980}'\\\\\"{},]{0,8}".prop_map(Value::from),
        "[a-f0-9x\\\\ ]{0,10}".prop_map(Value::from),
        "[012][0-9]{3}-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,9})?)?(Z|[+-][01][0-9](:[0-5][0-9])?)?)?"
            .prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::from),
        moment.prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap().into()),
        (-2_500_000_i32..3_000_000).prop_map(|days| Date::from_unix_days(days).into()),
        (0..=86_400_000_000_000_u64).prop_map(|nanos| Time::from_nanos(nanos).unwrap().into()),
        any::<[u8; 16]>().prop_map(Value::Uuid),
    ];
    let scalar = scalar.boxed();
    let list = proptest::collection::vec(scalar.clone(), 0..4);
    prop_oneof![9 => scalar, 1 => list.prop_map(|items| Value::Array(items.into()))].boxed()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn each_type_stores_what_the_server_makes_of_the_same_text_at_its_limits() {
    let client = connect().await;
    prepare(&client).await;
    let mut target = Target::new(client, TYPES[0]).await;
    let mut faults = Vec::new();
    for sql in TYPES {
        target = Target::new(target.client, sql).await;
        faults.extend(check(&target, edges()).await);
    }
    clean_up(target.client).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn each_type_stores_what_the_server_makes_of_any_text() {
    let seed: u64 = match std::env::var("BATCHFLOW_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => 0x5eed_0000 + u64::from(std::process::id()),
    };
    println!("BATCHFLOW_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let client = connect().await;
    prepare(&client).await;
    let mut target = Target::new(client, TYPES[0]).await;
    let mut faults = Vec::new();
    let strategy = any_value();
    for sql in TYPES {
        target = Target::new(target.client, sql).await;
        let mut value = || strategy.new_tree(&mut runner).unwrap().current();
        let values = (0..100).map(|_| value()).collect();
        faults.extend(check(&target, values).await);
    }
    clean_up(target.client).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// How long a batch of a thousand narrow rows takes: printed, not judged.
#[test]
#[ignore = "a measurement: run it in release"]
fn a_thousand_narrow_rows() {
    let ty = |sql: &str, kind| crate::types::ColumnType {
        oid: 0,
        sql: sql.to_owned(),
        cast: sql.to_owned(),
        kind,
    };
    let column = |name: &str, ty| crate::table::TableColumn {
        name: name.to_owned(),
        ty,
        not_null: true,
        refuses_null: true,
        has_default: false,
        generated: false,
        identity: crate::table::Identity::None,
        comparison: batchflow_core::Comparison::Natural,
    };
    use crate::types::{TextLimit, TypeKind};
    let varchar = TextLimit { chars: Some(200), cut_spaces: true };
    let columns = vec![
        column("id", ty("bigint", TypeKind::Int8)),
        column("name", ty("text", TypeKind::Text(TextLimit::NONE))),
        column("email", ty("character varying(200)", TypeKind::Text(varchar))),
        column("hits", ty("integer", TypeKind::Int4)),
        column("at", ty("timestamp with time zone", TypeKind::Timestamptz(6))),
    ];
    let names = ["id", "name", "email", "hits", "at"];
    let schema = Schema::new("t", ConflictStrategy::Ignore, names).unwrap();
    let row = |id: i64| {
        let at = Timestamp::from_unix_micros(1_700_000_000_000_000 + id);
        schema.row((id, format!("name {id}"), format!("{id}@example.com"), id % 100, at)).unwrap()
    };
    let batch = Batch::from_requests((0..1_000).map(row).collect()).unwrap();
    let table = Table {
        layout: (0..5).map(Some).collect(),
        columns,
        row_security: false,
        may_copy: true,
        may_stage: true,
    };
    let median = |run: &mut dyn FnMut()| {
        let mut times: Vec<_> = (0..501)
            .map(|_| {
                let start = std::time::Instant::now();
                run();
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[250]
    };
    let mut out = BytesMut::with_capacity(1 << 20);
    let unnest = median(&mut || {
        out.clear();
        for (at, column) in table.columns.iter().enumerate() {
            array(column, &batch, at, &mut out).unwrap();
        }
    });
    let copied = median(&mut || {
        out.clear();
        copy(&table, &[0, 1, 2, 3, 4], &batch, CopyTarget::Table, &mut out).unwrap();
    });
    println!("1,000 rows of 5 columns: arrays {unnest:?}, COPY {copied:?}");
}
