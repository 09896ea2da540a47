//! Hashes' fields, merged by rules.
#![allow(clippy::too_many_lines, reason = "a table of cases")]

use batchflow_redis::{
    ConflictStrategy, Layout, Merge, Request, Schema, SchemaBuilder, Timestamp, Value,
};

use super::{Case, int, run, users};
use crate::support::{Direct, connect, fresh, url, write};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_hashes_merge_by_rules() {
    use ConflictStrategy::Update;
    fn wide(schema: SchemaBuilder) -> SchemaBuilder {
        schema
            .columns(["id", "add", "half", "most", "least", "once", "born", "seen"])
            .key(["id"])
            .on_conflict(Update)
            .update(["add", "half", "most", "least", "once"])
            .merge("add", Merge::Add)
            .merge("half", Merge::Add)
            .merge("most", Merge::Max)
            .merge("least", Merge::Min)
            .merge("once", Merge::KeepExisting)
            .touch("seen")
    }
    fn row(schema: &Schema, id: i64, add: Value, most: Value) -> Request {
        Request::new(schema)
            .set("id", id)
            .set("add", add)
            .set("half", 0.5)
            .set("most", most)
            .set("least", 7_i64)
            .set("once", "new")
            .set("born", "new")
    }
    run(&[
        Case {
            what: "rules",
            layout: |prefix| Layout::hash(prefix),
            schema: wide,
            before: &[
                "HSET $1 add 9007199254740993 half 2 most 9007199254740993 least 10 once old born old",
                "HSET $2 add -3 most 5 least -9",
                "HSET $3 add x most 5 once old",
                "HSET $4 add 9223372036854775807 half 1",
                "HSET $5 most x half 1",
                "HSET $7 most 2024-01-01T00:00:00Z least 8",
            ],
            rows: |schema| {
                vec![
                    row(schema, 1, int(1), int(9_007_199_254_740_992)),
                    row(schema, 2, int(1), Value::Decimal("5.5".into())),
                    row(schema, 3, int(1), int(1)),
                    row(schema, 4, int(1), int(1)),
                    row(schema, 5, int(1), int(1)),
                    row(schema, 6, int(1), int(1)),
                    row(
                        schema,
                        7,
                        Value::Null,
                        Timestamp::from_unix_micros(1_704_067_200_500_000).into(),
                    ),
                ]
            },
            verdicts: &["written", "written", "data", "data", "data", "written", "written"],
            after: &[
                (
                    "HMGET $1 add half most least once born",
                    "9007199254740994 2.5 9007199254740993 7 old old",
                ),
                ("HMGET $2 add half most least once born", "-2 0.5 5.5 -9 new -"),
                ("HMGET $3 add half most least once born", "x - 5 - old -"),
                ("HMGET $4 add half most least once born", "9223372036854775807 1 - - - -"),
                ("HMGET $5 add half most least once born", "- 1 x - - -"),
                ("HMGET $6 add half most least once born", "1 0.5 1 7 new new"),
                ("HMGET $7 add half most least", "- 0.5 2024-01-01T00:00:00.5Z 7"),
                ("HEXISTS $3 seen", "0"),
                ("HSTRLEN $6 seen", "27"),
            ],
            plain: false,
        },
        Case {
            what: "what only Add is for",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Update).merge("hits", Merge::Add),
            before: &[
                "HSET $1 hits 2.5",
                "HSET $7 hits 123456789012345678901234",
                "HINCRBYFLOAT $8 hits 1e19",
            ],
            rows: |schema| {
                let row = |id, hits: Value| Request::new(schema).set("id", id).set("hits", hits);
                vec![
                    row(1, int(1)),
                    row(2, Value::F64(-0.0)),
                    row(3, Value::U64(u64::MAX)),
                    row(4, "four".into()),
                    row(5, Value::Decimal("007".into())),
                    row(6, Value::Decimal("123456789012345678901234".into())),
                    row(7, int(1)),
                    row(8, Value::F64(2.0)),
                ]
            },
            verdicts: &["written", "written", "data", "data", "written", "data", "data", "written"],
            after: &[
                ("HGET $1 hits", "3.5"),
                ("HGET $2 hits", "0"),
                ("EXISTS $3", "0"),
                ("HGET $5 hits", "7"),
                ("EXISTS $6", "0"),
                ("HGET $7 hits", "123456789012345678901234"),
                ("HGET $8 hits", "10000000000000000002"),
            ],
            plain: false,
        },
    ])
    .await;
    let mut direct = Direct::connect(&url()).await;
    let table = fresh("clock");
    let schema = Schema::builder(&table).columns(["id", "seen"]).key(["id"]);
    let schema = schema.on_conflict(Update).touch("seen").build().unwrap();
    let driver = connect(&url()).await.unwrap();
    let before = Timestamp::now().to_string();
    assert_eq!(write(&driver, vec![Request::new(&schema).set("id", 1_i64)]).await, ["written"]);
    let seen = direct.ask(&format!("HGET {table}:1 seen")).await;
    assert_eq!(seen[..13], before[..13], "the hour, unless it has just struck");
}
