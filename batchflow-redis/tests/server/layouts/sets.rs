//! Sets and sorted sets, by every strategy.
#![allow(clippy::too_many_lines, reason = "a table of cases")]

use batchflow_redis::{ConflictStrategy, Layout, Merge, Request, Schema, Value};

use super::{Case, members, run, scores};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_sets_and_sorted_sets_by_every_strategy() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let set: fn(&str) -> Layout = |prefix| Layout::set(prefix);
    let sorted: fn(&str) -> Layout = |prefix| Layout::sorted_set(prefix);
    let two: fn(&Schema) -> Vec<Request> =
        |schema| ["a", "b"].map(|member| schema.row((1_i64, member)).unwrap()).into();
    let scored: fn(&Schema) -> Vec<Request> =
        |schema| ["a", "b"].map(|member| schema.row((1_i64, member, 5_i64)).unwrap()).into();
    let case = |what, layout, schema, rows, verdicts, after| Case {
        what,
        layout,
        schema,
        before: if what == "WRONGTYPE" { &["SET $1 x"] } else { &[] },
        rows,
        verdicts,
        after,
        plain: true,
    };
    let with = |before, case| Case { before, ..case };
    let both = &[("SMISMEMBER $1 a b", "1 1"), ("SCARD $1", "2")];
    run(&[
        with(
            &["SADD $1 a"],
            case(
                "Fail",
                set,
                |s| members(s).on_conflict(Fail),
                two,
                &["duplicate_key", "written"],
                both,
            ),
        ),
        with(
            &["SADD $1 a"],
            case("Ignore", set, |s| members(s).on_conflict(Ignore), two, &["written"; 2], both),
        ),
        case(
            "WRONGTYPE",
            set,
            |s| members(s).on_conflict(Ignore),
            two,
            &["data", "data"],
            &[("GET $1", "x")],
        ),
        with(
            &["ZADD $1 7 a"],
            case(
                "Fail",
                sorted,
                |s| scores(s).on_conflict(Fail),
                scored,
                &["duplicate_key", "written"],
                &[("ZMSCORE $1 a b", "7 5")],
            ),
        ),
        with(
            &["ZADD $1 7 a"],
            case(
                "Ignore",
                sorted,
                |s| scores(s).on_conflict(Ignore),
                scored,
                &["written"; 2],
                &[("ZMSCORE $1 a b", "7 5")],
            ),
        ),
        with(
            &["ZADD $1 7 a"],
            case(
                "Replace",
                sorted,
                |s| scores(s).on_conflict(Replace),
                scored,
                &["written"; 2],
                &[("ZMSCORE $1 a b", "5 5")],
            ),
        ),
        with(
            &["ZADD $1 7 a"],
            case(
                "Add",
                sorted,
                |s| scores(s).on_conflict(Update).merge("score", Merge::Add),
                scored,
                &["written"; 2],
                &[("ZMSCORE $1 a b", "12 5")],
            ),
        ),
        with(
            &["ZADD $1 7 a 3 b"],
            case(
                "Max",
                sorted,
                |s| scores(s).on_conflict(Update).merge("score", Merge::Max),
                scored,
                &["written"; 2],
                &[("ZMSCORE $1 a b", "7 5")],
            ),
        ),
        with(
            &["ZADD $1 7 a 3 b"],
            case(
                "Min",
                sorted,
                |s| scores(s).on_conflict(Update).merge("score", Merge::Min),
                scored,
                &["written"; 2],
                &[("ZMSCORE $1 a b", "5 3")],
            ),
        ),
        Case {
            rows: |schema| {
                let row = |member: &str, score: Value| schema.row((1_i64, member, score)).unwrap();
                vec![
                    row("a", Value::I64(1 << 60)),
                    row("b", f64::NAN.into()),
                    row("c", f64::INFINITY.into()),
                    row("d", "1".into()),
                ]
            },
            ..case(
                "scores",
                sorted,
                |s| scores(s).on_conflict(Replace),
                scored,
                &["data", "data", "written", "data"],
                &[("ZRANGE $1 0 -1 WITHSCORES", "c inf")],
            )
        },
    ])
    .await;
}
