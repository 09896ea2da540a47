//! New rows without a conflict clause, against `psql`'s `\copy`.

use batchflow_postgres::ConflictStrategy;

use crate::harness::{Bar, Bench, Rival};
use crate::rivals::psql;
use crate::server::{SCHEMA, Server, timed};
use crate::{World, ours, rows};

const ROWS: usize = 200_000;
const ROUNDS: usize = 7;
/// One connection copies while the other commits.
const CONNECTIONS: usize = 2;
const OUR_SIZE: usize = 10_000;

pub(crate) fn measure(bench: &mut Bench, world: &World) {
    let name = "plain insert";
    if !psql::is_here() {
        return bench
            .not_run(name, "there is no psql here; Debian: apt-get install postgresql-client");
    }
    if !bench.is_wanted(name) {
        return;
    }
    let full = bench.pick(ROWS, 5_000);
    let folder = std::env::temp_dir().join(format!("batchflow-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let [large, small] = [full, full / 10].map(|count| {
        let path = folder.join(format!("{count}.copy"));
        world.run(ready_file(world.server.clone(), count, path.clone()));
        path
    });
    let mut rival = |warming| {
        let (count, file) = if warming { (full / 10, &small) } else { (full, &large) };
        let table = format!("{SCHEMA}.by_psql");
        let (server, sql) = (world.server.clone(), rows::narrow_table(&table));
        world.run(async move { server.execute(&sql).await });
        let took = psql::copy(&world.server.url, &table, file);
        let server = world.server.clone();
        assert_eq!(world.run(async move { server.count(&table).await }), count);
        [count as f64 / took]
    };
    let mut ours = |warming| {
        let count = if warming { full / 10 } else { full };
        world.run(insert(world.server.clone(), count))
    };
    let rivals = vec![Rival {
        name: "psql \\copy of a ready binary file",
        bars: [Bar::AtLeast(0.95)],
        turn: &mut rival,
    }];
    bench.contest(name, ["new rows/s"], ROUNDS, &mut ours, rivals);
    // Whatever is left in a temporary folder harms nobody.
    let _ = std::fs::remove_dir_all(folder);
}

/// Fills a table by the server alone and writes what it holds to a file.
async fn ready_file(server: Server, count: usize, path: std::path::PathBuf) {
    let (table, client) = (format!("{SCHEMA}.for_psql"), server.connect().await);
    server.execute(&rows::narrow_table(&table)).await;
    crate::rivals::server_alone::upsert(&client, &table, count, 0).await;
    psql::ready_file(&client, &table, path).await;
}

async fn insert(server: Server, count: usize) -> [f64; 1] {
    let table = format!("{SCHEMA}.inserted");
    server.execute(&rows::narrow_table(&table)).await;
    let driver = ours::driver(ours::config(&server, CONNECTIONS)).await;
    let flow = ours::flow(driver, CONNECTIONS, OUR_SIZE).build().expect("the settings are sound");
    let (schema, rows) = (ours::schema(&table, ConflictStrategy::Fail), rows::narrow(count, 0));
    let took = timed(ours::submit(&flow, &schema, rows)).await;
    assert!(flow.close().await.expect("the flow was open").all_written());
    assert_eq!(server.count(&table).await, count);
    [count as f64 / took.wall]
}
