//! Each strategy by each way: the same table, the same verdicts.

use batchflow_core::{Attempt, Batch, ConflictStrategy, Driver, Merge, Report, WriteError};
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{
    ErrorKind, MysqlConfig, MysqlDriver, Request, Schema, ShowValues, Value, Way,
};

use crate::support::Database;

pub(crate) const WAYS: [Option<Way>; 4] = [None, Some(Way::Rows), Some(Way::Bulk), Some(Way::Load)];

pub(crate) async fn driver(database: &Database, way: Option<Way>) -> MysqlDriver {
    let config = MysqlConfig::from_url(database.url()).unwrap().pool_size(4).local_infile(true);
    let config = way.into_iter().fold(config, MysqlConfig::way);
    MysqlDriver::connect_with(config).await.unwrap()
}

pub(crate) async fn write(driver: &MysqlDriver, rows: Vec<Request>) -> Result<Report, WriteError> {
    driver.write(Batch::from_requests(rows).unwrap(), &Attempt::new()).await
}

/// Whether the server takes rows in bulk, and whether files. One that logs statements takes neither.
async fn server(database: &Database) -> (bool, bool) {
    let sql = "SELECT VERSION() LIKE '%MariaDB%', @@GLOBAL.local_infile, \
               @@GLOBAL.log_bin AND @@GLOBAL.binlog_format = 'STATEMENT'";
    let found: Option<(bool, bool, bool)> =
        database.connect().await.query_first(sql).await.unwrap();
    let (is_mariadb, loads, logs_statements) = found.unwrap();
    (is_mariadb && !logs_statements, loads && !logs_statements)
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_way_is_taken_where_it_can_be_and_else_the_next() {
    let database = Database::new("chosen").await;
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a varchar(9), b varbinary(9))").await;
    let (takes_bulk, loads) = server(&database).await;
    for way in WAYS {
        let driver = driver(&database, way).await;
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "a", "b"]).unwrap();
        let shown = async |rows: Vec<Request>| {
            let batch = Batch::from_requests(rows).unwrap();
            let preview = driver.preview(&batch, ShowValues::No).await.unwrap();
            let first = preview.statements.first().unwrap().clone();
            match (first.starts_with("CREATE TEMPORARY TABLE"), first.contains("), (")) {
                (true, _) => Way::Load,
                (false, true) => Way::Rows,
                (false, false) => Way::Bulk,
            }
        };
        let texts = |id: i32| Request::new(&schema).set("id", id).set("a", "x");
        let expected = match way {
            Some(Way::Load) if loads => Way::Load,
            Some(Way::Rows) => Way::Rows,
            _ if takes_bulk => Way::Bulk,
            _ => Way::Rows,
        };
        assert_eq!(shown(vec![texts(1), texts(2)]).await, expected, "{way:?}");
        let bytes = |id: i32| Request::new(&schema).set("id", id).set("b", vec![0_u8, 255]);
        let expected = if expected == Way::Load {
            if takes_bulk { Way::Bulk } else { Way::Rows }
        } else {
            expected
        };
        assert_eq!(shown(vec![bytes(1), bytes(2)]).await, expected, "{way:?}: no file holds bytes");
        driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn each_strategy_leaves_the_same_table_by_each_way() {
    use ConflictStrategy::{Fail, Ignore, Replace, Update};
    let cases: [(ConflictStrategy, &[&str], Option<u64>); 4] = [
        (Fail, &["1|old|1|7|a", "2|new|2|7|b, c", "3|x|3|7|NULL"], Some(2)),
        (Ignore, &["1|old|1|7|a", "3|x|3|7|NULL"], Some(1)),
        // The server counts a row that is updated twice, and one that stays as it is not at all.
        (Replace, &["1|new|2|7|b, c", "3|x|3|7|NULL"], None),
        (Update, &["1|new|3|7|b, c", "3|x|3|7|NULL"], None),
    ];
    let database = Database::new("strategies").await;
    for way in WAYS {
        for (strategy, expected, affected) in cases {
            database.execute("DROP TABLE IF EXISTS `Ways ``odd. ``, ?`").await;
            database
                .execute(
                    "CREATE TABLE `Ways ``odd. ``, ?` (id int PRIMARY KEY, \
                     `Na ``me` varchar(9) NOT NULL, hits bigint DEFAULT 5, \
                     made int GENERATED ALWAYS AS (7) STORED, tags text)",
                )
                .await;
            database
                .execute(
                    "INSERT INTO `Ways ``odd. ``, ?` (id, `Na ``me`, hits, tags) \
                     VALUES (1, 'old', 1, 'a')",
                )
                .await;
            let name = format!("{}.\"Ways `odd. `, ?\"", database.name());
            let builder = Schema::builder(name).columns(["id", "Na `me", "hits", "tags", "made"]);
            let builder = builder.key(["id"]).on_conflict(strategy);
            let builder = if strategy == Update {
                builder.update(["Na `me", "hits", "tags"]).merge("hits", Merge::Add)
            } else {
                builder
            };
            let schema = builder.build().unwrap();
            let row = |id: i32, name: &str, hits: i32| {
                Request::new(&schema).set("id", id).set("Na `me", name).set("hits", hits)
            };
            let first = if strategy == Fail { 2 } else { 1 };
            let some =
                vec![row(first, "new", 2).set("tags", "b, c"), row(3, "x", 3).set_null("tags")];
            let case = format!("{strategy:?} by {way:?}");
            let driver = driver(&database, way).await;
            let report = write(&driver, some).await;
            let report = report
                .unwrap_or_else(|error| panic!("{case}: {error}: {:?}", error.server_message()));
            assert_eq!(report.affected(), affected, "{case}");
            let sql = "SELECT id, `Na ``me`, hits, made, tags FROM `Ways ``odd. ``, ?` ORDER BY id";
            assert_eq!(database.rows(sql).await, expected, "{case}");
            driver.close().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_refused_batch_leaves_nothing_and_the_connection_is_used_again() {
    let database = Database::new("refused").await;
    for way in WAYS {
        database.execute("DROP TABLE IF EXISTS t").await;
        let create = "CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0), who bigint)";
        database.execute(create).await;
        let sign = "CREATE TRIGGER sign BEFORE INSERT ON t FOR EACH ROW \
                    SET NEW.who = CONNECTION_ID()";
        database.execute(sign).await;
        let config = MysqlConfig::from_url(database.url()).unwrap().pool_size(1);
        let config = way.into_iter().fold(config.local_infile(true), MysqlConfig::way);
        let driver = MysqlDriver::connect_with(config).await.unwrap();
        let schema = Schema::new("t", ConflictStrategy::Fail, ["id", "n"]).unwrap();
        write(&driver, vec![schema.row((9, 9)).unwrap()]).await.unwrap();
        let some = vec![schema.row((1, 1)).unwrap(), schema.row((2, -1)).unwrap()];
        let error = write(&driver, some).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Constraint, "{way:?}: {error}");
        write(&driver, vec![schema.row((1, 1)).unwrap()]).await.unwrap();
        assert_eq!(database.rows("SELECT id, n FROM t ORDER BY id").await, ["1|1", "9|9"]);
        let connections = database.rows("SELECT DISTINCT who FROM t").await;
        assert_eq!(connections.len(), 1, "{way:?}: the connection was kept");
        driver.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn no_file_changes_a_value_or_hides_an_error() {
    let database = Database::new("file").await;
    database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, a varchar(5), latin varchar(5) CHARACTER SET \
             latin1, n decimal(6,2), f float, d double, at datetime(3), day date, e enum('x','y'), \
             y year)",
        )
        .await;
    let columns = ["id", "a", "latin", "n", "f", "d", "at", "day", "e", "y"];
    let schema = Schema::new("t", ConflictStrategy::Replace, columns).unwrap();
    let driver = driver(&database, Some(Way::Load)).await;
    let row = |id: i32| Request::new(&schema).set("id", id);
    for (id, a) in
        ["\t", "\\N", "a\nb", "\0", "\r\n", "", " x ", "\\", "N", "ä€🦀"].iter().enumerate()
    {
        let some = vec![row(id as i32).set("a", *a), row(-1).set("a", "")];
        write(&driver, some).await.unwrap();
        let got: Option<String> = {
            let sql = format!("SELECT a FROM t WHERE id = {id}");
            database.connect().await.query_first(sql).await.unwrap()
        };
        assert_eq!(got.as_deref(), Some(*a));
    }
    let some = vec![
        row(1).set("f", 0.1_f32).set("d", 1e300).set("latin", "é").set("e", "y"),
        row(2).set("f", 1e-30_f32).set("d", -0.1).set("latin", "\u{20ac}").set("e", "x"),
    ];
    write(&driver, some).await.unwrap();
    assert_eq!(
        database.rows("SELECT f + 0e0, d, latin, e FROM t WHERE id IN (1, 2) ORDER BY id").await,
        ["0.10000000149011612|1e300|é|y", "1.0000000031710769e-30|-0.1|€|x"]
    );
    // Of a text that is `0` the server makes 2000.
    let some = vec![row(1).set("y", 0).set("latin", "é"), row(2).set("y", 1901).set("latin", "é")];
    write(&driver, some).await.unwrap();
    assert_eq!(
        database.rows("SELECT y FROM t WHERE id IN (1, 2) ORDER BY id").await,
        ["0000", "1901"]
    );
    // The server would cut it and warn.
    let some = vec![row(1).set("latin", "a"), row(2).set("latin", "Ж")];
    let error = write(&driver, some).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert_eq!(database.rows("SELECT latin FROM t WHERE id = 1").await, ["é"]);
    driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn nothing_is_left_of_a_temporary_table() {
    let database = Database::new("temporary").await;
    database.execute("CREATE TABLE t (id int PRIMARY KEY, n int UNIQUE)").await;
    let schema = Schema::new("t", ConflictStrategy::Fail, ["id", "n"]).unwrap();
    let config = MysqlConfig::from_url(database.url()).unwrap().pool_size(1).local_infile(true);
    let driver = MysqlDriver::connect_with(config.way(Way::Load)).await.unwrap();
    for _ in 0..3 {
        let same = vec![schema.row((1, 1)).unwrap(), schema.row((2, 1)).unwrap()];
        let error = write(&driver, same).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DuplicateKey, "{error}");
        let some = vec![schema.row((1, 1)).unwrap(), schema.row((2, 2)).unwrap()];
        write(&driver, some).await.unwrap();
        assert_eq!(database.rows("SELECT * FROM t ORDER BY id").await, ["1|1", "2|2"]);
        database.execute("DELETE FROM t").await;
    }
    driver.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_batch_of_many_packets_is_one_transaction_and_statements_stay_few() {
    let database = Database::new("packets").await;
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a longtext)").await;
    let schema = Schema::new("t", ConflictStrategy::Update, ["id", "a"]).unwrap();
    let packet: Option<usize> =
        database.connect().await.query_first("SELECT @@GLOBAL.max_allowed_packet").await.unwrap();
    let packet = packet.unwrap();
    for way in WAYS {
        let driver = driver(&database, way).await;
        let long = "x".repeat(packet.min(16 << 20) / 3);
        let rows = |last: &str| {
            let long = (0..7).map(|id| schema.row((id, long.as_str())).unwrap());
            let mut rows: Vec<Request> = long.collect();
            rows.push(schema.row((8, last)).unwrap());
            rows
        };
        write(&driver, rows("end")).await.unwrap_or_else(|error| {
            panic!("{way:?}: {error}: {:?}", error.server_message());
        });
        let sql = "SELECT COUNT(*), MIN(LENGTH(a)), MAX(LENGTH(a)) FROM t";
        assert_eq!(database.rows(sql).await, [format!("8|3|{}", long.len())], "{way:?}");
        let too_long = "x".repeat(packet);
        let mut some = rows("other");
        some.insert(3, schema.row((9, too_long.as_str())).unwrap());
        let error = write(&driver, some).await.unwrap_err();
        assert_eq!((error.kind(), error.blame()), (ErrorKind::TooLarge, &[3][..]), "{way:?}");
        assert_eq!(database.rows("SELECT a FROM t WHERE id = 8").await, ["end"], "{way:?}");
        database.execute("DELETE FROM t").await;
        driver.close().await;
    }
}

/// MySQL keeps the types of a prepared statement's parameters over an `ALTER TABLE`.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_column_of_another_type_is_written_by_a_statement_of_its_own() {
    let database = Database::new("retyped").await;
    for way in WAYS {
        database.execute("DROP TABLE IF EXISTS t").await;
        database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)").await;
        let config = MysqlConfig::from_url(database.url()).unwrap().pool_size(1).local_infile(true);
        let config = way.into_iter().fold(config, MysqlConfig::way);
        let driver = MysqlDriver::connect_with(config).await.unwrap();
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "v"]).unwrap();
        let rows = |v: &Value| {
            (0..2).map(|id| schema.row((id, v.clone())).unwrap()).collect::<Vec<Request>>()
        };
        write(&driver, rows(&Value::I64(7))).await.unwrap();
        for (ty, value, shown) in [
            ("varbinary(9)", Value::from(vec![1_u8, 0xff, 0xfe]), "0x01fffe"),
            ("varchar(9)", Value::from("Ж"), "Ж"),
            ("int", Value::I64(9), "9"),
        ] {
            database.execute("DELETE FROM t").await;
            database.execute(&format!("ALTER TABLE t MODIFY v {ty}")).await;
            // Looked up again.
            driver.describe(&schema).await.unwrap();
            let case = format!("{ty} by {way:?}");
            write(&driver, rows(&value)).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            let found = database.rows("SELECT v FROM t ORDER BY id").await;
            assert_eq!(found, [shown, shown], "{case}");
        }
        driver.close().await;
    }
}
