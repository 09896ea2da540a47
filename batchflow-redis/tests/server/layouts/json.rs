//! JSON objects, by every strategy.
#![allow(clippy::too_many_lines, reason = "a table of cases")]

use batchflow_redis::{ConflictStrategy, Layout, Merge, Request, Schema, Value};

use super::{Case, int, run, users};

const OLD: &str = r#"{"big":12345678901234567890,"name":"old","none":[],"in":{"name":[1,"}"]}}"#;
const NEW: &str = r#"{"name":"n\"w","hits":5}"#;

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_json_objects_by_every_strategy() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let two: fn(&Schema) -> Vec<Request> =
        |schema| [1_i64, 2].map(|id| schema.row((id, "n\"w", 5_i64)).unwrap()).into();
    let before: &[&str] = &[
        r#"SET $1 {"big":12345678901234567890,"name":"old","none":[],"in":{"name":[1,"}"]}} EX 99"#,
    ];
    let case = |what, schema, verdicts, after, plain| Case {
        what,
        layout: |prefix| Layout::json(prefix),
        schema,
        before,
        rows: two,
        verdicts,
        after,
        plain,
    };
    run(&[
        case(
            "Fail",
            |s| users(s).on_conflict(Fail),
            &["duplicate_key", "written"],
            &[("GET $1", OLD), ("GET $2", NEW)],
            true,
        ),
        case(
            "Ignore",
            |s| users(s).on_conflict(Ignore),
            &["written"; 2],
            &[("GET $1", OLD), ("GET $2", NEW)],
            true,
        ),
        case(
            "Replace",
            |s| users(s).on_conflict(Replace),
            &["written"; 2],
            &[("GET $1", NEW), ("GET $2", NEW), ("TTL $1", "-1")],
            true,
        ),
        case(
            "Update",
            |s| users(s).on_conflict(Update),
            &["written"; 2],
            &[
                (
                    "GET $1",
                    r#"{"big":12345678901234567890,"name":"n\"w","none":[],"in":{"name":[1,"}"]},"hits":5}"#,
                ),
                ("GET $2", NEW),
                ("TTL $1", "99"),
            ],
            false,
        ),
        case(
            "KeepExisting",
            |s| users(s).on_conflict(Update).merge("name", Merge::KeepExisting),
            &["written"; 2],
            &[
                (
                    "GET $1",
                    r#"{"big":12345678901234567890,"name":"old","none":[],"in":{"name":[1,"}"]},"hits":5}"#,
                ),
                ("GET $2", NEW),
            ],
            false,
        ),
        Case {
            before: &["SET $1 [1]"],
            ..case(
                "Update of no object",
                |s| users(s).on_conflict(Update),
                &["data", "written"],
                &[("GET $1", "[1]"), ("GET $2", NEW)],
                false,
            )
        },
        Case {
            rows: |schema| {
                let row = |id: i64, name: Value| schema.row((id, name, 5_i64)).unwrap();
                vec![
                    row(1, Value::Json("{\"a\": [1, 2.50]}".into())),
                    row(2, Value::Json("{".into())),
                    row(3, Value::Bytes([1].into())),
                    row(4, Value::Array([int(1), "a".into(), Value::Null].into())),
                ]
            },
            ..case(
                "values",
                |s| users(s).on_conflict(Replace),
                &["written", "data", "data", "written"],
                &[
                    ("GET $1", r#"{"name":{"a": [1, 2.50]},"hits":5}"#),
                    ("GET $4", r#"{"name":[1,"a",null],"hits":5}"#),
                ],
                true,
            )
        },
    ])
    .await;
}
