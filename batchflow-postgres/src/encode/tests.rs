//! Each way of sending a value against what the server makes of its text.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod speed;
mod values;

use ::bytes::BytesMut;
use batchflow_core::{Batch, ConflictStrategy, Request, Schema, Value, ValueRef};
use futures_util::SinkExt;
use proptest::prelude::ProptestConfig;
use proptest::strategy::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tokio_postgres::Client;

use self::values::{any_value, edges};
use super::{CopyBody, CopyTarget, array, copies_natively, parameter, plain, staged};
use crate::table::Table;
use crate::unit::{Encoded, clean_up, column, connect, has_extension, run};

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
        let sql = format!(
            "INSERT INTO t (id, c) SELECT u.id, u.c{cast} FROM unnest($1, $2) u (id, c) \
             RETURNING c::text"
        );
        let types = [parameter(id).array_type, parameter(c).array_type];
        let (ids, cells) = (Encoded(ids), Encoded(cells));
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 2] =
            [(&ids, types[0].clone()), (&cells, types[1].clone())];
        match self.client.query_typed(&sql, &parameters).await {
            Ok(rows) => Ok(rows.iter().map(|row| row.get(0)).collect()),
            Err(error) if error.as_db_error().is_some() => Err(Fate::Refused),
            Err(error) => panic!("{}: {error:?}", self.sql),
        }
    }

    async fn copied(&self, values: &[Value], target: CopyTarget) -> Vec<Option<String>> {
        let batch = self.batch(values);
        let body = BytesMut::new();
        let mut body = CopyBody::begin(&self.table, &[0, 1], &batch, target, body).unwrap();
        body.rows(0..batch.len()).unwrap();
        let into = if target == CopyTarget::Table { "t" } else { "s" };
        run(&self.client, "TRUNCATE t, s").await;
        let sql = format!("COPY {into} (id, c) FROM STDIN (FORMAT binary)");
        let sink = self.client.copy_in(&sql).await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(body.end().freeze()).await.unwrap();
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
    // Floats take it ever, other numbers since PostgreSQL 16.
    let hexadecimal = matches!(value, Value::Text(text) if text.contains("0x"));
    if hexadecimal && why.contains("is not ") {
        return true;
    }
    // A decimal stays the text it is, zeros and exponent with it; so do those of an array.
    let by_length = matches!(value, Value::Decimal(_) | Value::Array(_)) && why.contains("longer");
    let by_session = ["zone", "ISO 8601"].iter().any(|part| why.contains(part));
    // A timestamp is one first, whatever the column makes of its text.
    let by_kind = matches!(value, Value::Timestamp(_)) && column == "date";
    let by_text = matches!(column, "name" | "\"char\"") && why.contains("longer");
    by_session || by_text || by_length || by_kind
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
        let written = expressions(&value, target.sql);
        let inserts = written.iter().map(|expression| target.insert(expression));
        let inserted = futures_util::future::join_all(inserts).await;
        for (expression, fate) in written.into_iter().zip(inserted) {
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

/// The types that this server has.
async fn types_of(client: &Client) -> Vec<&'static str> {
    let mut missing = Vec::new();
    for extension in ["citext", "hstore"] {
        if !has_extension(client, extension).await {
            missing.push(extension);
        }
    }
    TYPES.iter().copied().filter(|sql| !missing.contains(sql)).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn each_type_stores_what_the_server_makes_of_the_same_text_at_its_limits() {
    let client = connect().await;
    prepare(&client).await;
    let types = types_of(&client).await;
    let mut target = Target::new(client, TYPES[0]).await;
    let mut faults = Vec::new();
    for sql in types {
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
    let types = types_of(&client).await;
    let mut target = Target::new(client, TYPES[0]).await;
    let mut faults = Vec::new();
    let strategy = any_value();
    for sql in types {
        target = Target::new(target.client, sql).await;
        let mut value = || strategy.new_tree(&mut runner).unwrap().current();
        let values = (0..50).map(|_| value()).collect();
        faults.extend(check(&target, values).await);
    }
    clean_up(target.client).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
