//! [`Rig`]: a flow to MySQL under fire.

use std::ops::Deref;
use std::time::Duration;

use batchflow_core::Value;
use batchflow_core::testing::Table;
use batchflow_mysql::{BatchFlow, FlowBuilder, MysqlConfig, MysqlDriver, SslMode, Stats, Way};

use super::fire::Fire;
pub(super) use super::fire::{Kind, held_up, in_time, join};
use crate::support::framing::through;
use crate::support::{Database, fresh, rows};

/// A flow under fire, and the database that its tables are in.
pub(super) struct Rig {
    fire: Fire,
    pub(super) database: Database,
}

/// How a rig is set up.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) way: Option<Way>,
    /// Whether a ledger tells what became of a commit.
    pub(super) ledger: bool,
    /// The address that the driver is told in place of the server's.
    pub(super) through: Option<String>,
    pub(super) pool_size: Option<usize>,
    /// Whom the driver logs in as, where not as the tests do.
    pub(super) login: Option<(&'static str, &'static str)>,
}

/// The documented ledger.
const LEDGER: &str = "CREATE TABLE batchflow_ledger (session BINARY(16) NOT NULL PRIMARY KEY, \
    batch BIGINT UNSIGNED NOT NULL, written_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
    KEY (written_at)) ENGINE = InnoDB";

/// What the driver of a test under fire is told.
pub(super) fn config(url: &str) -> MysqlConfig {
    let config = MysqlConfig::from_url(url).unwrap().ssl_mode(SslMode::Disabled);
    config.connect_timeout(Duration::from_secs(2)).pool_size(4).local_infile(true)
}

/// Each seed forces another way, or none.
pub(super) fn way(seed: u64) -> Option<Way> {
    [None, Some(Way::Rows), Some(Way::Bulk), Some(Way::Load)][(seed % 4) as usize]
}

impl Rig {
    /// A flow to tables of its own on a server.
    pub(super) async fn new(server: &str, setup: Setup) -> Self {
        Self::with(server, setup, |flow| flow).await
    }

    /// As [`new`](Self::new), with the flow's settings.
    pub(super) async fn with(
        server: &str,
        setup: Setup,
        configure: impl FnOnce(FlowBuilder) -> FlowBuilder,
    ) -> Self {
        let database = Database::on(server, "fire").await;
        let (plain, counting) = (fresh("plain"), fresh("counting"));
        database.execute(&format!("CREATE TABLE {plain} (n BIGINT, m BIGINT) ENGINE=InnoDB")).await;
        let counts = format!(
            "CREATE TABLE {counting} (id BIGINT PRIMARY KEY, last BIGINT, hits BIGINT) \
             ENGINE=InnoDB"
        );
        database.execute(&counts).await;
        let url = setup.through.as_ref().map(|address| through(database.url(), address));
        let mut config = config(url.as_deref().unwrap_or(database.url()));
        if let Some(way) = setup.way {
            config = config.way(way);
        }
        if let Some(size) = setup.pool_size {
            config = config.pool_size(size);
        }
        if let Some((user, password)) = setup.login {
            config = config.user(user).password(password);
        }
        if setup.ledger {
            database.execute(LEDGER).await;
            config = config.ledger("batchflow_ledger");
        }
        let driver = MysqlDriver::connect_with(config).await.unwrap();
        let flow = BatchFlow::builder(driver);
        let fire = Fire::new(flow, plain, counting, setup.seed, configure);
        Self { fire, database }
    }

    /// Closes the flow, and judges.
    pub(super) async fn finish(self, what: &str) -> Stats {
        let Self { fire, database } = self;
        fire.finish(what, async |table: &Table| read(&database, table).await).await
    }
}

impl Deref for Rig {
    type Target = Fire;

    fn deref(&self) -> &Fire {
        &self.fire
    }
}

async fn read(database: &Database, table: &Table) -> Vec<Vec<Value>> {
    let mut conn = database.connect().await;
    let lines = rows(&mut conn, &format!("SELECT * FROM {}", table.name())).await;
    let value = |text: &str| text.parse().map_or(Value::Null, Value::I64);
    lines.iter().map(|line| line.split('|').map(value).collect()).collect()
}
