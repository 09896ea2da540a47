//! That tests do not meet on the server that they share.

use crate::support::{Database, fresh, rows};

#[test]
fn each_test_has_names_of_its_own() {
    assert_ne!(fresh("t"), fresh("t"));
    // A server may outlive the run that made a table, and process ids come round again.
    assert!(fresh("t").contains(&std::process::id().to_string()));
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_test_s_database_goes_with_it_though_it_is_in_use() {
    let kept = Database::new("kept").await;
    let gone = Database::new("gone").await;
    gone.execute("CREATE TABLE t (a INT PRIMARY KEY) ENGINE=InnoDB").await;
    let mut user = gone.connect().await;
    rows(&mut user, "BEGIN").await;
    assert_eq!(rows(&mut user, "SELECT COUNT(*), NULL FROM t").await, ["0|NULL"]);
    let name = gone.name().to_owned();
    drop(gone);

    let found = kept.rows(&format!("SHOW DATABASES LIKE '{name}'")).await;
    assert_eq!(found, [""; 0]);
}
