//! Batches of every size, each way forced against the way that the driver chooses.

use batchflow_postgres::{
    Attempt, Batch, ConflictStrategy, Driver, PostgresDriver, Request, Schema, Value, Verdict, Way,
};

use crate::World;
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rows::{self, documents, narrow_table, sessions_table};
use crate::server::{SCHEMA, Server, timed};

/// Sizes of batches, and how many of them are written.
const SIZES: [(usize, usize); 5] = [(10, 100), (100, 60), (1_000, 20), (5_000, 6), (20_000, 2)];
const ROUNDS: usize = 5;

/// What the rows are like, and which strategy writes them.
#[derive(Clone, Copy, Debug)]
enum Rows {
    Narrow,
    Wide,
    Plain,
}

impl Rows {
    fn name(self) -> &'static str {
        match self {
            Self::Narrow => "narrow upserts",
            Self::Wide => "wide upserts",
            Self::Plain => "narrow inserts",
        }
    }

    /// The ways that write them, with a name of each.
    fn ways(self) -> &'static [(Way, &'static str)] {
        match self {
            Self::Narrow | Self::Wide => {
                &[(Way::Unnest, "UNNEST"), (Way::Stage, "temporary table")]
            }
            Self::Plain => {
                &[(Way::Unnest, "UNNEST"), (Way::Copy, "COPY"), (Way::Stage, "temporary table")]
            }
        }
    }

    fn table(self, table: &str) -> String {
        match self {
            Self::Narrow | Self::Plain => narrow_table(table),
            Self::Wide => sessions_table(table),
        }
    }

    fn schema(self, table: &str) -> Schema {
        match self {
            Self::Narrow => ours::schema(table, ConflictStrategy::Update),
            Self::Plain => ours::schema(table, ConflictStrategy::Fail),
            Self::Wide => {
                let columns = [
                    "session_id",
                    "agent_id",
                    "team_id",
                    "workflow_id",
                    "user_id",
                    "name",
                    "metadata",
                    "state",
                    "agent_data",
                    "runs",
                    "summary",
                    "created_at",
                    "updated_at",
                ];
                let schema = Schema::new(table, ConflictStrategy::Update, columns);
                schema.expect("the schema is sound")
            }
        }
    }

    fn requests(self, schema: &Schema, first: usize, count: usize, pass: usize) -> Vec<Request> {
        let wide = |id: usize| {
            let texts = ["session", "agent", "team", "workflow", "user", "name"];
            let mut values: Vec<Value> =
                texts.iter().map(|text| format!("{text}-{id:08}").into()).collect();
            values.extend(documents(id, pass).map(|text| Value::Json(text.into())));
            let moment = batchflow_postgres::Timestamp::from_unix_micros(id as i64);
            values.extend([moment, moment].map(Value::from));
            schema.row(values)
        };
        let rows: Result<_, _> = match self {
            Self::Narrow | Self::Plain => {
                let rows = rows::narrow(first + count, pass).into_iter().skip(first);
                rows.map(|row| schema.row(row)).collect()
            }
            Self::Wide => (first..first + count).map(wide).collect(),
        };
        rows.expect("the rows fit the schema")
    }
}

pub(crate) fn measure(bench: &mut Bench, world: &World) {
    for rows in [Rows::Narrow, Rows::Wide, Rows::Plain] {
        for (size, batches) in SIZES {
            let full = bench.pick(batches, 2);
            let turn = |way, warming| {
                let batches = if warming { 1 } else { full };
                world.run(write(world.server.clone(), rows, way, size, batches))
            };
            let ways = rows.ways();
            let mut turns: Vec<_> =
                ways.iter().map(|&(way, _)| move |warming| turn(Some(way), warming)).collect();
            let rivals = turns.iter_mut().zip(ways).map(|(turn, &(_, name))| Rival {
                name,
                bars: [Bar::AtLeast(0.95)],
                turn,
            });
            let name = format!("{} in batches of {size}", rows.name());
            let rivals = rivals.collect();
            bench.contest(&name, ["rows/s"], ROUNDS, &mut |warming| turn(None, warming), rivals);
        }
    }
}

/// Writes so many batches, one after the other, and but for plain inserts all of them once more.
async fn write(
    server: Server,
    rows: Rows,
    way: Option<Way>,
    size: usize,
    batches: usize,
) -> [f64; 1] {
    let table = format!("{SCHEMA}.by_way");
    server.execute(&rows.table(&table)).await;
    let config = ours::config(&server, 1);
    let config = match way {
        Some(way) => config.way(way),
        None => config,
    };
    let (driver, schema) = (ours::driver(config).await, rows.schema(&table));
    let passes = if matches!(rows, Rows::Plain) { 1 } else { 2 };
    let mut all = Vec::new();
    for pass in 0..passes {
        let mut requests = rows.requests(&schema, 0, size * batches, pass).into_iter();
        for _ in 0..batches {
            let batch = Batch::from_requests(requests.by_ref().take(size).collect());
            all.push(batch.expect("the rows make a batch"));
        }
    }
    // Looks the table up, and writes nothing that the others would not.
    write_one(&driver, all[0].clone().split_at(1).0).await;
    server.execute(&format!("TRUNCATE {table}")).await;
    let took = timed(async {
        for batch in all {
            write_one(&driver, batch).await;
        }
    });
    let took = took.await;
    driver.close().await;
    let count = size * batches;
    assert_eq!(server.count(&table).await, count);
    let written = (count * passes) as f64;
    [written / took.wall]
}

async fn write_one(driver: &PostgresDriver, batch: Batch) {
    let report = driver.write(batch, &Attempt::new()).await.expect("the batch is written");
    assert!(matches!(report.uniform(), Some(Verdict::Written)), "{report:?}");
}
