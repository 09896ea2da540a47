//! Servers that refuse: no connection left, read-only, packets of a few kilobytes.

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::conformance::Fate;
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{
    Attempt, Batch, BatchFlow, ConflictStrategy, Driver as _, ErrorKind, MysqlDriver, Outcome,
    Request, Schema, Way,
};
use tokio::time::{Instant, sleep};

use super::rig::{Kind, Rig, Setup, config, held_up, in_time, join, way};
use crate::support::servers::Servers;
use crate::support::{Database, connect, execute, rows, seeds, sessions, try_connect};

fn setup(seed: u64) -> Setup {
    Setup { seed, way: way(seed), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_rows_wait_out_a_server_without_a_free_connection() {
    for seed in seeds() {
        let server = Servers::connect().server("max_connections=10").await;
        let rig = Rig::new(&server.url, setup(seed)).await;
        rig.write(Kind::Plain, 10).await;
        // Takes the driver's connections, and every other.
        let mut conn = connect(&server.url).await;
        let mut taken = Vec::new();
        for _ in 0..200 {
            for session in sessions(&mut conn, rig.database.name()).await.unwrap() {
                let _ = conn.query_drop(format!("KILL CONNECTION {}", session.id)).await;
            }
            match try_connect(&server.url).await {
                Ok(another) => taken.push(another),
                Err(_) if taken.len() >= 9 => break,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        assert!(taken.len() >= 9, "{} connections were to be had", taken.len());
        let writers = rig.burst(4, 50);
        sleep(Duration::from_millis(600)).await;
        assert_eq!(rig.flow.stats().written, 10, "there was a connection left");
        drop(taken);
        join(writers).await;
        let stats = rig.finish("no connection left").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_rows_wait_out_a_server_that_is_read_only() {
    for seed in seeds() {
        let server = Servers::connect().server("").await;
        let rig = Rig::new(&server.url, setup(seed)).await;
        let mut conn = connect(&server.url).await;
        let version = rows(&mut conn, "SELECT VERSION()").await.remove(0);
        let name = rows(&mut conn, "SELECT CURRENT_USER()").await.remove(0);
        let (user, host) = name.split_once('@').unwrap();
        // Those who administer a server write to one that is read-only, except to a MySQL that is
        // super_read_only.
        let on = if version.contains("MariaDB") {
            execute(&server.url, "CREATE USER boss@'%' IDENTIFIED BY 'boss'").await;
            execute(&server.url, "GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION").await;
            let boss = boss(&server.url);
            let rights = "READ ONLY ADMIN, SUPER";
            execute(&boss, &format!("REVOKE {rights} ON *.* FROM `{user}`@`{host}`")).await;
            conn = connect(&boss).await;
            "SET GLOBAL read_only = ON"
        } else {
            "SET GLOBAL super_read_only = ON"
        };
        // Sessions that are open have the rights they had.
        for session in sessions(&mut conn, rig.database.name()).await.unwrap() {
            let _ = conn.query_drop(format!("KILL CONNECTION {}", session.id)).await;
        }
        let writers = rig.burst(4, 150);
        sleep(Duration::from_millis(10)).await;
        conn.query_drop(on).await.unwrap();
        let more = rig.burst(2, 20);
        held_up(&rig.flow, &format!("seed {seed}, read-only")).await;
        conn.query_drop("SET GLOBAL read_only = OFF").await.unwrap();
        join(writers).await;
        join(more).await;
        let stats = rig.finish("read-only server").await;
        assert_eq!(stats.unknown + stats.rejected, 0, "seed {seed}: {stats:?}");
    }
}

/// The URL of one who may do everything.
fn boss(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    format!("mysql://boss:boss@{rest}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_4_a_row_too_long_for_the_server_s_packets_is_refused_alone() {
    for seed in seeds() {
        let server = Servers::connect().server("max_allowed_packet=16384").await;
        let database = Database::on(&server.url, "packets").await;
        database
            .execute("CREATE TABLE t (id BIGINT PRIMARY KEY, body LONGTEXT) ENGINE=InnoDB")
            .await;
        let mut config = config(database.url());
        if let Some(way) = way(seed) {
            config = config.way(way);
        }
        let driver = MysqlDriver::connect_with(config).await.unwrap();
        let flow = BatchFlow::builder(driver).flush_size(100).build().unwrap();
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "body"]).unwrap();
        let mut dice = fastrand::Rng::with_seed(seed);
        let too_long = dice.i64(0..300);
        let mut receipts = Vec::new();
        for id in 0..300 {
            let length = if id == too_long { 20_000 } else { dice.usize(0..4_000) };
            let request = Request::new(&schema).set("id", id).set("body", "x".repeat(length));
            receipts.push((id, flow.submit_tracked(request).await.unwrap()));
        }
        for (id, receipt) in receipts {
            let outcome = in_time(receipt).await;
            if id == too_long {
                let fate = Fate::from(&outcome);
                let refused = [ErrorKind::TooLarge, ErrorKind::Data].map(Fate::Rejected);
                assert!(refused.contains(&fate), "seed {seed}, row {id}: {fate:?}");
            } else {
                assert_eq!(outcome.unwrap(), Outcome::Written, "seed {seed}, row {id}");
            }
        }
        let summary = in_time(flow.close()).await.unwrap();
        assert_eq!(summary.stats.rejected, 1, "seed {seed}");
        assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, ["299"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_9_rows_that_no_temporary_table_has_room_for_are_written_otherwise() {
    let server = Servers::connect().server("max_heap_table_size=16384 local_infile=ON").await;
    let database = Database::on(&server.url, "heap").await;
    database
        .execute("CREATE TABLE t (id BIGINT PRIMARY KEY, body VARCHAR(100)) ENGINE=InnoDB")
        .await;
    let schema = Schema::new("t", ConflictStrategy::Update, ["id", "body"]).unwrap();
    let body = "x".repeat(100);
    let rows = |first: i64, count: i64| {
        let rows = (first..first + count).map(|id| schema.row((id, body.as_str())).unwrap());
        Batch::from_requests(rows.collect()).unwrap()
    };
    // As many as the driver takes a table in memory to have room for, and more than that.
    for (first, count) in [(0, 5_000), (10_000, 40_000)] {
        let config = config(database.url()).way(Way::Load);
        let driver = MysqlDriver::connect_with(config).await.unwrap();
        let written = driver.write(rows(first, count), &Attempt::new()).await;
        written.unwrap_or_else(|error| panic!("{count} rows: {error}"));
        driver.close().await;
    }
    let found = database.rows("SELECT COUNT(*), COUNT(DISTINCT body) FROM t").await;
    assert_eq!(found, ["45000|1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_1_rows_wait_out_a_server_without_space() {
    for seed in seeds() {
        let space = "innodb_file_per_table=OFF \
                     innodb_data_file_path=ibdata1:12M:autoextend:max:24M";
        let server = Servers::connect().server(space).await;
        let database = Database::on(&server.url, "space").await;
        database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, body TEXT) ENGINE=InnoDB").await;
        database.execute("CREATE TABLE filler (body LONGBLOB) ENGINE=InnoDB").await;
        let mut filler = database.connect().await;
        // Not to the last page: to drop a table takes some.
        for size in [1_000_000, 200_000] {
            let fill = format!("INSERT INTO filler VALUES (REPEAT('x', {size}))");
            while filler.query_drop(&*fill).await.is_ok() {}
        }
        let mut config = config(database.url());
        if let Some(way) = way(seed) {
            config = config.way(way);
        }
        let driver = Arc::new(MysqlDriver::connect_with(config).await.unwrap());
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "body"]).unwrap();
        let body = "x".repeat(6_000);
        let rows = (1_000..1_200).map(|id| schema.row((id, body.as_str())).unwrap());
        let batch = Batch::from_requests(rows.collect()).unwrap();
        let error = driver.write(batch, &Attempt::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Resource, "seed {seed}: {error}");
        assert!(error.to_string().contains("full"), "seed {seed}: {error}");
        if database.rows("SELECT VERSION()").await[0].contains("MariaDB") {
            let why = "MariaDB gives no space back once its tablespace is full";
            let test = "faults::limits::promise_1_rows_wait_out_a_server_without_space";
            Servers::connect().skipped(test, why).await;
            continue;
        }
        let flow = BatchFlow::builder(driver).flush_size(100).build().unwrap();
        let mut receipts = Vec::new();
        for id in 0..200 {
            let request = Request::new(&schema).set("id", id).set("body", &*body);
            receipts.push(flow.submit_tracked(request).await.unwrap());
        }
        sleep(Duration::from_millis(500)).await;
        let stats = flow.stats();
        assert!(stats.pending > 0 && stats.rejected == 0, "seed {seed}: {stats:?}");
        let until = Instant::now() + Duration::from_secs(20);
        // As long as an attempt has what it takes.
        while let Err(error) = filler.query_drop("DROP TABLE filler").await {
            assert!(Instant::now() < until, "seed {seed}: {error}");
        }
        for receipt in receipts {
            assert_eq!(in_time(receipt).await.unwrap(), Outcome::Written, "seed {seed}");
        }
        assert!(in_time(flow.close()).await.unwrap().all_written(), "seed {seed}");
        assert_eq!(database.rows("SELECT COUNT(*), MIN(LENGTH(body)) FROM t").await, ["200|6000"]);
    }
}
