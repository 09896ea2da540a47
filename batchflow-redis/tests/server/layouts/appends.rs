//! Streams and lists.

use std::time::Duration;

use batchflow_redis::{BatchFlow, ConflictStrategy, Driver, Layout, Request, Schema, Value};

use crate::support::{Direct, connect, fresh, url, write};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_3_streams_and_lists_append_in_order() {
    use ConflictStrategy::Fail;
    let table = fresh("append");
    let many = |schema: &Schema, key: bool| -> Vec<Request> {
        let row = |n: i64| {
            let row = Request::new(schema).set("n", n);
            if key { row.set("id", n % 3) } else { row }
        };
        (0..1_000).map(row).collect()
    };
    let mut direct = Direct::connect(&url()).await;
    for scripts in [true, false] {
        for key in [true, false] {
            let (stream, list) = (fresh("stream"), fresh("list"));
            let driver = connect(&url()).await.unwrap();
            let driver = if scripts { driver } else { driver.without_scripts() };
            let ttl = Duration::from_secs(50);
            let (as_stream, as_list) = (Layout::stream(&stream), Layout::list(&list));
            let driver = if scripts {
                driver.layout(&stream, as_stream.ttl(ttl)).layout(&list, as_list.ttl(ttl))
            } else {
                driver.layout(&stream, as_stream).layout(&list, as_list)
            };
            let lives = if scripts { "50" } else { "-1" };
            for (name, range) in [(&stream, "XRANGE"), (&list, "LRANGE")] {
                let schema = Schema::builder(name).on_conflict(Fail);
                let schema = if key {
                    schema.columns(["id", "n"]).key(["id"])
                } else {
                    schema.columns(["n"])
                };
                let schema = schema.build().unwrap();
                driver.describe(&schema).await.unwrap();
                let verdicts = write(&driver, many(&schema, key)).await;
                assert_eq!(verdicts, vec!["written"; 1_000]);
                for id in 0..if key { 3 } else { 1 } {
                    let whole = if key { format!("{name}{id}") } else { name.clone() };
                    let ends = if range == "XRANGE" { "- +" } else { "0 -1" };
                    let found = direct.ask(&format!("{range} {whole} {ends}")).await;
                    let found: Vec<i64> = found
                        .split(' ')
                        .filter(|word| *word != "n" && !word.contains('-'))
                        .map(|word| word.parse().unwrap())
                        .collect();
                    let expected: Vec<i64> = (0..1_000).filter(|n| !key || n % 3 == id).collect();
                    assert_eq!(found, expected, "{range}, scripts {scripts}, key {key}");
                    assert_eq!(direct.ask(&format!("TTL {whole}")).await, lives);
                }
            }
        }
    }
    let driver = connect(&url()).await.unwrap();
    let driver = driver.layout(&table, Layout::stream(&table).max_len(100));
    let schema = Schema::builder(&table).columns(["n", "m"]).build().unwrap();
    let rows = (0..1_000_i64).map(|n| schema.row((n, Value::Null)).unwrap()).collect();
    assert_eq!(write(&driver, rows).await, vec!["written"; 1_000]);
    let kept: i64 = direct.ask(&format!("XLEN {table}")).await.parse().unwrap();
    assert!((100..300).contains(&kept), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_3_rows_without_a_key_are_appended_in_order_whatever_the_concurrency() {
    for scripts in [true, false] {
        let (list, queue) = (fresh("list"), fresh("queue"));
        let driver = connect(&url()).await.unwrap();
        let driver = if scripts { driver } else { driver.without_scripts() };
        let driver = driver.layout(&list, Layout::list(&list)).layout(&queue, Layout::command());
        let flow = BatchFlow::builder(driver).flush_size(20).concurrency(8).build().unwrap();
        let rows = Schema::builder(&list).columns(["n"]).build().unwrap();
        let commands = Schema::builder(&queue).columns(["command", "key", "n"]).build().unwrap();
        for n in 0..3_000_i64 {
            flow.submit(rows.row((n,)).unwrap()).await.unwrap();
            flow.submit(commands.row(("RPUSH", &*queue, n)).unwrap()).await.unwrap();
        }
        assert!(flow.close().await.unwrap().all_written());
        let mut direct = Direct::connect(&url()).await;
        let expected: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
        for key in [list, queue] {
            let found = direct.ask(&format!("LRANGE {key} 0 -1")).await;
            let found: Vec<&str> = found.split(' ').collect();
            assert_eq!(found, expected, "promise 3: scripts {scripts}");
            direct.ask(&format!("DEL {key}")).await;
        }
    }
}
