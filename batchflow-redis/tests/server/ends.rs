//! Promises 3, 8 and 9: how attempts end that are given up.

use std::time::Duration;

use batchflow_core::testing::Proxy;
use batchflow_redis::{
    Applied, Attempt, Batch, ConflictStrategy, Driver, Layout, RedisDriver, Schema, Settled,
    Verdict,
};
use tokio::time::timeout;

use crate::support::{Direct, address, config, fresh, through, url};

/// A table of strings, and a connection past the driver.
struct Place {
    table: String,
    schema: Schema,
    direct: Direct,
}

impl Place {
    async fn new(what: &str) -> Self {
        let table = fresh(what);
        let schema = Schema::new(&table, ConflictStrategy::Replace, ["id", "value"]).unwrap();
        Self { schema, direct: Direct::connect(&url()).await, table }
    }

    async fn driver(&self, url: &str) -> RedisDriver {
        let config = config(url).connect_timeout(Duration::from_secs(2));
        let driver = RedisDriver::connect_with(config).await.unwrap();
        driver.layout(&self.table, Layout::string(format!("{}:", self.table)))
    }

    fn batch(&self, value: i64) -> Batch {
        Batch::from_requests(vec![self.schema.row((1_i64, value)).unwrap()]).unwrap()
    }

    async fn value(&mut self) -> String {
        let question = format!("GET {}:1", self.table);
        self.direct.ask(&question).await
    }

    /// Holds the server up for some tenths of a second, as a slow command of another's does.
    fn hold() -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            let mut direct = Direct::connect(&url()).await;
            direct.call(&[b"EVAL", b"for i=1,4e7 do end", b"0"]).await.unwrap();
        })
    }
}

async fn in_time<T>(of: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), of).await.expect("promise 9: it hangs")
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_3_nothing_is_executed_once_a_cancelled_write_has_returned() {
    let mut place = Place::new("cancelled").await;
    let driver = place.driver(&url()).await;
    let mut in_doubt = 0;
    for round in 1..=50 {
        in_time(driver.write(place.batch(0), &Attempt::new())).await.unwrap();
        let held = Place::hold();
        tokio::time::sleep(Duration::from_millis(30)).await;
        let attempt = Attempt::new();
        let write = driver.write(place.batch(round), &attempt);
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            attempt.cancel();
        };
        let (report, ()) = in_time(async { tokio::join!(write, cancel) }).await;
        let verdicts = report.unwrap().into_verdicts(1);
        let before = place.value().await;
        held.await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(place.value().await, before, "promise 3: it was executed after its end");
        match &verdicts[0] {
            // The server was not held up soon enough.
            Verdict::Written => continue,
            Verdict::Unknown(error) => assert!(!error.is_still_running(), "{error}"),
            other => panic!("{other:?}"),
        }
        in_doubt += 1;
        if in_doubt == 5 {
            return;
        }
    }
    panic!("the server was never held up");
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_3_what_a_network_holds_back_is_never_executed_after_its_end_was_told() {
    let mut place = Place::new("held_back").await;
    let proxy = Proxy::start(address(&url())).await.unwrap();
    let driver = place.driver(&through(&url(), proxy.address())).await;
    for round in 1..=3 {
        in_time(driver.write(place.batch(0), &Attempt::new())).await.unwrap();
        proxy.stall();
        let attempt = Attempt::new();
        let write = driver.write(place.batch(-round), &attempt);
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            attempt.cancel();
        };
        let (report, ()) = in_time(async { tokio::join!(write, cancel) }).await;
        let verdicts = report.unwrap().into_verdicts(1);
        let Verdict::Unknown(error) = &verdicts[0] else { panic!("{verdicts:?}") };
        assert!(error.is_still_running(), "nobody can be asked: {error}");
        let token = attempt.tokens().pop().unwrap();
        assert!(in_time(driver.settle(&token)).await.is_err(), "nobody can be asked");
        proxy.pass();
        assert_eq!(in_time(driver.settle(&token)).await.unwrap(), Settled::Unknown);
        in_time(driver.write(place.batch(round), &Attempt::new())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(place.value().await, round.to_string(), "promise 3");
    }
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_8_a_write_that_was_never_sent_is_settled_as_not_applied() {
    let place = Place::new("unsent").await;
    let proxy = Proxy::start(address(&url())).await.unwrap();
    let driver = place.driver(&through(&url(), proxy.address())).await;
    proxy.cut_all(batchflow_core::testing::Ending::Reset);
    proxy.refuse(true);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let attempt = Attempt::new();
    let error = in_time(driver.write(place.batch(1), &attempt)).await.unwrap_err();
    assert_eq!(error.applied(), Applied::Nothing, "{error}");
    let token = attempt.tokens().pop().unwrap();
    assert_eq!(driver.settle(&token).await.unwrap(), Settled::NotApplied);
    proxy.refuse(false);
    in_time(driver.write(place.batch(2), &Attempt::new())).await.unwrap();
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn promise_9_a_killed_connection_is_replaced() {
    let mut place = Place::new("killed").await;
    let driver = place.driver(&url()).await;
    in_time(driver.write(place.batch(1), &Attempt::new())).await.unwrap();
    let proxy = Proxy::start(address(&url())).await.unwrap();
    let through = place.driver(&through(&url(), proxy.address())).await;
    for round in 2..20 {
        in_time(through.write(place.batch(round), &Attempt::new())).await.unwrap();
        proxy.cut_all(batchflow_core::testing::Ending::Close);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(place.value().await, "19");
    drop(driver);
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_closed_driver_closes_its_connections_and_writes_no_more() {
    let mut place = Place::new("closed").await;
    let driver = place.driver(&url()).await;
    in_time(driver.write(place.batch(1), &Attempt::new())).await.unwrap();
    driver.close().await;
    let error = in_time(driver.write(place.batch(2), &Attempt::new())).await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    assert_eq!(place.value().await, "1");
}
