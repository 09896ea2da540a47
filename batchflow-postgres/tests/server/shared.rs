//! The server that the tests share is what the tests are told it is.

use crate::support::{connect, is_pooled, rows, try_connect, url};

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn it_answers_and_is_pooled_where_it_is_said_to_be() {
    assert_eq!(rows(&connect(&url()).await, "SELECT 1").await, ["1"]);
    // A pooler has a database that no server has.
    let (server, _) = url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(try_connect(&format!("{server}/pgbouncer")).await.is_ok(), is_pooled());
}
