//! [`Rig`]: a flow to PostgreSQL under fire.

use std::ops::Deref;
use std::time::Duration;

use batchflow_core::Value;
use batchflow_core::testing::Table;
use batchflow_postgres::{
    BatchFlow, FlowBuilder, PostgresConfig, PostgresDriver, SslMode, Stats, Way,
};

use super::fire::Fire;
pub(super) use super::fire::{Kind, held_up, in_time, join};
use crate::support::{connect, execute, fresh, rows};

/// A flow under fire, and where its tables are read.
pub(super) struct Rig {
    /// Past every fault.
    url: String,
    fire: Fire,
}

/// What the driver of a rig is told.
pub(super) fn config(url: &str, way: Option<Way>) -> PostgresConfig {
    let config = PostgresConfig::from_url(url).unwrap().ssl_mode(SslMode::Disable);
    let config = config.connect_timeout(Duration::from_secs(2)).pool_size(4);
    match way {
        Some(way) => config.way(way),
        None => config,
    }
}

impl Rig {
    /// A flow by `config` to tables of its own, which are made and read at `url`.
    pub(super) async fn new(url: &str, config: PostgresConfig, seed: u64) -> Self {
        Self::with(url, config, seed, "", |flow| flow).await
    }

    /// As [`new`](Self::new), with what stands behind the tables' columns, and the flow's settings.
    pub(super) async fn with(
        url: &str,
        config: PostgresConfig,
        seed: u64,
        place: &str,
        configure: impl FnOnce(FlowBuilder) -> FlowBuilder,
    ) -> Self {
        let (plain, counting) = (fresh("plain"), fresh("counting"));
        let sql = format!(
            "CREATE TABLE {plain} (n bigint, m bigint) {place}; CREATE TABLE {counting} (id bigint \
             PRIMARY KEY, last bigint, hits bigint) {place}"
        );
        execute(url, &sql).await;
        let driver = PostgresDriver::connect_with(config).await.unwrap();
        let fire = Fire::new(BatchFlow::builder(driver), plain, counting, seed, configure);
        Self { url: url.to_owned(), fire }
    }

    /// Reads the tables elsewhere from now on: where they are after a failover.
    pub(super) fn read_at(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// Closes the flow, and judges.
    pub(super) async fn finish(self, what: &str) -> Stats {
        self.fire.finish(what, async |table: &Table| read(&self.url, table).await).await
    }
}

impl Deref for Rig {
    type Target = Fire;

    fn deref(&self) -> &Fire {
        &self.fire
    }
}

async fn read(url: &str, table: &Table) -> Vec<Vec<Value>> {
    let client = connect(url).await;
    let lines = rows(&client, &format!("SELECT * FROM {}", table.name())).await;
    let value = |text: &str| text.parse().map_or(Value::Null, Value::I64);
    lines.iter().map(|line| line.split('|').map(value).collect()).collect()
}
