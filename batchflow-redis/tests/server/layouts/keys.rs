//! What keys look like.

use batchflow_redis::{ConflictStrategy, Layout, Schema};

use crate::support::{Direct, connect, fresh, url, write};

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn keys_of_several_columns_never_become_one() {
    let table = fresh("keys");
    let driver = connect(&url()).await.unwrap();
    let driver = driver.layout(&table, Layout::string(format!("{table}/")));
    let schema = Schema::builder(&table).columns(["a", "b", "v"]).key(["a", "b"]);
    let schema = schema.on_conflict(ConflictStrategy::Fail).build().unwrap();
    let keys = [("a:b", "c"), ("a", "b:c"), ("a\\", ":c"), ("a\\:b", "c"), ("", "a:b:c")];
    let row = |(a, b)| schema.row((a, b, "v")).unwrap();
    assert_eq!(write(&driver, keys.map(row).into()).await, ["written"; 5]);
    let mut direct = Direct::connect(&url()).await;
    let found = direct.keys(&format!("{table}/")).await;
    let found: Vec<_> = found.iter().map(|key| String::from_utf8_lossy(key)).collect();
    let own = |key: &str| format!("{table}/{key}");
    let mut expected = [r"a\:b:c", "a:b:c", r"a\\::c", r"a\\\:b:c", ":a:b:c"].map(own);
    expected.sort();
    assert_eq!(found, expected);
}
