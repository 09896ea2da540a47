//! Batches of every size, each way forced against the way that the driver chooses.

use batchflow_mysql::{
    Attempt, Batch, ConflictStrategy, Driver, MysqlDriver, Request, Schema, Timestamp, Value,
    Verdict, Way,
};

use crate::World;
use crate::common::timed;
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rows::{self, WIDE, documents, narrow_table, wide_table};
use crate::server::{DATABASE, Server};

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

    fn table(self, table: &str) -> [String; 2] {
        match self {
            Self::Narrow | Self::Plain => narrow_table(table),
            Self::Wide => wide_table(table),
        }
    }

    fn schema(self, table: &str) -> Schema {
        match self {
            Self::Narrow => ours::schema(table, ConflictStrategy::Update),
            Self::Plain => ours::schema(table, ConflictStrategy::Fail),
            Self::Wide => {
                let schema = Schema::new(table, ConflictStrategy::Update, WIDE);
                schema.expect("the schema is sound")
            }
        }
    }

    fn requests(self, schema: &Schema, count: usize, pass: usize) -> Vec<Request> {
        let wide = |id: usize| {
            let mut values: Vec<Value> = vec![
                Value::I64(id as i64),
                format!("user number {id}").into(),
                format!("user{id}@example.com").into(),
            ];
            values.extend(documents(id, pass).map(|text| Value::Json(text.into())));
            values.push(Timestamp::from_unix_micros(id as i64).into());
            schema.row(values)
        };
        let rows: Result<_, _> = match self {
            Self::Narrow | Self::Plain => {
                rows::narrow(count, pass).into_iter().map(|row| schema.row(row)).collect()
            }
            Self::Wide => (0..count).map(wide).collect(),
        };
        rows.expect("the rows fit the schema")
    }
}

pub(crate) fn measure(bench: &mut Bench, world: &World) {
    let mut ways = vec![(Way::Rows, "prepared rows")];
    if world.server.is_mariadb() {
        ways.push((Way::Bulk, "bulk"));
    }
    if world.server.loads {
        ways.push((Way::Load, "LOAD, temporary table"));
    }
    for rows in [Rows::Narrow, Rows::Wide, Rows::Plain] {
        for (size, batches) in SIZES {
            let full = bench.pick(batches, 2);
            let turn = |way, warming| {
                let batches = if warming { 1 } else { full };
                world.run(write(world.server.clone(), rows, way, size, batches))
            };
            let mut turns: Vec<_> =
                ways.iter().map(|&(way, _)| move |warming| turn(Some(way), warming)).collect();
            let rivals = turns.iter_mut().zip(&ways).map(|(turn, &(_, name))| Rival {
                name,
                bars: [Bar::AtLeast(0.95)],
                turn,
            });
            let name = world.named(&format!("{} in batches of {size}", rows.name()));
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
    let table = format!("{DATABASE}.by_way");
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
        let mut requests = rows.requests(&schema, size * batches, pass).into_iter();
        for _ in 0..batches {
            let batch = Batch::from_requests(requests.by_ref().take(size).collect());
            all.push(batch.expect("the rows make a batch"));
        }
    }
    // Looks the table up, and writes nothing that the others would not.
    write_one(&driver, all[0].clone().split_at(1).0).await;
    server.execute(&[format!("DELETE FROM {table}")]).await;
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

async fn write_one(driver: &MysqlDriver, batch: Batch) {
    let report = driver.write(batch, &Attempt::new()).await.expect("the batch is written");
    assert!(matches!(report.uniform(), Some(Verdict::Written)), "{report:?}");
}
