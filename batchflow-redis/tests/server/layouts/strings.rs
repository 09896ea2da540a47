//! Strings, by every strategy, with and without a time to live.
#![allow(clippy::too_many_lines, reason = "a table of cases")]

use std::time::Duration;

use batchflow_redis::{ConflictStrategy, Layout, Merge, Request, Schema, Value};

use super::{Case, pairs, run};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_strings_by_every_strategy() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let two: fn(&Schema) -> Vec<Request> =
        |schema| [1_i64, 2].map(|id| schema.row((id, 5_i64)).unwrap()).into();
    let minute: fn(&str) -> Layout = |prefix| Layout::string(prefix).ttl(Duration::from_secs(60));
    let before = &["SET $1 7 EX 1000"];
    let seven_five = &[("MGET $1 $2", "7 5"), ("TTL $1", "1000")];
    let five_five = &[("MGET $1 $2", "5 5"), ("TTL $1", "-1")];
    let case = |what, schema, verdicts, after| Case {
        what,
        layout: |prefix| Layout::string(prefix),
        schema,
        before,
        rows: two,
        verdicts,
        after,
        plain: true,
    };
    run(&[
        case("Fail", |s| pairs(s).on_conflict(Fail), &["duplicate_key", "written"], seven_five),
        case("Ignore", |s| pairs(s).on_conflict(Ignore), &["written"; 2], seven_five),
        case("Replace", |s| pairs(s).on_conflict(Replace), &["written"; 2], five_five),
        case("Update", |s| pairs(s).on_conflict(Update), &["written"; 2], five_five),
        case(
            "Add",
            |s| pairs(s).on_conflict(Update).merge("value", Merge::Add),
            &["written"; 2],
            &[("MGET $1 $2", "12 5"), ("TTL $1", "1000")],
        ),
        Case {
            before: &["SET $1 2.5"],
            ..case(
                "Add to a float",
                |s| pairs(s).on_conflict(Update).merge("value", Merge::Add),
                &["written"; 2],
                &[("MGET $1 $2", "7.5 5")],
            )
        },
        Case {
            before: &["SET $1 x"],
            ..case(
                "Add to what is no number",
                |s| pairs(s).on_conflict(Update).merge("value", Merge::Add),
                &["data", "written"],
                &[("MGET $1 $2", "x 5")],
            )
        },
        Case {
            before: &["SET $1 123456789012345678901234"],
            ..case(
                "Add to an integer beyond 64 bits",
                |s| pairs(s).on_conflict(Update).merge("value", Merge::Add),
                &["data", "written"],
                &[("MGET $1 $2", "123456789012345678901234 5")],
            )
        },
        Case {
            before: &["SET $1 7"],
            rows: |schema| {
                let texts = ["007", "-0", "1e2", "123456789012345678901234", "0.50"];
                let row = |(id, text): (i64, &str)| {
                    schema.row((id, Value::Decimal(text.into()))).unwrap()
                };
                (1..).zip(texts).map(row).collect()
            },
            ..case(
                "Add of decimals",
                |s| pairs(s).on_conflict(Update).merge("value", Merge::Add),
                &["written", "written", "written", "data", "written"],
                &[("GET $1", "14"), ("GET $2", "0"), ("GET $3", "100"), ("GET $5", "0.5")],
            )
        },
        case(
            "KeepExisting",
            |s| pairs(s).on_conflict(Update).merge("value", Merge::KeepExisting),
            &["written"; 2],
            seven_five,
        ),
        Case {
            plain: false,
            ..case(
                "Max",
                |s| pairs(s).on_conflict(Update).merge("value", Merge::Max),
                &["written"; 2],
                seven_five,
            )
        },
        Case {
            plain: false,
            ..case(
                "Min",
                |s| pairs(s).on_conflict(Update).merge("value", Merge::Min),
                &["written"; 2],
                five_five,
            )
        },
        Case {
            layout: minute,
            ..case(
                "Replace with a time to live",
                |s| pairs(s).on_conflict(Replace),
                &["written"; 2],
                &[("MGET $1 $2", "5 5"), ("TTL $1", "60"), ("TTL $2", "60")],
            )
        },
        Case {
            layout: minute,
            ..case(
                "Fail with a time to live",
                |s| pairs(s).on_conflict(Fail),
                &["duplicate_key", "written"],
                &[("MGET $1 $2", "7 5"), ("TTL $1", "1000"), ("TTL $2", "60")],
            )
        },
        Case {
            before: &["LPUSH $1 x"],
            ..case(
                "Replace of another type",
                |s| pairs(s).on_conflict(Replace),
                &["written"; 2],
                &[("MGET $1 $2", "5 5")],
            )
        },
        Case {
            what: "a time to live by column",
            layout: |prefix| Layout::string(prefix).ttl_column("ttl"),
            schema: |s| s.columns(["id", "value", "ttl"]).key(["id"]).on_conflict(Replace),
            before,
            rows: |schema| {
                vec![
                    schema.row((1_i64, "a", 60_i64)).unwrap(),
                    schema.row((2_i64, "b", Value::Null)).unwrap(),
                    schema.row((3_i64, "c", 0_i64)).unwrap(),
                    schema.row((4_i64, "d", "soon")).unwrap(),
                ]
            },
            verdicts: &["written", "written", "data", "data"],
            after: &[("MGET $1 $2 $3 $4", "a b - -"), ("TTL $1", "60"), ("TTL $2", "-1")],
            plain: true,
        },
        Case {
            what: "NULL",
            rows: |schema| {
                vec![schema.row((1_i64, Value::Null)).unwrap(), schema.row((2_i64, 5_i64)).unwrap()]
            },
            ..case("", |s| pairs(s).on_conflict(Replace), &["data", "written"], seven_five)
        },
    ])
    .await;
}
