//! How the driver connects, and what it says where it cannot.

use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use batchflow_mysql::{
    Attempt, Batch, ConflictStrategy, Driver as _, ErrorKind, MysqlConfig, MysqlDriver, Schema,
    Way, WriteError,
};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::support::servers::Servers;
use crate::support::{Database, fresh, password, rows, sessions, with_database};

/// The parts of the shared server's URL.
fn opts(database: &Database) -> Opts {
    Opts::from_url(database.url()).unwrap()
}

fn config(database: &Database) -> MysqlConfig {
    let opts = opts(database);
    MysqlConfig::new()
        .host(opts.ip_or_hostname(), opts.tcp_port())
        .user(opts.user().unwrap())
        .password(opts.pass().unwrap_or_default())
        .database(database.name())
}

fn batch(schema: &Schema, ids: std::ops::Range<i32>) -> Batch {
    Batch::from_requests(ids.map(|id| schema.row((id,)).unwrap()).collect()).unwrap()
}

fn hides(error: &WriteError, secret: &str) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(secret), "promise 10: {shown}");
}

/// An address that nobody listens at.
async fn unused() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_10_what_is_wrong_is_said_and_no_secret_shown() {
    let database = Database::new("connect").await;
    let canary = "password-canary-3b1f";
    let wrong = config(&database).user(fresh("nobody")).password(canary);
    let error = MysqlDriver::connect_with(wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}: {:?}", error.server_message());
    hides(&error, canary);

    let missing = config(&database).database("no_database_canary");
    let error = MysqlDriver::connect_with(missing).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Schema | ErrorKind::Permission), "{error}");

    let port = unused().await;
    let url = format!("mysql://u:{canary}@127.0.0.1:{port}/d");
    let error = MysqlDriver::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    hides(&error, canary);

    let error = MysqlDriver::connect(&format!("mysql://u:{canary}@h/d?ssl-mode=x")).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("`ssl-mode`"), "{error}");
    hides(&error, canary);

    for (config, field) in [
        (MysqlConfig::new(), "`user`"),
        (config(&database).pool_size(0), "`pool_size`"),
        (config(&database).connect_timeout(Duration::ZERO), "`connect_timeout`"),
    ] {
        let error = MysqlDriver::connect_with(config).await.unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
    let driver = MysqlDriver::connect_with(config(&database)).await.unwrap();
    assert!(!format!("{driver:?}").contains(&password()));
    driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn the_first_host_that_takes_a_connection_is_used() {
    let database = Database::new("hosts").await;
    let opts = opts(&database);
    let (user, pass) = (opts.user().unwrap(), opts.pass().unwrap_or_default());
    let dead = unused().await;
    let url = format!(
        "mysql://{user}:{pass}@127.0.0.1:{dead},{}:{}/{}",
        opts.ip_or_hostname(),
        opts.tcp_port(),
        database.name()
    );
    MysqlDriver::connect(&url).await.unwrap().close().await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_unix_socket_is_connected_to() {
    let database = Database::new("socket").await;
    let path = database.rows("SELECT @@socket").await.remove(0);
    if !std::path::Path::new(&path).exists() {
        println!("NOT RUN: connect::a_unix_socket_is_connected_to: the server is not on this host");
        return;
    }
    let opts = opts(&database);
    let config = MysqlConfig::new().socket(path).user(opts.user().unwrap());
    let config = config.password(opts.pass().unwrap_or_default());
    // The user may be let in by the network alone.
    match MysqlDriver::connect_with(config).await {
        Ok(driver) => driver.close().await,
        Err(error) => assert_eq!(error.kind(), ErrorKind::Permission, "{error}"),
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let url = format!("mysql://u:p@127.0.0.1:{port}/d?connect-timeout=1");
    let began = Instant::now();
    let connected = timeout(Duration::from_secs(3), MysqlDriver::connect(&url)).await;
    let error = connected.expect("promise 9: it waits for ever").unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("in time"), "{error}");
    silent.abort();
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_session_is_set_as_values_need_it_whatever_the_server_s_defaults() {
    let database = Database::new("sessions").await;
    let sql = "CREATE TABLE t (id INT PRIMARY KEY, zone TEXT, names TEXT) ENGINE=InnoDB";
    database.execute(sql).await;
    let trigger = "CREATE TRIGGER seen BEFORE INSERT ON t FOR EACH ROW SET NEW.zone = @@time_zone, \
                   NEW.names = CONCAT(@@character_set_client, @@character_set_connection)";
    database.execute(trigger).await;
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    let pool = Pool::new(
        OptsBuilder::from_opts(opts(&database))
            .setup(vec!["SET time_zone = '+05:00', sql_mode = 'ANSI_QUOTES', NAMES latin1"]),
    );
    let own = MysqlDriver::connect_with(config(&database)).await.unwrap();
    let (mut locker, mut watcher) = (database.connect().await, database.connect().await);
    for (at, driver) in [own, MysqlDriver::from_pool(pool.clone())].into_iter().enumerate() {
        let (schema, at) = (schema.clone(), at as i32);
        let lock = format!("START TRANSACTION; INSERT INTO t (id) VALUES ({at})");
        locker.query_drop(lock).await.unwrap();
        let write = tokio::spawn(async move {
            driver.write(batch(&schema, at..at + 1), &Attempt::new()).await.unwrap();
            driver.close().await;
        });
        let waits = async {
            loop {
                let ours = sessions(&mut watcher, database.name()).await.unwrap();
                let ours: Vec<String> = ours.iter().map(|session| session.id.to_string()).collect();
                let levels = format!(
                    "SELECT trx_isolation_level FROM information_schema.INNODB_TRX \
                     WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id IN ({})",
                    ours.join(", ")
                );
                match &rows(&mut watcher, &levels).await[..] {
                    // What was looked at a tenth of a second ago is shown again.
                    [] => tokio::time::sleep(Duration::from_millis(150)).await,
                    found => return found.to_vec(),
                }
            }
        };
        let level = timeout(Duration::from_secs(5), waits).await.unwrap();
        assert_eq!(level, ["READ COMMITTED"], "{at}");
        locker.query_drop("ROLLBACK").await.unwrap();
        write.await.unwrap();
    }
    let found = database.rows("SELECT zone, names FROM t ORDER BY id").await;
    assert_eq!(found, ["+00:00|utf8mb4utf8mb4"; 2]);
    pool.disconnect().await.unwrap();
}

/// What a test leaves behind in a session, and looks at.
const MARKS: &str = "SELECT @@sql_mode, @@time_zone, @@character_set_client, \
                     @@collation_connection, @@innodb_lock_wait_timeout, @@autocommit";

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_pool_that_was_given_is_left_as_it_was() {
    let database = Database::new("given").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB").await;
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    for (at, resets) in [true, false].into_iter().enumerate() {
        let pool_opts = PoolOpts::default()
            .with_constraints(PoolConstraints::new(1, 1).unwrap())
            .with_reset_connection(resets);
        let opts = OptsBuilder::from_opts(opts(&database)).pool_opts(pool_opts);
        let pool = Pool::new(opts.setup(vec![
            "SET SESSION innodb_lock_wait_timeout = 7",
            "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            "SET SESSION sql_mode = 'ANSI_QUOTES', time_zone = '+03:00'",
        ]));
        let mut conn = pool.get_conn().await.unwrap();
        let (before, id) = (rows(&mut conn, MARKS).await, conn.id());
        drop(conn);
        let driver = MysqlDriver::from_pool(pool.clone());
        let first = at as i32 * 10;
        for id in first..first + 3 {
            driver.write(batch(&schema, id..id + 1), &Attempt::new()).await.unwrap();
        }
        // A refused row leaves nothing behind either.
        let error = driver.write(batch(&schema, first..first + 1), &Attempt::new()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::DuplicateKey);
        driver.close().await;
        let mut conn = pool.get_conn().await.unwrap();
        assert_eq!(conn.id(), id, "the pool's one connection was used");
        assert_eq!(rows(&mut conn, MARKS).await, before, "resets: {resets}");
        assert_eq!(rows(&mut conn, "SELECT COUNT(*) FROM t").await, [format!("{}", 3 * (at + 1))]);
        drop(conn);
        pool.disconnect().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn no_batch_leaves_a_prepared_statement_where_the_client_keeps_none() {
    let server = Servers::connect().server("").await;
    let database = Database::on(&server.url, "given").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB").await;
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id"]).unwrap();
    let refused = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    let pool_opts = PoolOpts::default()
        .with_constraints(PoolConstraints::new(1, 1).unwrap())
        .with_reset_connection(false);
    let opts = OptsBuilder::from_opts(Opts::from_url(database.url()).unwrap());
    let pool = Pool::new(opts.stmt_cache_size(0).pool_opts(pool_opts));
    for way in [Way::Rows, Way::Bulk] {
        let driver = MysqlDriver::from_pool(pool.clone()).with_way(way);
        for size in [1, 3, 40] {
            driver.write(batch(&schema, 0..size), &Attempt::new()).await.unwrap();
            driver.write(batch(&refused, 0..size), &Attempt::new()).await.unwrap_err();
        }
        driver.close().await;
    }
    let open = database.rows("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").await;
    assert_eq!(open, ["Prepared_stmt_count|0"]);
    pool.disconnect().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_a_pool_with_nothing_free_is_not_waited_for_without_end() {
    let database = Database::new("busy").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB").await;
    let one = PoolOpts::default().with_constraints(PoolConstraints::new(1, 1).unwrap());
    let pool = Pool::new(OptsBuilder::from_opts(opts(&database)).pool_opts(one));
    let held: Conn = pool.get_conn().await.unwrap();
    let driver =
        MysqlDriver::from_pool(pool.clone()).with_connect_timeout(Duration::from_millis(300));
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    let attempt = Attempt::new();
    let written = timeout(Duration::from_secs(3), driver.write(batch(&schema, 0..1), &attempt));
    let error = written.await.expect("promise 9").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    drop(held);
    driver.write(batch(&schema, 0..1), &Attempt::new()).await.unwrap();
    driver.close().await;
    let error = driver.write(batch(&schema, 1..2), &Attempt::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    pool.disconnect().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_connection_that_was_lost_while_it_rested_costs_no_attempt() {
    let database = Database::new("rested").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, c INT) ENGINE=InnoDB").await;
    database
        .execute("CREATE TRIGGER whose BEFORE INSERT ON t FOR EACH ROW SET NEW.c = CONNECTION_ID()")
        .await;
    let url = with_database(&crate::support::url(), database.name());
    let driver = MysqlDriver::connect(&url).await.unwrap();
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    driver.write(batch(&schema, 0..1), &Attempt::new()).await.unwrap();
    let id = database.rows("SELECT c FROM t").await.remove(0);
    database.execute(&format!("KILL CONNECTION {id}")).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    driver.write(batch(&schema, 1..2), &Attempt::new()).await.unwrap();
    assert_eq!(database.rows("SELECT COUNT(DISTINCT c) FROM t").await, ["2"]);
    driver.close().await;
}

/// Who may administer a server writes to one that is read-only.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn of_several_hosts_none_that_is_read_only_is_written_to() {
    let server = Servers::connect().server("").await;
    let database = Database::on(&server.url, "replica").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB").await;
    let address = crate::support::framing::address(database.url());
    let both = database.url().replacen(&*address, &format!("{address},{address}"), 1);
    database.execute("SET GLOBAL read_only = ON").await;
    let error = MysqlDriver::connect(&both).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    database.execute("SET GLOBAL read_only = OFF").await;
    let driver = MysqlDriver::connect(&both).await.unwrap();
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    driver.write(batch(&schema, 0..1), &Attempt::new()).await.unwrap();
    driver.close().await;
}
