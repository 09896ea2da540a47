//! Servers that log statements, by which replicas do the same again.

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::client::{Opts, OptsBuilder, Pool, PoolOpts};
use batchflow_mysql::{
    Attempt, Batch, ConflictStrategy, Driver as _, Merge, MysqlDriver, Request, Schema, Value, Way,
};

use super::replication::Pair;
use super::rig::config;
use crate::support::servers::Servers;
use crate::support::{Database, rows, seeds};

/// What a server is told that logs no rows. Its sessions would read what is committed, so that it
/// takes no writes from those that do not say otherwise.
const STATEMENTS: &str = "binlog_format=STATEMENT transaction_isolation=READ-COMMITTED";

const TABLE: &str = "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(60), \
    latin VARCHAR(20) CHARACTER SET latin1, small SMALLINT, big BIGINT UNSIGNED, \
    price DECIMAL(30,10), f FLOAT, d DOUBLE, mood ENUM('sad', 'ok'), doc JSON, at DATETIME(6), \
    stamp TIMESTAMP(6) NULL, day DATE, span TIME(6), born YEAR, flags BIT(12), raw VARBINARY(60), \
    body LONGBLOB, hits BIGINT NOT NULL DEFAULT 0, touched DATETIME(6), seen TIMESTAMP(6) NULL) \
    ENGINE=InnoDB";

const COLUMNS: [&str; 21] = [
    "id", "name", "latin", "small", "big", "price", "f", "d", "mood", "doc", "at", "stamp", "day",
    "span", "born", "flags", "raw", "body", "hits", "touched", "seen",
];

/// All of it, as text that loses nothing.
const ALL: &str = "SELECT id, HEX(name), HEX(latin), small, big, price, f + 0e0, d, mood, doc, at, \
    stamp, day, span, born, flags + 0, HEX(raw), HEX(body), hits, touched, seen FROM t ORDER BY id";

/// What numbers its rows itself.
const NUMBERED: &str = "CREATE TABLE numbered (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
    code VARCHAR(20) UNIQUE, n INT, made TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6)) ENGINE=InnoDB";

fn schema(strategy: ConflictStrategy, touch: &str) -> Schema {
    let schema = Schema::builder("t").columns(COLUMNS).key(["id"]).on_conflict(strategy);
    let schema = schema.touch(touch);
    let sums = strategy == ConflictStrategy::Update;
    let schema = if sums { schema.merge("hits", Merge::Add) } else { schema };
    schema.build().unwrap()
}

/// A text of any characters, those among them by which texts and files are written.
fn text(dice: &mut fastrand::Rng, longest: usize, of: &[char]) -> String {
    (0..dice.usize(0..longest)).map(|_| of[dice.usize(0..of.len())]).collect()
}

fn bytes(dice: &mut fastrand::Rng, longest: usize) -> Vec<u8> {
    (0..dice.usize(0..longest)).map(|_| dice.u8(..)).collect()
}

/// A row of whatever fits. One that is loaded from a file has no bytes.
fn row(schema: &Schema, id: i64, dice: &mut fastrand::Rng, has_bytes: bool) -> Request {
    const ANY: [char; 14] =
        ['a', 'Z', '\'', '"', '\\', '`', '\n', '\t', '\0', '\u{1a}', '%', 'ä', '世', '🦀'];
    let moment = format!(
        "20{:02}-{:02}-{:02}T{:02}:59:{:02}.{:06}Z",
        dice.u8(0..38),
        dice.u8(1..13),
        dice.u8(1..29),
        dice.u8(0..24),
        dice.u8(0..60),
        dice.u32(0..1_000_000),
    );
    let mut row = Request::new(schema)
        .set("id", id)
        .set("name", text(dice, 50, &ANY))
        .set("latin", text(dice, 20, &['x', '\'', '\\', 'ß', '\u{20ac}']))
        .set("small", dice.i16(..))
        .set("big", dice.u64(..))
        .set("price", Value::Decimal(format!("{}.{}", dice.i64(..), dice.u32(..)).into()))
        .set("f", f32::from_bits(dice.u32(..) & 0xbfff_ffff))
        .set("d", f64::from_bits(dice.u64(..) & 0xbfff_ffff_ffff_ffff))
        .set("mood", if dice.bool() { "ok" } else { "sad" })
        .set("doc", Value::Json("{\"a\": [1, \"it's\", null]}".into()))
        .set("at", moment.clone())
        .set("stamp", moment.clone())
        .set("day", &moment[..10])
        .set("span", format!("-{:02}:00:{:02}.5", dice.u16(0..800), dice.u8(0..60)))
        .set("born", dice.u16(1901..2156))
        .set("hits", dice.i64(-9..9));
    if has_bytes {
        row = row.set("flags", dice.u16(0..4_096));
        row = row.set("raw", bytes(dice, 60)).set("body", bytes(dice, 2_000));
    }
    if dice.u8(0..4) == 0 {
        let null = COLUMNS[dice.usize(1..15)];
        row = row.set_null(null);
    }
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_5_a_replica_that_repeats_the_statements_has_the_same_rows() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    for seed in seeds() {
        let mut pair = Pair::new(STATEMENTS).await;
        pair.replication("START").await;
        let database = Database::on(&pair.first.url, "statements").await;
        database.execute(TABLE).await;
        database.execute(NUMBERED).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        for way in [Way::Rows, Way::Bulk, Way::Load] {
            let driver = MysqlDriver::connect_with(config(database.url()).way(way)).await.unwrap();
            for (at, strategy) in [Fail, Ignore, Update, Replace].into_iter().enumerate() {
                let case = format!("seed {seed}: {strategy:?} by {way:?}");
                let write = async |rows| {
                    let batch = Batch::from_requests(rows).unwrap();
                    driver.write(batch, &Attempt::new()).await.unwrap_or_else(|error| {
                        panic!("{case}: {error}: {:?}", error.server_message())
                    })
                };
                let touch = if at % 2 == 0 { "touched" } else { "seen" };
                let schema = schema(strategy, touch);
                let first = if strategy == Fail { at as i64 * 1_000 } else { 0 };
                let has_bytes = way != Way::Load;
                let mut some: Vec<Request> =
                    (first..first + 40).map(|id| row(&schema, id, &mut dice, has_bytes)).collect();
                if strategy == Fail {
                    database.execute("TRUNCATE TABLE t").await;
                    dice.shuffle(&mut some);
                }
                write(some).await;
                let code = |id: usize| format!("{way:?} {id}");
                let numbered = Schema::builder("numbered").columns(["id", "code", "n"]);
                let numbered = numbered.key(["code"]).on_conflict(strategy).build().unwrap();
                let some = (at * 10..at * 10 + 30)
                    .map(|id| Request::new(&numbered).set("code", code(id)).set("n", id as i64));
                let some = some.collect();
                if strategy == Fail {
                    database.execute("TRUNCATE TABLE numbered").await;
                }
                write(some).await;
                pair.caught_up().await;
                let theirs = crate::support::with_database(&pair.second.url, database.name());
                let mut replica = crate::support::connect(&theirs).await;
                for sql in [ALL, "SELECT * FROM numbered ORDER BY code"] {
                    let found = database.rows(sql).await;
                    assert!(found.len() >= 30, "{case}: {}", found.len());
                    for (ours, theirs) in found.iter().zip(rows(&mut replica, sql).await) {
                        assert_eq!(*ours, theirs, "{case}");
                    }
                }
            }
            driver.close().await;
        }
    }
}

/// Single rows and many at once in turn: the session goes into autocommit and out of it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_5_a_replica_repeats_statements_that_commit_themselves_among_transactions() {
    use ConflictStrategy::{Ignore, Replace, Update};
    for seed in seeds() {
        let mut pair = Pair::new(STATEMENTS).await;
        pair.replication("START").await;
        let database = Database::on(&pair.first.url, "statements").await;
        database.execute(TABLE).await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let config = config(database.url()).pool_size(1);
        let driver = MysqlDriver::connect_with(config).await.unwrap();
        for _ in 0..60 {
            let strategy = [Ignore, Replace, Update][dice.usize(0..3)];
            let schema = Schema::builder("t").columns(COLUMNS).key(["id"]).on_conflict(strategy);
            let schema = schema.touch("touched").build().unwrap();
            let (first, rows) =
                (dice.i64(0..200), [1, 1, 1, 1, 1, 1, 2, 64, 150][dice.usize(0..9)]);
            for _ in 0..dice.u8(1..5) {
                let rows = (first..first + rows).map(|id| row(&schema, id, &mut dice, false));
                // A batch has one set of columns.
                let rows = rows.map(|row| row.set_null("latin")).collect();
                let batch = Batch::from_requests(rows).unwrap();
                let written = driver.write(batch, &Attempt::new()).await;
                written.unwrap_or_else(|error| panic!("seed {seed}, {strategy:?}: {error}"));
            }
        }
        pair.caught_up().await;
        let theirs = crate::support::with_database(&pair.second.url, database.name());
        let replica = rows(&mut crate::support::connect(&theirs).await, ALL).await;
        assert_eq!(database.rows(ALL).await, replica, "seed {seed}");
        driver.close().await;
    }
}

/// What is known of a pool's server is asked again when it has changed.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_pool_s_server_that_begins_to_log_statements_takes_the_next_batch() {
    let server = Servers::connect().server("log_bin=log server_id=1 binlog_format=ROW").await;
    let database = Database::on(&server.url, "format").await;
    database.execute("CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB").await;
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id"]).unwrap();
    let batch = |id: i32| Batch::from_requests(vec![schema.row((id,)).unwrap()]).unwrap();
    let pool = |resets| {
        let pool = PoolOpts::default().with_reset_connection(resets);
        let opts = Opts::from_url(database.url()).unwrap();
        let opts = OptsBuilder::from_opts(opts).pool_opts(pool);
        MysqlDriver::from_pool(Pool::new(opts))
    };
    let own = MysqlDriver::connect_with(config(database.url())).await.unwrap();
    let mut conn = database.connect().await;
    let mut next = 0;
    for (whose, driver) in [("own", own), ("reset", pool(true)), ("not reset", pool(false))] {
        for format in ["ROW", "STATEMENT", "MIXED", "STATEMENT"] {
            conn.query_drop(format!("SET GLOBAL binlog_format = {format}")).await.unwrap();
            for _ in 0..2 {
                next += 1;
                let written = driver.write(batch(next), &Attempt::new()).await;
                written.unwrap_or_else(|error| panic!("{whose}, {format}: {error}"));
            }
        }
        driver.close().await;
    }
    assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, [next.to_string()]);
}
