//! Writers that upsert the same keys, each in another order.

use batchflow_mysql::{BatchFlow, ConflictStrategy, Merge, MysqlDriver, Request, Schema};
use tokio::task::JoinSet;

use super::rig::{config, in_time};
use crate::support::servers::Servers;
use crate::support::{Database, connect, rows, seeds};

const WRITERS: i64 = 16;
const KEYS: i64 = 300;
const ROUNDS: i64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_3_sixteen_writers_of_the_same_keys_never_lock_each_other_out() {
    for seed in seeds() {
        // Its own, since the server tells its last deadlock.
        let server = Servers::connect().server("").await;
        let database = Database::on(&server.url, "overlap").await;
        database.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, hits BIGINT) ENGINE=InnoDB").await;
        let schema = Schema::builder("t").columns(["id", "hits"]).key(["id"]);
        let schema = schema.on_conflict(ConflictStrategy::Update).merge("hits", Merge::Add);
        let schema = schema.build().unwrap();
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (url, schema) = (database.url().to_owned(), schema.clone());
            writers.spawn(async move {
                let driver = MysqlDriver::connect_with(config(&url).pool_size(2)).await;
                let flow = BatchFlow::builder(driver.unwrap()).flush_size(200).concurrency(2);
                let flow = flow.build().unwrap();
                for _ in 0..ROUNDS {
                    for at in 0..KEYS {
                        let id = if writer % 2 == 0 { at } else { KEYS - 1 - at };
                        let request = Request::new(&schema).set("id", id).set("hits", 1_i64);
                        flow.submit(request).await.unwrap();
                    }
                }
                let summary = in_time(flow.close()).await.unwrap();
                assert!(summary.all_written(), "{:?}", summary.stats);
            });
        }
        while let Some(done) = in_time(writers.join_next()).await {
            done.unwrap();
        }
        let mut conn = connect(database.url()).await;
        let wrong = format!("SELECT COUNT(*) FROM t WHERE hits <> {}", WRITERS * ROUNDS);
        assert_eq!(rows(&mut conn, &wrong).await, ["0"], "seed {seed}");
        assert_eq!(rows(&mut conn, "SELECT COUNT(*) FROM t").await, [KEYS.to_string()]);
        // They met indeed.
        let waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'";
        let waits = rows(&mut conn, waits).await.concat();
        assert_ne!(waits.split_once('|').map(|(_, count)| count), Some("0"), "seed {seed}");
        let status = rows(&mut conn, "SHOW ENGINE INNODB STATUS").await.concat();
        assert!(status.contains("TRANSACTIONS"), "{status}");
        assert!(!status.contains("LATEST DETECTED DEADLOCK"), "seed {seed}: {status}");
    }
}
