//! Promises 3, 8 and 9: how attempts end that are given up, and what is known of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::{Direction, Ending, Flow, Proxy};
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use batchflow_mysql::{
    Applied, Attempt, Batch, ConflictStrategy, Driver as _, ErrorKind, MysqlConfig, MysqlDriver,
    Schema, Settled, Stage, Way,
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::framing::{address, through};
use crate::support::servers::Servers;
use crate::support::{Database, Listed, connect, rows, sessions, url};

/// Whose connections a driver writes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Given,
}

const ALL: [(Whose, Way); 4] = [
    (Whose::Own, Way::Bulk),
    (Whose::Own, Way::Rows),
    (Whose::Own, Way::Load),
    (Whose::Given, Way::Rows),
];

/// A table in a database of its own, a driver that writes by it, and connections past it.
struct Place {
    database: Database,
    schema: Schema,
    driver: Arc<MysqlDriver>,
    /// Looks at what others do.
    watcher: Conn,
    /// Holds a row's lock, so that others wait for it.
    locker: Conn,
}

impl Place {
    async fn new(whose: Whose, way: Way) -> Self {
        Self::through(None, whose, way).await
    }

    /// With a driver that is told another address than the server's.
    async fn through(proxy: Option<SocketAddr>, whose: Whose, way: Way) -> Self {
        Self::of(Database::new("ends").await, proxy, whose, way).await
    }

    /// In a database of this server or another.
    async fn of(database: Database, proxy: Option<SocketAddr>, whose: Whose, way: Way) -> Self {
        database.execute("CREATE TABLE t (id INT PRIMARY KEY, name TEXT) ENGINE=InnoDB").await;
        let own = database.url().to_owned();
        let url = proxy.map_or(own.clone(), |address| through(&own, address));
        let driver = match whose {
            Whose::Own => {
                let config = MysqlConfig::from_url(&url).unwrap();
                let config = config.pool_size(1).way(way).local_infile(true);
                MysqlDriver::connect_with(config).await.unwrap()
            }
            Whose::Given => MysqlDriver::from_pool(Pool::new(&*url)).with_way(way),
        };
        let schema = Schema::new("t", ConflictStrategy::Fail, ["id", "name"]).unwrap();
        let (watcher, locker) = (database.connect().await, database.connect().await);
        Self { database, schema, driver: Arc::new(driver), watcher, locker }
    }

    fn batch(&self, id: i32) -> Batch {
        let names = ["Ada", "Grace"].into_iter().enumerate();
        let rows = names.map(|(at, name)| self.schema.row((id + at as i32, name)).unwrap());
        Batch::from_requests(rows.collect()).unwrap()
    }

    async fn write(&self, id: i32) {
        self.driver.write(self.batch(id), &Attempt::new()).await.unwrap();
    }

    async fn ids(&mut self) -> Vec<String> {
        rows(&mut self.watcher, "SELECT id FROM t ORDER BY id").await
    }

    /// The connections to this database but those past the driver.
    async fn connections(&mut self) -> Vec<u32> {
        let past = [self.watcher.id(), self.locker.id()];
        let all = sessions(&mut self.watcher, self.database.name()).await.unwrap();
        let mut ids: Vec<u32> = all.iter().map(|session| session.id).collect();
        ids.retain(|id| !past.contains(id));
        ids.sort_unstable();
        ids
    }

    async fn busy(&mut self) -> bool {
        let all = sessions(&mut self.watcher, self.database.name()).await.unwrap();
        all.iter().any(Listed::inserts)
    }

    async fn until_busy(&mut self, busy: bool) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.busy().await != busy {
            assert!(Instant::now() < until, "promise 9: no session is busy: {busy}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The server takes a moment to part with a connection that was closed.
    async fn until_none(&mut self) {
        let until = Instant::now() + Duration::from_secs(5);
        while !self.connections().await.is_empty() {
            assert!(Instant::now() < until, "close ends every connection");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whoever inserts row 20 waits from now on.
    async fn lock(&mut self) {
        let both = "BEGIN; INSERT INTO t VALUES (20, 'held')";
        self.locker.query_drop(both).await.unwrap();
    }

    async fn unlock(&mut self) {
        self.locker.query_drop("ROLLBACK").await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_a_dropped_write_ends_on_the_server_and_leaves_nothing() {
    for (whose, way) in ALL {
        let mut place = Place::new(whose, way).await;
        place.write(1).await;
        let before = place.connections().await;
        place.lock().await;
        let attempt = Attempt::new();
        {
            // Its first row is written, and its second waits.
            let mut write = Box::pin(place.driver.write(place.batch(19), &attempt));
            let early = timeout(Duration::from_millis(300), &mut write).await;
            assert!(early.is_err(), "{whose:?} {way:?}: the lock holds it up");
        }
        assert!(attempt.tokens().is_empty(), "{whose:?} {way:?}: promise 8: no commit was sent");
        // The statement waits for a lock that is still held: only a KILL ends it.
        place.until_busy(false).await;
        place.unlock().await;
        // Row 19 was rolled back, so that it can be written at once.
        let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_secs(5));
        place.driver.write(place.batch(19), &attempt).await.unwrap();
        assert_eq!(place.ids().await, ["1", "2", "19", "20"], "{whose:?} {way:?}");
        assert_ne!(place.connections().await, before, "{way:?}: the connection was not used again");
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_a_driver_that_is_dropped_leaves_no_transaction_to_its_pool() {
    for resets in [true, false] {
        let database = Database::new("left").await;
        database.execute("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB").await;
        let one = PoolOpts::default()
            .with_constraints(PoolConstraints::new(1, 1).unwrap())
            .with_reset_connection(resets);
        let opts = OptsBuilder::from_opts(Opts::from_url(database.url()).unwrap());
        let pool = Pool::new(opts.pool_opts(one));
        let driver = MysqlDriver::from_pool(pool.clone());
        let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
        let rows_of = |ids: [i32; 2]| {
            Batch::from_requests(ids.map(|id| schema.row((id,)).unwrap()).into()).unwrap()
        };
        driver.write(rows_of([1, 2]), &Attempt::new()).await.unwrap();
        let mut locker = database.connect().await;
        locker.query_drop("BEGIN; INSERT INTO t VALUES (20)").await.unwrap();
        let attempt = Attempt::new();
        let write = timeout(Duration::from_millis(300), driver.write(rows_of([19, 20]), &attempt));
        assert!(write.await.is_err(), "the lock holds it up");
        // At once: what was to end it has not even begun.
        drop(driver);
        locker.query_drop("ROLLBACK").await.unwrap();
        let mut conn = timeout(Duration::from_secs(5), pool.get_conn()).await.unwrap().unwrap();
        let open = "SELECT COUNT(*) FROM information_schema.INNODB_TRX \
                    WHERE trx_mysql_thread_id = CONNECTION_ID()";
        assert_eq!(rows(&mut conn, open).await, ["0"], "promise 9, resets: {resets}");
        assert_eq!(rows(&mut conn, "SELECT id FROM t").await, ["1", "2"], "resets: {resets}");
        drop(conn);
        pool.disconnect().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_a_cancelled_write_returns_once_it_has_ended() {
    for (whose, way) in ALL {
        let mut place = Place::new(whose, way).await;
        place.write(1).await;
        place.lock().await;
        let attempt = Attempt::new();
        let (driver, batch, running) = (place.driver.clone(), place.batch(19), attempt.clone());
        let write = tokio::spawn(async move { driver.write(batch, &running).await });
        place.until_busy(true).await;
        attempt.cancel();
        let error = write.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{whose:?} {way:?}: {error}");
        assert_eq!(error.applied(), Applied::Nothing, "{whose:?} {way:?}");
        assert!(!place.busy().await, "{whose:?} {way:?}: promise 3: it was seen to end");
        // Its row is nobody's: not even for a moment is it locked.
        let free = "SET SESSION innodb_lock_wait_timeout = 1; INSERT INTO t VALUES (19, 'free')";
        place.watcher.query_drop(free).await.unwrap();
        place.unlock().await;
        assert_eq!(place.ids().await, ["1", "2", "19"], "{whose:?} {way:?}");
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_what_a_lost_connection_runs_has_ended_when_its_error_is_told() {
    for way in [Way::Bulk, Way::Rows, Way::Load] {
        let proxy = Proxy::start(address(&url())).await.unwrap();
        let mut place = Place::through(Some(proxy.address()), Whose::Own, way).await;
        place.write(1).await;
        place.lock().await;
        let deadline = Instant::now() + Duration::from_secs(20);
        let attempt = Attempt::new().with_deadline(deadline);
        let (driver, batch) = (place.driver.clone(), place.batch(19));
        let write = tokio::spawn(async move { driver.write(batch, &attempt).await });
        place.until_busy(true).await;
        proxy.cut_all(Ending::Reset);
        let error = write.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection, "{way:?}: {error}");
        assert_eq!(error.applied(), Applied::Nothing, "{way:?}");
        assert!(!place.busy().await, "{way:?}: promise 3: it was seen to end");
        // Its row is nobody's: not even for a moment is it locked.
        let free = "SET SESSION innodb_lock_wait_timeout = 1; INSERT INTO t VALUES (19, 'free')";
        place.watcher.query_drop(free).await.unwrap();
        place.unlock().await;
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_an_error_is_told_though_no_answer_comes_any_more() {
    let proxy = Proxy::start(address(&url())).await.unwrap();
    let mut place = Place::through(Some(proxy.address()), Whose::Own, Way::Rows).await;
    place.write(1).await;
    place.lock().await;
    let given = Duration::from_secs(2);
    let attempt = Attempt::new().with_deadline(Instant::now() + given);
    let (driver, batch) = (place.driver.clone(), place.batch(19));
    let write = tokio::spawn(async move { driver.write(batch, &attempt).await });
    place.until_busy(true).await;
    // From here on the server's answers arrive, and nothing that is asked.
    proxy.flow(Direction::ToServer, Flow::Stall);
    place.locker.query_drop("COMMIT").await.unwrap();
    // As long as core waits.
    let told = timeout(given * 2, write).await.expect("promise 9").unwrap().unwrap_err();
    assert_eq!(told.kind(), ErrorKind::DuplicateKey, "{told}");
    proxy.pass();
    place.driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn the_server_ends_a_statement_before_the_attempts_deadline() {
    for (whose, way) in ALL {
        let mut place = Place::new(whose, way).await;
        place.write(1).await;
        let before = place.connections().await;
        place.lock().await;
        let deadline = Instant::now() + Duration::from_millis(2_700);
        let attempt = Attempt::new().with_deadline(deadline);
        let error = place.driver.write(place.batch(19), &attempt).await.unwrap_err();
        assert!(Instant::now() < deadline, "{whose:?} {way:?}: promise 9");
        let kinds = [ErrorKind::Timeout, ErrorKind::LockTimeout];
        assert!(kinds.contains(&error.kind()), "{whose:?} {way:?}: {error}");
        assert!(error.code().is_some(), "{whose:?} {way:?}: the server said so: {error}");
        assert_eq!(error.applied(), Applied::Nothing, "{whose:?} {way:?}");
        // A lock that is not got undoes a statement alone: the first row must not stay.
        place.unlock().await;
        assert_eq!(place.ids().await, ["1", "2"], "{whose:?} {way:?}");
        assert_eq!(place.connections().await, before, "{way:?}: the connection is as good as new");
        place.write(30).await;
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_a_deadline_too_short_for_the_server_is_kept_from_outside() {
    for (whose, way) in ALL {
        let mut place = Place::new(whose, way).await;
        place.write(1).await;
        place.lock().await;
        let deadline = Instant::now() + Duration::from_millis(400);
        let attempt = Attempt::new().with_deadline(deadline);
        let error = place.driver.write(place.batch(19), &attempt).await.unwrap_err();
        let late = Instant::now().saturating_duration_since(deadline);
        assert!(late < Duration::from_millis(300), "{whose:?} {way:?}: promise 9: {late:?}");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{whose:?} {way:?}: {error}");
        assert_eq!(error.applied(), Applied::Nothing, "{whose:?} {way:?}");
        place.until_busy(false).await;
        place.unlock().await;
        assert_eq!(place.ids().await, ["1", "2"], "{whose:?} {way:?}");
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_pool_at_its_limit_is_waited_for_and_then_named() {
    let mut place = Place::new(Whose::Own, Way::Rows).await;
    place.write(1).await;
    place.lock().await;
    let (driver, batch) = (place.driver.clone(), place.batch(20));
    let held_up = tokio::spawn(async move { driver.write(batch, &Attempt::new()).await });
    place.until_busy(true).await;
    let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_millis(300));
    let error = place.driver.write(place.batch(30), &attempt).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connection | ErrorKind::Timeout), "{error}");
    assert_eq!((error.stage(), error.applied()), (Stage::Connect, Applied::Nothing));
    place.unlock().await;
    held_up.await.unwrap().unwrap();
    assert_eq!(place.ids().await, ["1", "2", "20", "21"]);
    place.driver.close().await;
    let error = place.driver.write(place.batch(40), &Attempt::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Cancelled, Stage::Connect));
    place.until_none().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_close_waits_until_what_was_dropped_has_ended() {
    let mut place = Place::new(Whose::Own, Way::Rows).await;
    place.write(1).await;
    place.lock().await;
    let attempt = Attempt::new();
    {
        let mut write = Box::pin(place.driver.write(place.batch(19), &attempt));
        assert!(timeout(Duration::from_millis(200), &mut write).await.is_err());
    }
    timeout(Duration::from_secs(5), place.driver.close()).await.expect("promise 9");
    assert!(!place.busy().await, "promise 3");
    place.until_none().await;
    place.unlock().await;
    assert_eq!(place.ids().await, ["1", "2"]);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_8_without_a_ledger_nobody_can_tell_of_a_commit() {
    for whose in [Whose::Own, Whose::Given] {
        let place = Place::new(whose, Way::Rows).await;
        let attempt = Attempt::new();
        place.driver.write(place.batch(1), &attempt).await.unwrap();
        let [token] = &attempt.tokens()[..] else { panic!("one token a commit") };
        // Its session goes on with other work, and is not found to be the commit's any more; what
        // it did is not known. It is ended nonetheless, since it might be about to commit.
        let until = Instant::now() + Duration::from_secs(5);
        while place.driver.settle(token).await.unwrap() == Settled::Running {
            assert!(Instant::now() < until, "promise 9");
        }
        assert_eq!(place.driver.settle(token).await.unwrap(), Settled::Unknown, "{whose:?}");
        sleep(Duration::from_millis(1_100)).await;
        place.write(3).await;
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn sixteen_writers_at_once_share_the_pool_and_prepare_a_bounded_number() {
    let database = Database::new("many").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, name TEXT) ENGINE=InnoDB").await;
    let config = MysqlConfig::from_url(database.url()).unwrap().pool_size(3);
    let driver = Arc::new(MysqlDriver::connect_with(config).await.unwrap());
    let schema = Schema::new("t", ConflictStrategy::Update, ["id", "name"]).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16_i32 {
        let (driver, schema) = (driver.clone(), schema.clone());
        writers.spawn(async move {
            for size in 1..40_i32 {
                let ids = (0..size).map(|id| schema.row((writer * 100 + id, "Ada")).unwrap());
                let batch = Batch::from_requests(ids.collect()).unwrap();
                driver.write(batch, &Attempt::new()).await.unwrap();
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, ["624"]);
    // The one that asks is counted too.
    let open = sessions(&mut database.connect().await, database.name()).await.unwrap();
    assert_eq!(open.len(), 4, "{open:?}");
    driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_an_attempt_ends_on_the_server_whatever_others_run() {
    // Of its own: other tests read the information schema.
    let server = Servers::connect().server("").await;
    let database = Database::on(&server.url, "ends").await;
    let mut place = Place::of(database, None, Whose::Own, Way::Rows).await;
    place.lock().await;
    // MySQL cannot show it in its information schema, which fails for everybody.
    let mut other = connect(&server.url).await;
    let busy = tokio::spawn(async move {
        other.query_drop(&b"DO _binary'\xff', SLEEP(20)"[..]).await.unwrap();
    });
    let attempt = Attempt::new();
    let task = {
        let (driver, batch, attempt) =
            (Arc::clone(&place.driver), place.batch(19), attempt.clone());
        tokio::spawn(async move { driver.write(batch, &attempt).await })
    };
    place.until_busy(true).await;
    assert!(!task.is_finished() && !busy.is_finished());
    attempt.cancel();
    let error = timeout(Duration::from_secs(15), task).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.is_still_running()), (ErrorKind::Cancelled, false), "{error}");
    place.until_busy(false).await;
    assert!(!busy.is_finished(), "the other statement stood there all the while");
    busy.abort();
    place.unlock().await;
    assert_eq!(place.locker.query::<u32, _>("SELECT id FROM t").await.unwrap(), [0; 0]);
}
