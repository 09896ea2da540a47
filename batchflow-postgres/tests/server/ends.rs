//! Promises 3, 8 and 9: how attempts end that are given up, and what is known of them.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::{
    Applied, Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Settled, Stage,
};
use batchflow_postgres::client::Client;
use batchflow_postgres::{PostgresConfig, PostgresDriver, Schema, Way};
use tokio::time::{Instant, timeout};

use crate::support::{connect, direct_url, execute, fresh, is_pooled, rows, url};

const WAYS: [Way; 3] = [Way::Unnest, Way::Copy, Way::Stage];

/// A table, a driver with one connection that is called as the table, and a connection past it.
struct Place {
    table: String,
    schema: Schema,
    driver: Arc<PostgresDriver>,
    client: Client,
    /// Holds the lock: what is seen of other backends stays the same within a transaction.
    locker: Client,
}

impl Place {
    async fn new(what: &str, way: Way) -> Self {
        let table = fresh(&format!("{what}_{way:?}").to_lowercase());
        execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY, name text)")).await;
        let config = PostgresConfig::from_url(&url()).unwrap();
        let config = config.pool_size(1).application_name(&table).way(way);
        let driver = Arc::new(PostgresDriver::connect_with(config).await.unwrap());
        let schema = Schema::new(&table, ConflictStrategy::Fail, ["id", "name"]).unwrap();
        let (client, locker) = (connect(&url()).await, connect(&url()).await);
        Self { table, schema, driver, client, locker }
    }

    fn batch(&self, id: i32) -> Batch {
        Batch::from_requests(vec![self.schema.row((id, "Ada")).unwrap()]).unwrap()
    }

    async fn ids(&self) -> Vec<String> {
        rows(&self.client, &format!("SELECT id FROM {} ORDER BY id", self.table)).await
    }

    /// The driver's backends that are in a transaction.
    async fn busy(&self) -> usize {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE application_name = '{}' AND state <> 'idle'",
            self.table
        );
        rows(&self.client, &sql).await.len()
    }

    async fn pids(&self) -> Vec<String> {
        let sql =
            format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{}'", self.table);
        rows(&self.client, &sql).await
    }

    async fn until_busy(&self, busy: bool) {
        let seen = async {
            while (self.busy().await > 0) != busy {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let table = &self.table;
        let seen = timeout(Duration::from_secs(10), seen).await;
        seen.unwrap_or_else(|_| panic!("promise 9: {table}'s backend is not busy: {busy}"));
    }

    async fn lock(&self) {
        let lock = format!("BEGIN; LOCK TABLE {} IN EXCLUSIVE MODE", self.table);
        self.locker.batch_execute(&lock).await.unwrap();
    }

    async fn unlock(&self) {
        self.locker.batch_execute("ROLLBACK").await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_3_a_dropped_write_ends_on_the_server_and_leaves_nothing() {
    if is_pooled() {
        // Behind a pooler nobody can tell whose a backend is.
        return;
    }
    for way in WAYS {
        let place = Place::new("dropped", way).await;
        place.driver.write(place.batch(1), &Attempt::new()).await.unwrap();
        let before = place.pids().await;
        place.lock().await;
        let attempt = Attempt::new();
        {
            let mut write = Box::pin(place.driver.write(place.batch(2), &attempt));
            let early = timeout(Duration::from_millis(200), &mut write).await;
            assert!(early.is_err(), "{way:?}: the lock holds it up");
        }
        assert!(attempt.tokens().is_empty(), "{way:?}: promise 8: no commit was sent");
        // The statement waits for a lock that is still held: only a cancel ends it.
        place.until_busy(false).await;
        place.unlock().await;
        place.driver.write(place.batch(3), &Attempt::new()).await.unwrap();
        assert_eq!(place.ids().await, ["1", "3"], "{way:?}");
        assert_ne!(place.pids().await, before, "{way:?}: the connection was not used again");
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_3_a_cancelled_write_returns_once_it_has_ended() {
    if is_pooled() {
        // Behind a pooler nobody can tell whose a backend is.
        return;
    }
    for way in WAYS {
        let place = Place::new("cancelled", way).await;
        place.driver.write(place.batch(1), &Attempt::new()).await.unwrap();
        place.lock().await;
        let attempt = Attempt::new();
        let (driver, batch, running) = (place.driver.clone(), place.batch(2), attempt.clone());
        let write = tokio::spawn(async move { driver.write(batch, &running).await });
        place.until_busy(true).await;
        attempt.cancel();
        let error = write.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{way:?}: {error}");
        assert_eq!(error.applied(), Applied::Nothing, "{way:?}");
        assert_eq!(place.busy().await, 0, "{way:?}: promise 3: it was seen to end");
        place.unlock().await;
        assert_eq!(place.ids().await, ["1"], "{way:?}");
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn the_server_ends_a_statement_before_the_attempts_deadline() {
    if is_pooled() {
        // Behind a pooler nobody can tell whose a backend is.
        return;
    }
    for way in WAYS {
        let place = Place::new("late", way).await;
        place.driver.write(place.batch(1), &Attempt::new()).await.unwrap();
        let before = place.pids().await;
        place.lock().await;
        let deadline = Instant::now() + Duration::from_secs(1);
        let attempt = Attempt::new().with_deadline(deadline);
        let error = place.driver.write(place.batch(2), &attempt).await.unwrap_err();
        assert!(Instant::now() < deadline, "{way:?}: promise 9");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, Some("57014")), "{way:?}");
        assert_eq!(error.applied(), Applied::Nothing, "{way:?}");
        place.unlock().await;
        assert_eq!(place.ids().await, ["1"], "{way:?}");
        if way != Way::Copy {
            assert_eq!(place.pids().await, before, "{way:?}: the connection is as good as it was");
        }
        // The limit went with its transaction.
        let attempt = Attempt::new();
        place.driver.write(place.batch(3), &attempt).await.unwrap();
        place.driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_pool_at_its_limit_is_waited_for_and_then_named() {
    let place = Place::new("full", Way::Unnest).await;
    place.driver.write(place.batch(1), &Attempt::new()).await.unwrap();
    place.lock().await;
    let (driver, batch) = (place.driver.clone(), place.batch(2));
    let held_up = tokio::spawn(async move { driver.write(batch, &Attempt::new()).await });
    place.until_busy(true).await;
    let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_millis(300));
    let error = place.driver.write(place.batch(3), &attempt).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connection | ErrorKind::Timeout), "{error}");
    assert_eq!((error.stage(), error.applied()), (Stage::Connect, Applied::Nothing));
    place.unlock().await;
    held_up.await.unwrap().unwrap();
    assert_eq!(place.ids().await, ["1", "2"]);
    place.driver.close().await;
    let error = place.driver.write(place.batch(4), &Attempt::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Cancelled, Stage::Connect));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_8_a_commit_is_settled_by_its_token() {
    let place = Place::new("settled", Way::Unnest).await;
    let attempt = Attempt::new();
    place.driver.write(place.batch(1), &attempt).await.unwrap();
    let [committed] = &attempt.tokens()[..] else { panic!("one token a commit") };
    assert_eq!(place.driver.settle(committed).await.unwrap(), Settled::Committed);

    // A constraint that is checked by the commit: its token tells of what was not applied.
    let table = &place.table;
    let deferred = format!(
        "CREATE TABLE {table}_other (id int PRIMARY KEY); ALTER TABLE {table} ADD FOREIGN KEY (id) \
         REFERENCES {table}_other DEFERRABLE INITIALLY DEFERRED NOT VALID"
    );
    place.client.batch_execute(&deferred).await.unwrap();
    let attempt = Attempt::new();
    let error = place.driver.write(place.batch(2), &attempt).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Constraint, Stage::Commit));
    assert_eq!(error.applied(), Applied::Nothing);
    let [refused] = &attempt.tokens()[..] else { panic!("one token a commit") };
    assert_eq!(place.driver.settle(refused).await.unwrap(), Settled::NotApplied);
    assert_eq!(place.ids().await, ["1"]);
    place.driver.close().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn no_connection_to_a_server_that_takes_no_writes_is_used_again() {
    if is_pooled() {
        // A pooler lets in only whom it knows.
        return;
    }
    let (table, role) = (fresh("read_only"), fresh("read_only_role"));
    let create = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; CREATE TABLE {table} (id int PRIMARY KEY); \
         GRANT ALL ON {table} TO {role}; ALTER ROLE {role} SET default_transaction_read_only = on"
    );
    execute(&url(), &create).await;
    let config = PostgresConfig::from_url(&url()).unwrap().user(&role).password("x").pool_size(2);
    let driver = PostgresDriver::connect_with(config).await.unwrap();
    let schema = Schema::new(&table, ConflictStrategy::Ignore, ["id"]).unwrap();
    let batch = |id: i32| Batch::from_requests(vec![schema.row((id,)).unwrap()]).unwrap();
    // Both connections are open, and each of them is read-only for its life.
    let (one, two) = tokio::join!(driver.describe(&schema), driver.describe(&schema));
    one.and(two).unwrap();
    let error = driver.write(batch(1), &Attempt::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    execute(&url(), &format!("ALTER ROLE {role} RESET default_transaction_read_only")).await;
    let attempts = [Attempt::new(), Attempt::new()];
    let (one, two) =
        tokio::join!(driver.write(batch(1), &attempts[0]), driver.write(batch(2), &attempts[1]));
    one.and(two).unwrap();
    driver.close().await;
    execute(&url(), &format!("DROP TABLE {table}; DROP ROLE {role}")).await;
}

/// A migration holds the table: the look-up that a write begins with ends with its attempt, and
/// leaves nothing behind on the server.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_9_a_locked_table_holds_no_write_beyond_its_deadline() {
    let table = fresh("locked");
    execute(
        &url(),
        &format!(
            "CREATE TABLE {table} (id int PRIMARY KEY) PARTITION BY RANGE (id); \
             CREATE TABLE {table}_1 PARTITION OF {table} FOR VALUES FROM (0) TO (100)"
        ),
    )
    .await;
    let config = PostgresConfig::from_url(&url()).unwrap().pool_size(2).application_name(&table);
    let driver = PostgresDriver::connect_with(config).await.unwrap();
    let schema = Schema::new(&table, ConflictStrategy::Ignore, ["id"]).unwrap();
    let batch = Batch::from_requests(vec![schema.row((1,)).unwrap()]).unwrap();
    let migration = connect(&direct_url()).await;
    let lock = format!("BEGIN; LOCK TABLE {table}, {table}_1 IN ACCESS EXCLUSIVE MODE");
    migration.batch_execute(&lock).await.unwrap();
    for _ in 0..3 {
        let attempt = Attempt::new().with_deadline(Instant::now() + Duration::from_millis(300));
        let write = driver.write(batch.clone(), &attempt);
        let error = timeout(Duration::from_secs(5), write).await.unwrap().unwrap_err();
        assert!(error.kind().is_transient() && !error.is_still_running(), "{error}");
    }
    let ours = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{table}' \
         AND wait_event_type = 'Lock'"
    );
    let other = connect(&direct_url()).await;
    timeout(Duration::from_secs(10), async {
        while rows(&other, &ours).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("nothing waits for the lock any more");
    migration.batch_execute("ROLLBACK").await.unwrap();
    driver.write(batch, &Attempt::new()).await.unwrap();
    driver.close().await;
    execute(&url(), &format!("DROP TABLE {table}")).await;
}

/// No span and no number that a caller can give is too large.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn the_longest_time_to_connect_is_no_trouble() {
    let table = fresh("patient");
    execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY)")).await;
    let config = PostgresConfig::from_url(&url()).unwrap().connect_timeout(Duration::MAX);
    let driver = PostgresDriver::connect_with(config).await.unwrap();
    let driver = driver.with_connect_timeout(Duration::MAX);
    let schema = Schema::new(&table, ConflictStrategy::Ignore, ["id"]).unwrap();
    driver.describe(&schema).await.unwrap();
    for connections in [0, 65_536, usize::MAX] {
        let config = PostgresConfig::from_url(&url()).unwrap().pool_size(connections);
        let error = PostgresDriver::connect_with(config).await.unwrap_err();
        assert!(error.to_string().contains("pool_size"), "{error}");
    }
    driver.close().await;
    execute(&url(), &format!("DROP TABLE {table}")).await;
}
