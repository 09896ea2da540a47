//! Each strategy by each way: the same table, the same verdicts.

use batchflow_core::{
    Attempt, Batch, ConflictStrategy, Driver, ErrorKind, Merge, Report, WriteError,
};
use batchflow_postgres::{PostgresConfig, PostgresDriver, Request, Schema, Way};

use crate::support::{connect, execute, fresh, rows, url};

pub(crate) async fn driver(way: Option<Way>) -> PostgresDriver {
    let config = PostgresConfig::from_url(&url()).unwrap().pool_size(4);
    let config = match way {
        Some(way) => config.way(way),
        None => config,
    };
    PostgresDriver::connect_with(config).await.unwrap()
}

pub(crate) async fn write(
    driver: &PostgresDriver,
    rows: Vec<Request>,
) -> Result<Report, WriteError> {
    driver.write(Batch::from_requests(rows).unwrap(), &Attempt::new()).await
}

const WAYS: [Option<Way>; 4] = [None, Some(Way::Unnest), Some(Way::Copy), Some(Way::Stage)];

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn each_strategy_leaves_the_same_table_by_each_way() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let cases: [(ConflictStrategy, &[&str], u64); 4] = [
        (Fail, &["1|old|1|7|{a}", "2|new|2|7|{\"b, c\"}", "3|x|3|7|NULL"], 2),
        (Ignore, &["1|old|1|7|{a}", "3|x|3|7|NULL"], 1),
        (Replace, &["1|new|2|7|{\"b, c\"}", "3|x|3|7|NULL"], 2),
        (Update, &["1|new|3|7|{\"b, c\"}", "3|x|3|7|NULL"], 2),
    ];
    for way in WAYS {
        for (strategy, expected, affected) in cases {
            let table = fresh("Ways \"odd\"");
            let quoted = format!("\"{}\"", table.replace('"', "\"\""));
            execute(
                &url(),
                &format!(
                    "CREATE TABLE {quoted} (id int PRIMARY KEY, \"Na me\" varchar(9) NOT NULL, \
                     hits int8 DEFAULT 5, made int GENERATED ALWAYS AS (7) STORED, tags text[]); \
                     INSERT INTO {quoted} VALUES (1, 'old', 1, DEFAULT, '{{a}}')"
                ),
            )
            .await;
            let name = format!("public.{quoted}");
            let builder = Schema::builder(&name).columns(["id", "Na me", "hits", "tags", "made"]);
            let builder = builder.key(["id"]).on_conflict(strategy);
            let builder = if strategy == Update {
                builder.update(["Na me", "hits", "tags"]).merge("hits", Merge::Add)
            } else {
                builder
            };
            let schema = builder.build().unwrap();
            let row = |id: i32, name: &str, hits: i32| {
                Request::new(&schema).set("id", id).set("Na me", name).set("hits", hits)
            };
            let first = if strategy == Fail { 2 } else { 1 };
            let some = vec![
                row(first, "new", 2).set("tags", vec!["b, c"]),
                row(3, "x", 3).set_null("tags"),
            ];
            let case = format!("{strategy:?} by {way:?}");
            let driver = driver(way).await;
            let report = write(&driver, some).await;
            let report = report
                .unwrap_or_else(|error| panic!("{case}: {error}: {:?}", error.server_message()));
            assert_eq!(report.affected(), Some(affected), "{case}");
            let client = connect(&url()).await;
            let sql = format!("SELECT id, \"Na me\", hits, made, tags FROM {quoted} ORDER BY id");
            assert_eq!(rows(&client, &sql).await, expected, "{case}");
            driver.close().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_refused_batch_leaves_nothing_and_the_connection_is_used_again() {
    for way in WAYS {
        let table = fresh("refused");
        execute(&url(), &format!("CREATE TABLE {table} (id int PRIMARY KEY, n int CHECK (n > 0))"))
            .await;
        let config =
            PostgresConfig::from_url(&url()).unwrap().pool_size(1).application_name(&table);
        let config = way.into_iter().fold(config, PostgresConfig::way);
        let driver = PostgresDriver::connect_with(config).await.unwrap();
        let schema = Schema::new(&table, ConflictStrategy::Fail, ["id", "n"]).unwrap();
        let client = connect(&url()).await;
        let pids = format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{table}'");
        let before = rows(&client, &pids).await;
        let some = vec![schema.row((1, 1)).unwrap(), schema.row((2, -1)).unwrap()];
        let error = write(&driver, some).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Constraint, "{way:?}: {error}");
        assert_eq!(error.blame(), [1], "{way:?}");
        write(&driver, vec![schema.row((1, 1)).unwrap()]).await.unwrap();
        assert_eq!(rows(&client, &format!("TABLE {table}")).await, ["1|1"]);
        if !crate::support::is_pooled() {
            assert_eq!(rows(&client, &pids).await, before, "{way:?}: the connection was kept");
        }
        driver.close().await;
    }
}
