//! What every server does alike, and every cluster.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::Probe;
use batchflow_redis::dead_letter::channel;
use batchflow_redis::{BatchFlow, ConflictStrategy, ErrorKind, Layout, Schema};

use crate::support::{Direct, by_user, connect, fresh, url, write};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_4_ten_wrong_types_among_a_thousand_harm_no_other_row() {
    for scripts in [true, false] {
        let table = fresh("wrong");
        let mut direct = Direct::connect(&url()).await;
        for at in 0..10 {
            direct.ask(&format!("SET {table}:{} x", at * 97)).await;
        }
        let driver = connect(&url()).await.unwrap();
        let driver = driver.layout(&table, Layout::list(format!("{table}:")));
        let driver = if scripts { driver } else { driver.without_scripts() };
        let driver = Arc::new(Probe::new(driver));
        let (sink, mut letters) = channel(100);
        let flow = BatchFlow::builder(Arc::clone(&driver))
            .flush_size(1_000)
            .flush_interval(Duration::from_secs(60))
            .dead_letters(sink)
            .build()
            .unwrap();
        let schema = Schema::builder(&table).columns(["id", "value"]).key(["id"]).build().unwrap();
        for id in 0..1_000_i64 {
            flow.submit(schema.row((id, "once")).unwrap()).await.unwrap();
        }
        let summary = flow.close().await.unwrap();
        assert_eq!((summary.stats.written, summary.stats.rejected), (990, 10));
        assert_eq!(driver.attempts(), 1, "each verdict is final at once");
        assert_eq!(driver.violations(), Vec::<String>::new());
        let mut refused = Vec::new();
        while let Some(letter) = letters.try_recv() {
            let error = letter.error().error();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Data, Some("WRONGTYPE")));
            refused.push(letter.request().get::<i64>("id").unwrap().unwrap());
        }
        refused.sort_unstable();
        assert_eq!(refused, (0..10).map(|at| at * 97).collect::<Vec<i64>>());
        for id in 0..1_000 {
            let length = match direct.try_ask(&format!("LLEN {table}:{id}")).await {
                Ok(length) => length,
                Err(_) => "none".to_owned(),
            };
            let expected = if id % 97 == 0 && id < 970 { "none" } else { "1" };
            assert_eq!(length, expected, "{id}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_script_that_the_server_has_forgotten_is_loaded_again() {
    let table = fresh("forgotten");
    let driver = connect(&url()).await.unwrap();
    let schema = Schema::new(&table, ConflictStrategy::Replace, ["id", "name"]).unwrap();
    let rows = |from: i64| (from..from + 600).map(|id| schema.row((id, "x")).unwrap()).collect();
    let mut direct = Direct::connect(&url()).await;
    for round in 0..3 {
        let verdicts = write(&driver, rows(round * 600)).await;
        assert_eq!(verdicts, vec!["written"; 600]);
        direct.ask("SCRIPT FLUSH").await;
    }
    assert_eq!(direct.keys(&format!("{table}:")).await.len(), 1_800);
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn what_a_user_may_not_do_is_said() {
    let user = fresh("user");
    let mut direct = Direct::connect(&url()).await;
    let own = by_user(&url(), &user, "secret-canary");
    // What takes a script, whoever sends it, where there may be any.
    let schema = |table: &str| Schema::new(table, ConflictStrategy::Replace, ["id", "n"]).unwrap();
    let rows = |schema: &Schema| (0..10_i64).map(|id| schema.row((id, 1_i64)).unwrap()).collect();

    direct.ask(&format!("ACL SETUSER {user} on >secret-canary ~* +@all -@scripting")).await;
    let driver = connect(&own).await.unwrap();
    let table = fresh("acl");
    let verdicts = write(&driver, rows(&schema(&table))).await;
    assert!(verdicts[0].contains("permission"), "{}", verdicts[0]);
    assert!(verdicts[0].contains("without_scripts()"), "{}", verdicts[0]);
    let driver = driver.without_scripts();
    assert_eq!(write(&driver, rows(&schema(&table))).await, vec!["written"; 10]);

    direct.ask(&format!("ACL SETUSER {user} -hset")).await;
    let verdicts = write(&driver, rows(&schema(&table))).await;
    assert!(verdicts[0].contains("permission") && verdicts[0].contains("NOPERM"), "{verdicts:?}");

    let driver = connect(&own).await.unwrap();
    direct.ask(&format!("ACL SETUSER {user} +@scripting")).await;
    let verdicts = write(&driver, rows(&schema(&table))).await;
    assert!(verdicts[0].starts_with("not applied: permission"), "by a script: {verdicts:?}");

    direct.ask(&format!("ACL SETUSER {user} +@all -client")).await;
    let driver = connect(&own).await.unwrap();
    assert_eq!(write(&driver, rows(&schema(&table))).await, vec!["written"; 10]);

    // What follows the command that writes is not passed over.
    direct.ask(&format!("ACL SETUSER {user} +@all -pexpire -hlen -hkeys")).await;
    for lifetime in [None, Some(Duration::from_secs(60))] {
        for strategy in [ConflictStrategy::Replace, ConflictStrategy::Ignore] {
            if lifetime.is_none() && strategy == ConflictStrategy::Ignore {
                continue;
            }
            let table = fresh("late");
            let layout = Layout::hash(format!("{table}:"));
            let layout = lifetime.map_or(layout.clone(), |lifetime| layout.ttl(lifetime));
            let driver = connect(&own).await.unwrap().layout(&table, layout);
            let schema = Schema::new(&*table, strategy, ["id", "n"]).unwrap();
            let verdicts = write(&driver, rows(&schema)).await;
            let told = verdicts.iter().all(|verdict| verdict.starts_with("unknown: permission"));
            assert!(told, "{lifetime:?}, {strategy:?}: {verdicts:?}");
        }
    }

    direct.ask(&format!("ACL DELUSER {user}")).await;
    let error = connect(&own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let shown = format!("{error} {error:?} {driver:?}");
    assert!(!shown.contains("secret-canary"), "promise 10: {shown}");
}
