//! Each command gets its own verdict.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::Probe;
use batchflow_redis::dead_letter::channel;
use batchflow_redis::{
    BatchFlow, ConflictStrategy, Driver, ErrorKind, Layout, RedisDriver, Schema,
};

use crate::support::{Direct, by_user, fresh, url, write};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_4_ten_wrong_types_among_a_thousand_harm_no_other_row() {
    for scripts in [true, false] {
        let table = fresh("wrong");
        let mut direct = Direct::connect(&url()).await;
        for at in 0..10 {
            direct.ask(&format!("SET {table}:{} x", at * 97)).await;
        }
        let driver = RedisDriver::connect(&url()).await.unwrap();
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
    let driver = RedisDriver::connect(&url()).await.unwrap();
    let schema = Schema::new(&table, ConflictStrategy::Update, ["id", "name"]).unwrap();
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
    let schema = |table: &str| Schema::new(table, ConflictStrategy::Update, ["id", "n"]).unwrap();
    let rows = |schema: &Schema| (0..10_i64).map(|id| schema.row((id, 1_i64)).unwrap()).collect();

    direct.ask(&format!("ACL SETUSER {user} on >secret-canary ~* +@all -@scripting")).await;
    let driver = RedisDriver::connect(&own).await.unwrap();
    let table = fresh("acl");
    let verdicts = write(&driver, rows(&schema(&table))).await;
    assert!(verdicts[0].contains("permission"), "{}", verdicts[0]);
    assert!(verdicts[0].contains("without_scripts()"), "{}", verdicts[0]);
    let driver = driver.without_scripts();
    assert_eq!(write(&driver, rows(&schema(&table))).await, vec!["written"; 10]);

    direct.ask(&format!("ACL SETUSER {user} -hset")).await;
    let verdicts = write(&driver, rows(&schema(&table))).await;
    assert!(verdicts[0].contains("permission") && verdicts[0].contains("NOPERM"), "{verdicts:?}");

    direct.ask(&format!("ACL SETUSER {user} +@all -client")).await;
    let driver = RedisDriver::connect(&own).await.unwrap();
    assert_eq!(write(&driver, rows(&schema(&table))).await, vec!["written"; 10]);

    direct.ask(&format!("ACL DELUSER {user}")).await;
    let error = RedisDriver::connect(&own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let shown = format!("{error} {error:?} {driver:?}");
    assert!(!shown.contains("secret-canary"), "promise 10: {shown}");
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn what_cannot_be_reached_is_said() {
    for (url, kind) in [
        ("redis://127.0.0.1:1", ErrorKind::Connection),
        ("redis://app:secret-canary@127.0.0.1:1/0", ErrorKind::Connection),
        ("http://app:secret-canary@127.0.0.1", ErrorKind::Unsupported),
        ("redis-cluster://app:secret-canary@127.0.0.1:1", ErrorKind::Unsupported),
    ] {
        let error = RedisDriver::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!format!("{error} {error:?}").contains("secret-canary"), "{error}");
    }
    let base = url();
    let (server, _) = base.rsplit_once('/').unwrap();
    let error = RedisDriver::connect(&format!("{server}/99")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_layout_that_does_not_fit_its_schema_is_refused_by_name() {
    use ConflictStrategy::{Fail, Ignore, Update};
    let build = |columns: &[&str], key: &[&str], strategy| {
        Schema::builder("t")
            .columns(columns.iter().copied())
            .key(key.iter().copied())
            .on_conflict(strategy)
            .build()
            .unwrap()
    };
    let add = Schema::builder("t").columns(["id", "n"]).key(["id"]).on_conflict(Update);
    let add = add.merge("n", batchflow_redis::Merge::Add).build().unwrap();
    let cases = [
        (Layout::hash("h:"), build(&["a"], &[], Fail), "needs a schema with a key"),
        (Layout::hash("h:"), build(&["a"], &["a"], Ignore), "a column that is not of the key"),
        (Layout::string("s:"), build(&["a", "b", "c"], &["a"], Ignore), "one column, and no more"),
        (Layout::stream("s:"), build(&["a", "b"], &["a"], Ignore), "appends"),
        (Layout::list(""), build(&["a"], &[], Fail), "needs a name"),
        (Layout::set("s:"), build(&["a", "b"], &["a"], Ignore), "column b: the set layout"),
        (Layout::json("j:"), add, "column n: the JSON layout merges"),
        (Layout::command(), build(&["a", "b"], &["a"], Ignore), "`Fail` and `Replace`"),
        (Layout::hash("h:").max_len(5), build(&["a", "b"], &["a"], Ignore), "no length"),
        (Layout::list("l").ttl(Duration::ZERO), build(&["a"], &[], Fail), "a millisecond"),
        (Layout::string("s").ttl_column("x"), build(&["a", "b"], &["a"], Ignore), "column x"),
        (Layout::list("l").key_fields(), build(&["a"], &[], Fail), "no fields"),
    ];
    for (layout, schema, why) in cases {
        let driver = RedisDriver::connect(&url()).await.unwrap().layout("t", layout);
        let error = driver.describe(&schema).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
        assert!(error.to_string().contains(why), "{error} lacks {why}");
        assert!(error.to_string().contains("describing t"), "{error}");
    }
}
