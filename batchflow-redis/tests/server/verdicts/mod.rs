//! Each command gets its own verdict.

mod shared;

use std::time::Duration;

use batchflow_redis::{ConflictStrategy, Driver, ErrorKind, Layout, Schema};

use crate::support::{connect, url};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn what_cannot_be_reached_is_said() {
    for (url, kind) in [
        ("redis://127.0.0.1:1", ErrorKind::Connection),
        ("redis://app:secret-canary@127.0.0.1:1/0", ErrorKind::Connection),
        ("http://app:secret-canary@127.0.0.1", ErrorKind::Unsupported),
        ("redis-cluster://app:secret-canary@127.0.0.1:1", ErrorKind::Connection),
    ] {
        let error = connect(url).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!format!("{error} {error:?}").contains("secret-canary"), "{error}");
    }
    let base = url();
    let (server, _) = base.rsplit_once('/').unwrap();
    let error = connect(&format!("{server}/99")).await.unwrap_err();
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
        let driver = connect(&url()).await.unwrap().layout("t", layout);
        let error = driver.describe(&schema).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
        assert!(error.to_string().contains(why), "{error} lacks {why}");
        assert!(error.to_string().contains("describing t"), "{error}");
    }
}
