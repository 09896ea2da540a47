//! Batches of one statement that commits itself: one round trip, and what is known where it is lost.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::{Direction, Ending, Proxy};
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Pool};
use batchflow_mysql::{
    Applied, Attempt, Batch, ConflictStrategy, Driver as _, ErrorKind, Merge, MysqlConfig,
    MysqlDriver, Request, Schema, Settled, SslMode, Way, WriteError,
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::framing::{address, frame, through};
use crate::support::servers::Servers;
use crate::support::{Database, Listed, rows, sessions, url};

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), \
    n INT CHECK (n >= 0)) ENGINE=InnoDB";

const LEDGER: &str = "CREATE TABLE batchflow_ledger (session BINARY(16) NOT NULL PRIMARY KEY, \
    batch BIGINT UNSIGNED NOT NULL, written_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
    KEY (written_at)) ENGINE = InnoDB";

/// A table in a database of its own, and a driver of one connection, whose packets are counted.
struct Place {
    database: Database,
    proxy: Proxy,
    driver: Arc<MysqlDriver>,
    schema: Schema,
}

impl Place {
    async fn new(configure: impl FnOnce(MysqlConfig) -> MysqlConfig) -> Self {
        let database = Database::new("alone").await;
        database.execute(TABLE).await;
        database.execute(LEDGER).await;
        let proxy = Proxy::framed(address(&url()), frame).await.unwrap();
        let config = MysqlConfig::from_url(&through(database.url(), proxy.address())).unwrap();
        let config = configure(config.pool_size(1).ssl_mode(SslMode::Disabled));
        let driver = Arc::new(MysqlDriver::connect_with(config).await.unwrap());
        Self { database, proxy, driver, schema: schema(ConflictStrategy::Update) }
    }

    fn batch(&self, ids: impl IntoIterator<Item = i32>, name: &str) -> Batch {
        batch(&self.schema, ids, name)
    }

    async fn write(&self, ids: impl IntoIterator<Item = i32>, name: &str) {
        self.driver.write(self.batch(ids, name), &Attempt::new()).await.unwrap();
    }

    /// How many packets a batch took, there and back alike.
    async fn packets(&self, batch: Batch) -> u64 {
        let before = self.proxy.messages(Direction::ToServer);
        self.driver.write(batch, &Attempt::new()).await.unwrap();
        self.proxy.messages(Direction::ToServer) - before
    }

    /// Rows are written singly until the session is in autocommit.
    async fn settle_in(&self) {
        for _ in 0..3 {
            self.write([1], "first").await;
        }
        assert_eq!(self.packets(self.batch([1], "first")).await, 1, "it has settled in");
    }
}

fn schema(strategy: ConflictStrategy) -> Schema {
    Schema::new("t", strategy, ["id", "name", "n"]).unwrap()
}

fn batch(schema: &Schema, ids: impl IntoIterator<Item = i32>, name: &str) -> Batch {
    let rows = ids.into_iter().map(|id| schema.row((id, name, 1)).unwrap());
    Batch::from_requests(rows.collect()).unwrap()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_statement_that_may_be_repeated_comes_to_take_one_round_trip() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let adds = Schema::builder("t").columns(["id", "name", "n"]).key(["id"]);
    let adds = adds.on_conflict(Update).merge("n", Merge::Add).build().unwrap();
    for (schema, ids, packets) in [
        (schema(Update), 1..2, 1),
        (schema(Ignore), 1..2, 1),
        (schema(Replace), 1..2, 1),
        (schema(Update), 1..101, 1),
        // A round trip counts for less than the doubt.
        (schema(Update), 1..257, 2),
        // A second time would not be harmless.
        (schema(Fail), 1..2, 2),
        (adds, 1..2, 2),
    ] {
        let place = Place::new(|config| config.way(Way::Rows)).await;
        let case = format!("{:?} of {} rows", schema.strategy(), ids.len());
        let mut last = 0;
        // A size of its own is prepared once it was seen a few times.
        for _ in 0..9 {
            if schema.strategy() == Fail {
                place.database.execute("DELETE FROM t").await;
            }
            last = place.packets(batch(&schema, ids.clone(), "Ada")).await;
        }
        assert_eq!(last, packets, "{case}");
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_ledger_is_told_of_every_batch_whatever_it_costs() {
    let place = Place::new(|config| config.ledger("batchflow_ledger")).await;
    for _ in 0..6 {
        place.write([1], "Ada").await;
    }
    let noted = place.database.rows("SELECT batch FROM batchflow_ledger").await;
    assert_eq!(noted, ["6"]);
    place.driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn single_and_large_batches_in_turn_take_two_round_trips_each() {
    let place = Place::new(|config| config.way(Way::Rows)).await;
    let (single, large) = (place.batch([1], "single"), place.batch(1..257, "large"));
    for _ in 0..2 {
        place.packets(single.clone()).await;
        place.packets(large.clone()).await;
    }
    for _ in 0..10 {
        assert_eq!(place.packets(single.clone()).await, 2);
        assert_eq!(place.packets(large.clone()).await, 2);
    }
    // Single ones for a while, a large one, and so on: the session goes there and back.
    let mut taken = 0;
    for _ in 0..10 {
        for _ in 0..10 {
            taken += place.packets(single.clone()).await;
        }
        taken += place.packets(large.clone()).await;
        assert_eq!(place.database.rows("SELECT DISTINCT name FROM t").await, ["large"]);
    }
    assert_eq!(taken, 10 * (2 + 2 + 8 + 3));
    place.driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_refused_statement_that_commits_itself_leaves_nothing_of_its_batch() {
    for way in [None, Some(Way::Rows), Some(Way::Bulk)] {
        let place = Place::new(|config| way.into_iter().fold(config, MysqlConfig::way)).await;
        place.settle_in().await;
        // Sizes that are one statement whichever way they go.
        for of in [1, 2, 64] {
            let rows = |bad: Option<i32>| {
                let row = |id| {
                    let n = if Some(id) == bad { -1 } else { 1 };
                    place.schema.row((id, "bad", n)).unwrap()
                };
                Batch::from_requests((0..of).map(row).collect::<Vec<Request>>()).unwrap()
            };
            for bad in [0, of / 2, of - 1] {
                let case = format!("{way:?}: {bad} of {of}");
                let attempt = Attempt::new();
                let error = place.driver.write(rows(Some(bad)), &attempt).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Constraint, "{case}: {error}");
                assert_eq!(error.applied(), Applied::Nothing, "{case}");
                let found = place.database.rows("SELECT id, name FROM t").await;
                assert_eq!(found, ["1|first"], "{case}: promise 4");
            }
        }
        // The connection is as good as new.
        assert_eq!(place.packets(place.batch([1], "first")).await, 1, "{way:?}");
        place.driver.close().await;
    }
}

/// How an attempt comes to its end while its statement waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Dropped,
    Cancelled,
    TooLate,
    ConnectionLost,
    Killed,
    QueryKilled,
}

/// A statement that waits for a lock when its attempt ends: what the driver said of it, the
/// attempt, and whom it is about.
async fn ended(
    end: End,
    place: &Place,
    ids: std::ops::Range<i32>,
) -> (Option<WriteError>, Attempt) {
    let mut attempt = Attempt::new();
    if end == End::TooLate {
        attempt = attempt.with_deadline(Instant::now() + Duration::from_millis(400));
    }
    let (driver, batch) = (place.driver.clone(), place.batch(ids, "older"));
    let mut watcher = place.database.connect().await;
    let running = attempt.clone();
    let write = tokio::spawn(async move { driver.write(batch, &running).await });
    let id = until_busy(place, &mut watcher).await;
    match end {
        End::Dropped => {
            write.abort();
            assert!(write.await.unwrap_err().is_cancelled());
            return (None, attempt);
        }
        End::Cancelled => attempt.cancel(),
        End::TooLate => {}
        End::ConnectionLost => place.proxy.cut_all(Ending::Reset),
        End::Killed => watcher.query_drop(format!("KILL CONNECTION {id}")).await.unwrap(),
        End::QueryKilled => watcher.query_drop(format!("KILL QUERY {id}")).await.unwrap(),
    }
    let error = timeout(Duration::from_secs(8), write).await.expect("promise 9").unwrap();
    (Some(error.unwrap_err()), attempt)
}

async fn busy(place: &Place, watcher: &mut Conn) -> Vec<u32> {
    let all = sessions(watcher, place.database.name()).await.unwrap().into_iter();
    all.filter(Listed::inserts).map(|session| session.id).collect()
}

async fn until_busy(place: &Place, watcher: &mut Conn) -> u32 {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(id) = busy(place, watcher).await.pop() {
            return id;
        }
        assert!(Instant::now() < until, "the statement waits for its lock");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_a_statement_given_up_never_overwrites_a_newer_row() {
    use End::{Cancelled, ConnectionLost, Dropped, Killed, QueryKilled, TooLate};
    for end in [Dropped, Cancelled, TooLate, ConnectionLost, Killed, QueryKilled] {
        for ids in [1..2, 1..65] {
            let case = format!("{end:?}, {} rows", ids.len());
            let place = Place::new(|config| config).await;
            place.settle_in().await;
            let mut locker = place.database.connect().await;
            locker.query_drop("BEGIN; UPDATE t SET n = 2 WHERE id = 1").await.unwrap();
            let (error, attempt) = ended(end, &place, ids.clone()).await;
            if let Some(error) = error {
                assert_eq!(error.applied(), Applied::Unknown, "{case}: promise 8: {error}");
                assert!(!error.is_still_running(), "{case}: it was seen to end: {error}");
                let mut watcher = place.database.connect().await;
                assert_eq!(busy(&place, &mut watcher).await, [0_u32; 0], "{case}");
            }
            // Nobody can tell; but that it has ended, while the lock is still held.
            let [token] = &attempt.tokens()[..] else { panic!("{case}: one token a statement") };
            let until = Instant::now() + Duration::from_secs(5);
            loop {
                match place.driver.settle(token).await {
                    Ok(Settled::Unknown) => break,
                    Ok(Settled::Running) | Err(_) => {}
                    told => panic!("{case}: {told:?}"),
                }
                assert!(Instant::now() < until, "{case}: promise 9");
                sleep(Duration::from_millis(5)).await;
            }
            locker.query_drop("ROLLBACK").await.unwrap();
            assert_eq!(place.database.rows("SELECT name FROM t").await, ["first"], "{case}");
            place.write(ids.clone(), "newer").await;
            sleep(Duration::from_millis(50)).await;
            let found = place.database.rows("SELECT DISTINCT name FROM t").await;
            assert_eq!(found, ["newer"], "{case}: promise 3");
            place.driver.close().await;
        }
    }
}

/// A lock that is not got in time undoes the statement, for certain. Ended by a limit of time, or from
/// outside, it might have been committed before.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_only_a_lock_that_was_not_got_says_that_nothing_was_committed() {
    let place = Place::new(|config| config).await;
    place.settle_in().await;
    let mut locker = place.database.connect().await;
    locker.query_drop("BEGIN; UPDATE t SET n = 2 WHERE id = 1").await.unwrap();
    let deadline = Instant::now() + Duration::from_millis(3_300);
    let attempt = Attempt::new().with_deadline(deadline);
    let error = place.driver.write(place.batch([1], "late"), &attempt).await.unwrap_err();
    let applied = match error.kind() {
        ErrorKind::LockTimeout => Applied::Nothing,
        ErrorKind::Timeout => Applied::Unknown,
        _ => panic!("{error}"),
    };
    assert_eq!(error.applied(), applied, "{error}");
    assert!(!error.is_still_running(), "promise 9: {error}");
    locker.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(place.database.rows("SELECT name FROM t").await, ["first"]);
    place.driver.close().await;
}

/// What others set of a pool's connections is theirs.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_pool_s_connections_keep_the_autocommit_they_had() {
    for (wish, resets) in [(0, false), (1, false), (1, true)] {
        let database = Database::new("alone").await;
        database.execute(TABLE).await;
        let url = format!("{}?pool_min=1&pool_max=1&reset_connection={resets}", database.url());
        let pool = Pool::new(&*url);
        let mut conn = pool.get_conn().await.unwrap();
        conn.query_drop(format!("SET autocommit = {wish}")).await.unwrap();
        drop(conn);
        let driver = MysqlDriver::from_pool(pool.clone());
        let schema = schema(ConflictStrategy::Update);
        for ids in [1..2, 1..2, 1..2, 1..2, 1..257, 1..2] {
            driver.write(batch(&schema, ids, "Ada"), &Attempt::new()).await.unwrap();
            let mut conn = pool.get_conn().await.unwrap();
            let found = rows(&mut conn, "SELECT @@autocommit, (SELECT COUNT(*) > 0 FROM t)").await;
            assert_eq!(found, [format!("{wish}|1")], "resets: {resets}");
            conn.query_drop("ROLLBACK").await.unwrap();
        }
        driver.close().await;
        pool.disconnect().await.unwrap();
    }
}

/// A session whose packets are smaller than those of the session that the plan was made by.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_2_a_batch_that_becomes_several_statements_is_one_transaction() {
    let server = Servers::connect().server("max_allowed_packet=16777216").await;
    let database = Database::on(&server.url, "alone").await;
    let create = "CREATE TABLE t (id INT PRIMARY KEY, name TEXT, n INT CHECK (n >= 0))";
    database.execute(&format!("{create} ENGINE=InnoDB")).await;
    let config = MysqlConfig::from_url(database.url()).unwrap().pool_size(2).way(Way::Rows);
    let driver = Arc::new(MysqlDriver::connect_with(config).await.unwrap());
    let schema = schema(ConflictStrategy::Update);
    let long = "x".repeat(1_000);
    driver.write(batch(&schema, 1..65, &long), &Attempt::new()).await.unwrap();
    database.execute("DELETE FROM t; SET GLOBAL max_allowed_packet = 16384").await;
    // The first connection waits for a lock. The packets of the second are small; it comes to rest in
    // autocommit.
    let mut locker = database.connect().await;
    locker.query_drop("BEGIN; INSERT INTO t VALUES (2000, 'held', 1)").await.unwrap();
    let (first, waits) = (driver.clone(), batch(&schema, [2_000], "two"));
    let first = tokio::spawn(async move { first.write(waits, &Attempt::new()).await });
    sleep(Duration::from_millis(300)).await;
    let other = self::schema(ConflictStrategy::Replace);
    for _ in 0..10 {
        driver.write(batch(&other, [1_000], "one"), &Attempt::new()).await.unwrap();
    }
    let rows = (1..65).map(|id| {
        let n = if id == 64 { -1 } else { 1 };
        schema.row((id, long.as_str(), n)).unwrap()
    });
    let rows = Batch::from_requests(rows.collect()).unwrap();
    let error = driver.write(rows, &Attempt::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Constraint, Applied::Nothing));
    let found = database.rows("SELECT id FROM t").await;
    assert_eq!(found, ["1000"], "promise 2: what was not applied is there");
    driver.write(batch(&schema, 1..65, &long), &Attempt::new()).await.unwrap();
    locker.query_drop("ROLLBACK").await.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, ["66"]);
    driver.close().await;
}
