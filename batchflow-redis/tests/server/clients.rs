//! Clients of the user's own, as whose connections are opened.

use batchflow_redis::client::clients::{Client, Pool};
use batchflow_redis::client::types::Builder;
use batchflow_redis::client::types::config::Config;
use batchflow_redis::{Attempt, Batch, ConflictStrategy, Driver, RedisDriver, Schema, Verdict};

use crate::support::{Direct, fresh, url};

fn config() -> Config {
    Config::from_url(&url()).unwrap()
}

fn client(config: Config) -> Client {
    Builder::from_config(config).build().unwrap()
}

#[tokio::test]
#[ignore = "needs Redis: cargo xtask integration"]
async fn a_client_and_a_pool_lend_their_configuration_and_are_left_alone() {
    let pool: Pool = Builder::from_config(config()).build_pool(3).unwrap();
    let drivers = [RedisDriver::from_client(&client(config())), RedisDriver::from_pool(&pool)];
    for driver in drivers {
        let table = fresh("given");
        let schema = Schema::new(&table, ConflictStrategy::Replace, ["id", "name"]).unwrap();
        let batch = Batch::from_requests(vec![schema.row((1_i64, "Ada")).unwrap()]).unwrap();
        let report = driver.write(batch, &Attempt::new()).await.unwrap();
        assert!(matches!(report.verdict(0), Some(Verdict::Written)), "{report:?}");
        let mut direct = Direct::connect(&url()).await;
        assert_eq!(direct.ask(&format!("HGET {table}:1 name")).await, "Ada");
        direct.ask(&format!("DEL {table}:1")).await;
        driver.close().await;
    }
}
