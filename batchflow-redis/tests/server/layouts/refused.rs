//! Rows that are refused leave what is there alone.

use std::time::Duration;

use batchflow_redis::{
    Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Layout, Request, Schema, Value, Verdict,
};

use super::{Case, How, run};
use crate::support::{Direct, connect, fresh, is_cluster, url, write};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_4_a_row_without_its_value_is_refused_and_writes_no_other_key() {
    use ConflictStrategy::{Fail, Replace, Update};
    type Make = fn(&str) -> Layout;
    let string: Make = |prefix| Layout::string(prefix);
    let expiring: Make = |prefix| Layout::string(prefix).ttl(Duration::from_secs(60));
    let list: Make = |prefix| Layout::list(prefix);
    let sorted: Make = |prefix| Layout::sorted_set(prefix);
    let one = (&["id", "value"][..], &["id"][..]);
    let two = (&["id", "member", "value"][..], &["id", "member"][..]);
    let mut direct = Direct::connect(&url()).await;
    for (layout, (columns, key), strategy) in [
        (string, one, Replace),
        (string, one, Update),
        (expiring, one, Replace),
        (list, one, Fail),
        (sorted, two, Replace),
        (sorted, two, Update),
    ] {
        for (rows, scripts) in [(2, true), (5, true), (2, false), (5, false), (300, true)] {
            let table = fresh("unset");
            let prefix = format!("{table}:");
            let driver = connect(&url()).await.unwrap();
            let driver = driver.layout(&table, layout(&prefix));
            let driver = if scripts { driver } else { driver.without_scripts() };
            let schema = Schema::builder(&table).columns(columns.iter().copied());
            let schema = schema.key(key.iter().copied()).on_conflict(strategy).build().unwrap();
            let row = |id: i64| {
                let row = Request::new(&schema).set("id", id);
                if key.len() == 2 { row.set("member", "m") } else { row }
            };
            let batch = Batch::from_requests((0..rows).map(row).collect()).unwrap();
            let report = driver.write(batch, &Attempt::new()).await.unwrap();
            for verdict in report.into_verdicts(rows as usize) {
                let Verdict::Rejected(error) = verdict else { panic!("{schema:?}: {verdict:?}") };
                assert_eq!(error.kind(), ErrorKind::Data, "{error}");
                assert_eq!(error.column(), Some("value"), "{error}");
            }
            let found = direct.keys(&prefix).await;
            assert!(found.is_empty(), "promise 4: {schema:?}, {rows}: {found:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_4_a_refused_row_leaves_the_time_to_live_of_what_is_there() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    type Make = fn(&str) -> Layout;
    let minute = Duration::from_secs(60);
    let layouts: [(Make, _, _); 5] = [
        (|prefix| Layout::list(prefix), Fail, "WRONGTYPE"),
        (|prefix| Layout::stream(prefix), Fail, "WRONGTYPE"),
        (|prefix| Layout::hash(prefix), Update, "WRONGTYPE"),
        (|prefix| Layout::set(prefix), Ignore, "WRONGTYPE"),
        (|prefix| Layout::sorted_set(prefix), Replace, "WRONGTYPE"),
    ];
    let mut direct = Direct::connect(&url()).await;
    for (layout, strategy, code) in layouts {
        let is_set = matches!(strategy, Ignore | Replace);
        for how in [How::Few, How::Many, How::Plain] {
            let table = fresh("foreign");
            let prefix = format!("{table}:");
            direct.ask(&format!("SET {prefix}1 x EX 1000")).await;
            let driver = connect(&url()).await.unwrap();
            let driver = driver.layout(&table, layout(&prefix).ttl(minute));
            let schema = Schema::builder(&table).on_conflict(strategy);
            let schema = match strategy {
                Ignore => schema.columns(["id", "m"]).key(["id", "m"]),
                Replace => schema.columns(["id", "m", "score"]).key(["id", "m"]),
                _ => schema.columns(["id", "m"]).key(["id"]),
            };
            let schema = schema.build().unwrap();
            if how == How::Plain {
                let error = driver.without_scripts().describe(&schema).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                assert!(error.to_string().contains("time to live"), "{error}");
                continue;
            }
            let row = |id: i64| {
                let row = Request::new(&schema).set("id", id).set("m", "x");
                if strategy == Replace { row.set("score", 1_i64) } else { row }
            };
            let rows = if how == How::Few { 1..=2 } else { 1..=20 };
            let verdicts = write(&driver, rows.map(row).collect()).await;
            assert_eq!(verdicts[..2], ["data", "written"], "{schema:?}, {how:?}, {code}");
            let ttl: i64 = direct.ask(&format!("TTL {prefix}1")).await.parse().unwrap();
            assert!(ttl > 900, "promise 4: {schema:?}, {how:?}: {ttl}, set {is_set}");
            assert_eq!(direct.ask(&format!("TTL {prefix}2")).await, "60", "{schema:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_5_a_replaced_hash_without_a_time_to_live_of_its_own_has_none() {
    run(&[Case {
        what: "Replace with a time to live that is NULL",
        layout: |prefix| Layout::hash(prefix).ttl_column("ttl"),
        schema: |schema| {
            let schema = schema.columns(["id", "name", "ttl"]).key(["id"]);
            schema.on_conflict(ConflictStrategy::Replace)
        },
        before: &["HSET $1 name old", "EXPIRE $1 1000", "HSET $2 name old", "EXPIRE $2 1000"],
        rows: |schema| {
            let row = |id: i64, ttl: Value| schema.row((id, "new", ttl)).unwrap();
            vec![row(1, Value::Null), row(2, 60_i64.into())]
        },
        verdicts: &["written"; 2],
        after: &[("TTL $1", "-1"), ("TTL $2", "60"), ("HGET $1 name", "new")],
        plain: true,
    }])
    .await;
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_4_a_word_that_is_no_text_harms_no_other_command() {
    for scripts in [true, false] {
        let table = fresh("binary");
        let driver = connect(&url()).await.unwrap().layout(&table, Layout::command());
        let driver = if scripts { driver } else { driver.without_scripts() };
        let schema = Schema::builder(&table).columns(["command", "key", "value"]).build().unwrap();
        let row = |command: &str, key: &str, value: &[u8]| {
            schema.row((command, format!("{table}:{key}"), value.to_vec())).unwrap()
        };
        let rows = vec![
            row("SET", "1", b"one"),
            row("NOSUCH", "2", b"\xff\xfe"),
            row("SET", "3", b"\xff\xfe"),
            row("SET", "4", b"four"),
        ];
        let verdicts = write(&driver, rows).await;
        // On a cluster commands go alone.
        let third = if scripts && !is_cluster(&url()) { "written" } else { "data" };
        assert_eq!(verdicts, ["written", "data", third, "written"], "scripts {scripts}");
        let mut direct = Direct::connect(&url()).await;
        let found = direct.ask(&format!("MGET {table}:1 {table}:2 {table}:4")).await;
        assert_eq!(found, "one - four", "scripts {scripts}");
    }
}
