//! Promise 8: what became of a commit whose answer was lost, by the ledger.

use std::sync::Arc;
use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Opts, OptsBuilder, Pool, PoolOpts};
use batchflow_mysql::{
    Attempt, Batch, ConflictStrategy, Driver as _, ErrorKind, MysqlConfig, MysqlDriver, Schema,
    Settled, Way,
};
use tokio::time::{Instant, sleep};

use crate::support::{Database, rows};

/// As [`MysqlConfig::ledger`] documents it.
const LEDGER: &str = "CREATE TABLE batchflow_ledger (
    session    BINARY(16)      NOT NULL PRIMARY KEY,
    batch      BIGINT UNSIGNED NOT NULL,
    written_at TIMESTAMP       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    KEY (written_at)
) ENGINE = InnoDB";

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB";

fn batch(id: i32) -> Batch {
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    Batch::from_requests(vec![schema.row((id,)).unwrap()]).unwrap()
}

async fn place() -> Database {
    let database = Database::new("ledger").await;
    database.execute(LEDGER).await;
    database.execute(TABLE).await;
    database
}

fn config(database: &Database) -> MysqlConfig {
    MysqlConfig::from_url(database.url()).unwrap().ledger("batchflow_ledger")
}

/// By connections of the driver's own, and of pools that do and do not reset them.
async fn drivers(database: &Database) -> Vec<MysqlDriver> {
    let pool = |resets| {
        let pool = PoolOpts::default().with_reset_connection(resets);
        let opts = Opts::from_url(database.url()).unwrap();
        let pool = Pool::new(OptsBuilder::from_opts(opts).pool_opts(pool));
        MysqlDriver::from_pool(pool).with_ledger(format!("{}.batchflow_ledger", database.name()))
    };
    let own = MysqlDriver::connect_with(config(database)).await.unwrap();
    vec![own, pool(true), pool(false)]
}

async fn settled(driver: &MysqlDriver, attempt: &Attempt) -> Settled {
    let [token] = &attempt.tokens()[..] else { panic!("one token a commit") };
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let settled = driver.settle(token).await.unwrap();
        if settled != Settled::Running {
            return settled;
        }
        assert!(Instant::now() < until, "promise 9: it is not seen to end");
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_a_commit_is_known_by_the_ledger() {
    let database = place().await;
    for (at, driver) in drivers(&database).await.into_iter().enumerate() {
        let id = at as i32 * 10;
        for id in id..id + 3 {
            let attempt = Attempt::new();
            driver.write(batch(id), &attempt).await.unwrap();
            assert_eq!(settled(&driver, &attempt).await, Settled::Committed, "{at} {id}");
            // Its session was ended.
            sleep(Duration::from_millis(1_050)).await;
        }
        driver.close().await;
    }
    assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, ["9"]);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_a_commit_that_never_arrived_is_known_by_the_ledger() {
    let database = place().await;
    let mut watcher = database.connect().await;
    for (at, driver) in drivers(&database).await.into_iter().enumerate() {
        let (driver, id) = (Arc::new(driver), at as i32 * 10);
        driver.write(batch(id), &Attempt::new()).await.unwrap();
        // Who reads all of the ledger for an update holds up those who note a batch there.
        let mut holder = database.connect().await;
        holder.query_drop("BEGIN; SELECT * FROM batchflow_ledger FOR UPDATE").await.unwrap();
        let attempt = Attempt::new();
        let (writer, running) = (driver.clone(), attempt.clone());
        let write = tokio::spawn(async move { writer.write(batch(id + 1), &running).await });
        let until = Instant::now() + Duration::from_secs(5);
        while attempt.tokens().is_empty() {
            assert!(Instant::now() < until);
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(50)).await;
        // The note waits, and its commit behind it; nobody will hear its answer.
        write.abort();
        assert!(write.await.unwrap_err().is_cancelled());
        let fate = tokio::spawn(async move {
            let fate = settled(&driver, &attempt).await;
            driver.close().await;
            fate
        });
        sleep(Duration::from_millis(300)).await;
        holder.query_drop("ROLLBACK").await.unwrap();
        assert_eq!(fate.await.unwrap(), Settled::NotApplied, "{at}");
        let found = rows(&mut watcher, &format!("SELECT id FROM t WHERE id = {}", id + 1)).await;
        assert_eq!(found, [""; 0], "{at}");
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn the_ledger_holds_one_row_a_session_and_forgets_the_old() {
    let database = place().await;
    let old = "INSERT INTO batchflow_ledger SELECT UNHEX(LEFT(SHA2(CONCAT(table_schema, table_name), 256), 32)), 1, \
               CURRENT_TIMESTAMP - INTERVAL 25 HOUR FROM information_schema.TABLES LIMIT 50";
    database.execute(old).await;
    for (at, driver) in drivers(&database).await.into_iter().enumerate() {
        for id in 0..5 {
            driver.write(batch(at as i32 * 10 + id), &Attempt::new()).await.unwrap();
        }
        driver.close().await;
    }
    let found = database.rows("SELECT batch FROM batchflow_ledger").await;
    assert_eq!(found, ["5"; 3]);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_ledger_that_could_not_tell_is_refused_by_its_name() {
    let database = Database::new("ledger").await;
    database.execute(TABLE).await;
    let cases = [
        None,
        Some("CREATE TABLE batchflow_ledger (session BINARY(16) PRIMARY KEY) ENGINE=InnoDB".into()),
        Some(LEDGER.replace("InnoDB", "MyISAM")),
        // Two rows of one session, or one row of two, would make its answer a guess.
        Some(LEDGER.replace("PRIMARY KEY,", ",")),
        Some(LEDGER.replace("PRIMARY KEY,", ", PRIMARY KEY (session, batch),")),
        Some(LEDGER.replace("PRIMARY KEY,", ", UNIQUE KEY (session(8)),")),
    ];
    for (at, create) in cases.into_iter().enumerate() {
        if let Some(create) = create {
            database.execute("DROP TABLE IF EXISTS batchflow_ledger").await;
            database.execute(&create).await;
        }
        let error = MysqlDriver::connect_with(config(&database)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{at}: {error}");
        assert!(error.to_string().contains("batchflow_ledger"), "{at}: {error}");
        // A pool's connections are asked when there is something to write.
        let driver = MysqlDriver::from_pool(Pool::new(database.url()));
        let driver = driver.with_ledger("batchflow_ledger");
        let error = driver.write(batch(1), &Attempt::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{at}: {error}");
        driver.close().await;
    }
    assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, ["0"]);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_driver_at_rest_holds_no_transaction() {
    let database = place().await;
    for driver in drivers(&database).await {
        let alter = "SET SESSION lock_wait_timeout = 2; ALTER TABLE batchflow_ledger COMMENT 'x'";
        database.execute(alter).await;
        driver.write(batch(1), &Attempt::new()).await.unwrap();
        database.execute(alter).await;
        database.execute("DELETE FROM t").await;
        driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_ledger_that_goes_missing_lets_nothing_be_written_unnoted() {
    let database = place().await;
    let driver = MysqlDriver::connect_with(config(&database).way(Way::Rows)).await.unwrap();
    driver.write(batch(1), &Attempt::new()).await.unwrap();
    database.execute("DROP TABLE batchflow_ledger").await;
    let error = driver.write(batch(2), &Attempt::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    assert_eq!(error.table(), Some("batchflow_ledger"));
    assert_eq!(error.applied(), batchflow_mysql::Applied::Nothing);
    database.execute(LEDGER).await;
    driver.write(batch(3), &Attempt::new()).await.unwrap();
    assert_eq!(database.rows("SELECT id FROM t ORDER BY id").await, ["1", "3"]);
    driver.close().await;
}
