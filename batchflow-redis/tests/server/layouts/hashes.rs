//! Hashes, by every strategy.
#![allow(clippy::too_many_lines, reason = "a table of cases")]

use std::time::Duration;

use batchflow_redis::{ConflictStrategy, Layout, Request, Schema, Value};

use super::{Case, run, users};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_hashes_by_every_strategy() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let two: fn(&Schema) -> Vec<Request> =
        |schema| [1_i64, 2].map(|id| schema.row((id, "new", 5_i64)).unwrap()).into();
    let before = &["HSET $1 name old extra x", "EXPIRE $1 1000"];
    let nulls: fn(&Schema) -> Vec<Request> =
        |schema| [1_i64, 2].map(|id| schema.row((id, Value::Null, 5_i64)).unwrap()).into();
    run(&[
        Case {
            what: "Fail",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Fail),
            before,
            rows: two,
            verdicts: &["duplicate_key", "written"],
            after: &[("HGETALL $1", "name old extra x"), ("HGETALL $2", "name new hits 5")],
            plain: false,
        },
        Case {
            what: "Ignore",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Ignore),
            before,
            rows: two,
            verdicts: &["written", "written"],
            after: &[("HGETALL $1", "name old extra x"), ("HGETALL $2", "name new hits 5")],
            plain: false,
        },
        Case {
            what: "Replace",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Replace),
            before,
            rows: two,
            verdicts: &["written", "written"],
            after: &[
                ("HMGET $1 name hits extra", "new 5 -"),
                ("HGETALL $2", "name new hits 5"),
                ("TTL $1", "-1"),
            ],
            plain: true,
        },
        Case {
            what: "Replace, and a name that a script knows",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| schema.columns(["id", "unpack", "t"]).key(["id"]).on_conflict(Replace),
            before,
            rows: two,
            verdicts: &["written", "written"],
            after: &[
                ("HMGET $1 unpack t name extra", "new 5 - -"),
                ("HGETALL $2", "unpack new t 5"),
            ],
            plain: true,
        },
        Case {
            what: "Replace of another type",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Replace),
            before: &["SET $1 x"],
            rows: two,
            verdicts: &["written", "written"],
            after: &[("HGETALL $1", "name new hits 5"), ("HGETALL $2", "name new hits 5")],
            plain: true,
        },
        Case {
            what: "Replace with NULL",
            layout: |prefix| Layout::hash(prefix).ttl(Duration::from_secs(100)),
            schema: |schema| users(schema).on_conflict(Replace),
            before,
            rows: nulls,
            verdicts: &["written", "written"],
            after: &[("HGETALL $1", "hits 5"), ("HGETALL $2", "hits 5"), ("TTL $2", "100")],
            plain: true,
        },
        Case {
            what: "Update",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Update),
            before,
            rows: two,
            verdicts: &["written", "written"],
            after: &[
                ("HGETALL $1", "name new extra x hits 5"),
                ("HGETALL $2", "name new hits 5"),
                ("TTL $1", "1000"),
            ],
            plain: true,
        },
        Case {
            what: "Update with NULL",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Update),
            before,
            rows: nulls,
            verdicts: &["written", "written"],
            after: &[("HGETALL $1", "extra x hits 5"), ("HGETALL $2", "hits 5")],
            plain: true,
        },
        Case {
            what: "Update of another type",
            layout: |prefix| Layout::hash(prefix),
            schema: |schema| users(schema).on_conflict(Update),
            before: &["SET $1 x"],
            rows: two,
            verdicts: &["data", "written"],
            after: &[("GET $1", "x"), ("HGETALL $2", "name new hits 5")],
            plain: true,
        },
        Case {
            what: "Update with the key among the fields",
            layout: |prefix| Layout::hash(prefix).key_fields(),
            schema: |schema| users(schema).on_conflict(Update),
            before: &[],
            rows: two,
            verdicts: &["written", "written"],
            after: &[("HGETALL $1", "id 1 name new hits 5")],
            plain: true,
        },
    ])
    .await;
}
