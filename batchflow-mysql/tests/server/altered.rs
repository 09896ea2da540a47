//! Tables that are altered while they are written.

use std::time::Duration;

use batchflow_mysql::{
    Attempt, Batch, ConflictStrategy, Driver as _, ErrorKind, MysqlDriver, Schema, WriteError,
};
use tokio::time::sleep;

use crate::support::Database;

struct Place {
    database: Database,
    driver: MysqlDriver,
    schema: Schema,
}

impl Place {
    async fn new(columns: &str) -> Self {
        let database = Database::new("altered").await;
        database.execute(&format!("CREATE TABLE t ({columns}) ENGINE=InnoDB")).await;
        let driver = MysqlDriver::connect(database.url()).await.unwrap();
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "name"]).unwrap();
        Self { database, driver, schema }
    }

    async fn write(&self, id: i32, name: &str) -> Result<(), WriteError> {
        let rows = vec![self.schema.row((id, name)).unwrap()];
        let batch = Batch::from_requests(rows).unwrap();
        self.driver.write(batch, &Attempt::new()).await.map(|_| ())
    }

    async fn rows(&self) -> Vec<String> {
        self.database.rows("SELECT id, name FROM t ORDER BY id").await
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_unique_key_that_came_later_is_heeded() {
    let place = Place::new("id INT PRIMARY KEY, name VARCHAR(10)").await;
    place.write(1, "Ada").await.unwrap();
    place.write(2, "Bob").await.unwrap();
    place.database.execute("ALTER TABLE t ADD UNIQUE KEY (name)").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let error = place.write(3, "Bob").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DuplicateKey, "{error}");
    assert_eq!(place.rows().await, ["1|Ada", "2|Bob"], "promise 5: no other row was updated");
    place.driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_column_that_was_widened_takes_what_it_would_not() {
    let place = Place::new("id INT PRIMARY KEY, name VARCHAR(3)").await;
    place.write(1, "Ada").await.unwrap();
    let error = place.write(2, "Grace").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    place.database.execute("ALTER TABLE t MODIFY name VARCHAR(10)").await;
    sleep(Duration::from_millis(1_050)).await;
    place.write(2, "Grace").await.unwrap();
    // Keys compare otherwise from now on, which core has to know.
    let other = "ALTER TABLE t MODIFY name VARCHAR(20) COLLATE utf8mb4_bin";
    let known = place.driver.describe(&place.schema).await.unwrap().fingerprint();
    place.database.execute(other).await;
    sleep(Duration::from_millis(1_050)).await;
    let attempt = Attempt::new();
    let rows = vec![place.schema.row((4, "Grace Hopper")).unwrap()];
    let batch = Batch::from_requests(rows).unwrap();
    place.driver.write(batch, &attempt).await.unwrap();
    let described = place.driver.describe(&place.schema).await.unwrap().fingerprint();
    assert_ne!(known, described);
    assert_eq!(attempt.table(), Some(described));
    place.database.execute("ALTER TABLE t MODIFY id BIGINT, MODIFY name TEXT").await;
    place.write(3, "Edith").await.unwrap();
    assert_eq!(place.rows().await, ["1|Ada", "2|Grace", "3|Edith", "4|Grace Hopper"]);
    place.driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_table_that_lost_a_column_is_an_error_that_names_it() {
    let place = Place::new("id INT PRIMARY KEY, name VARCHAR(10)").await;
    place.write(1, "Ada").await.unwrap();
    place.database.execute("ALTER TABLE t RENAME COLUMN name TO title").await;
    let error = place.write(2, "Bob").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    assert!(error.to_string().contains("name"), "{error}");
    // Another table of the same name, another day.
    place.database.execute("DROP TABLE t").await;
    let error = place.write(2, "Bob").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    let other = "CREATE TABLE t (name TEXT, extra INT DEFAULT 7, id BIGINT PRIMARY KEY)";
    place.database.execute(other).await;
    place.write(2, "Bob").await.unwrap();
    assert_eq!(place.rows().await, ["2|Bob"]);
    place.driver.close().await;
}
