//! Days and instants that no column holds, and tables that hold zero dates already.

use batchflow_mysql::client::Conn;
use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{
    BatchWriter, ConflictStrategy, Date, Driver as _, ErrorKind, Merge, Request, Schema, Value,
    Way, WriteSummary,
};

use crate::support::{Database, rows};
use crate::ways::{WAYS, driver, write};

/// As the sessions of every driver are.
const STRICT: &str = "SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE', \
                      time_zone = '+00:00'";

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, stamp timestamp(6) NULL, \
                     at datetime(6), day date) ENGINE=InnoDB";

/// Texts that are moments, or look so, for each column and its type.
const TEXTS: [(&str, &str, &[&str]); 3] = [
    (
        "stamp",
        "timestamp(6)",
        &[
            "1969-12-31 23:59:59.999999",
            "1970-01-01 00:00:00.000000",
            "1970-01-01 00:00:01.000000",
            "2038-01-19 03:14:07.999999",
            "2038-01-19 03:14:08.000000",
            "2106-02-07 06:28:15.999999",
            "2106-02-07 06:28:16.000000",
            "9999-12-31 23:59:59.999999",
            "0000-00-00 00:00:00.000000",
            "2024-00-01 00:00:00.000000",
            "2024-01-00 00:00:00.000000",
            "2023-02-29 00:00:00.000000",
        ],
    ),
    (
        "at",
        "datetime(6)",
        &[
            "0000-00-00 00:00:00.000000",
            "0000-01-01 00:00:00.000000",
            "2024-00-01 00:00:00.000000",
            "2024-01-00 00:00:00.000000",
            "2023-02-29 00:00:00.000000",
            "2106-02-07 06:28:16.000000",
            "9999-12-31 23:59:59.999999",
        ],
    ),
    (
        "day",
        "date",
        &[
            "0000-00-00",
            "0000-01-01",
            "2024-00-01",
            "2024-01-00",
            "2023-02-29",
            "2106-02-08",
            "9999-12-31",
        ],
    ),
];

/// Whether the server itself takes a value, in a session as strict as the driver's.
async fn takes(conn: &mut Conn, column: &str, text: &str) -> bool {
    conn.query_drop("DELETE FROM probe").await.unwrap();
    conn.query_drop(format!("INSERT INTO probe (id, {column}) VALUES (1, '{text}')")).await.is_ok()
}

async fn write_all(database: &Database, rows: Vec<Request>, way: Option<Way>) -> WriteSummary {
    let writer = BatchWriter::builder(driver(database, way).await).build().unwrap();
    writer.write(rows).await.unwrap_or_else(|error| panic!("{way:?}: {}", error.error()))
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_4_a_moment_is_written_where_the_server_has_it_and_else_refused_by_name() {
    let database = Database::new("moments").await;
    database.execute(TABLE).await;
    database.execute("CREATE TABLE probe LIKE t").await;
    let mut conn = database.connect().await;
    conn.query_drop(STRICT).await.unwrap();
    let schema = Schema::new("t", ConflictStrategy::Update, ["id", "stamp", "at", "day"]).unwrap();
    for way in WAYS {
        for (column, ty, texts) in TEXTS {
            for text in texts {
                let case = format!("{column} of {text} by {way:?}");
                database.execute("TRUNCATE TABLE t").await;
                let row = |id: i32, value: &str| {
                    Request::new(&schema).set("id", id).set(column, value.to_owned())
                };
                let good = if column == "day" { "2024-02-29" } else { "2024-02-29 12:00:00" };
                let some = vec![row(1, good), row(2, text), row(3, good)];
                let summary = write_all(&database, some, way).await;
                let expected = takes(&mut conn, column, text).await;
                let sql = format!("SELECT {column} FROM t WHERE id = 2");
                let found = rows(&mut conn, &sql).await;
                if expected {
                    assert_eq!(found, [*text], "{case}");
                    assert_eq!((summary.written(), summary.rejected()), (3, 0), "{case}");
                    continue;
                }
                assert_eq!(found, [""; 0], "{case}");
                assert_eq!((summary.written(), summary.rejected()), (2, 1), "{case}");
                let error = summary.failures()[0].error().error();
                assert_eq!(error.kind(), ErrorKind::Data, "{case}: {error}");
                assert_eq!(error.column(), Some(column), "{case}: {error}");
                let told = error.message().unwrap_or_default();
                assert!(told.contains(&format!("does not fit {ty}: ")), "{case}: {told}");
                assert!(!told.contains(text), "{case}: {told}");
            }
        }
    }
}

/// Zero dates that are there are nobody's fault, and stay.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn rows_with_zero_dates_are_updated_and_replaced() {
    use ConflictStrategy::{Ignore, Replace, Update};
    const DAY: &str = "2024-02-29";
    let database = Database::new("zeros").await;
    let mut conn = database.connect().await;
    conn.query_drop("SET sql_mode = '', time_zone = '+00:00'").await.unwrap();
    let day = Value::from(Date::from_ymd(2024, 2, 29).unwrap());
    for way in WAYS {
        for (strategy, merge, expected) in [
            (Ignore, Merge::Set, ["1|0|0000-00-00|0000-00-00 00:00:00", "2|7|x|y"]),
            (Update, Merge::Set, ["1|7|x|y", "2|7|x|y"]),
            (Update, Merge::Max, ["1|7|x|y", "2|7|x|y"]),
            (Update, Merge::KeepExisting, ["1|7|0000-00-00|0000-00-00 00:00:00", "2|7|x|y"]),
            (Replace, Merge::Set, ["1|7|x|y", "2|7|x|y"]),
        ] {
            let case = format!("{strategy:?}, {merge:?} by {way:?}");
            for sql in [
                "DROP TABLE IF EXISTS t",
                "CREATE TABLE t (id int PRIMARY KEY, n int, day date NOT NULL DEFAULT \
                 '0000-00-00', stamp timestamp NOT NULL DEFAULT '0000-00-00 00:00:00') \
                 ENGINE=InnoDB",
                "INSERT INTO t (id, n) VALUES (1, 0)",
            ] {
                conn.query_drop(sql).await.unwrap();
            }
            let schema = Schema::builder("t").columns(["id", "n", "day", "stamp"]).key(["id"]);
            let mut schema = schema.on_conflict(strategy);
            if strategy == Update {
                schema = schema.merge("day", merge).merge("stamp", merge);
            }
            let schema = schema.build().unwrap();
            let row = |id: i32| {
                let row = Request::new(&schema).set("id", id).set("n", 7);
                row.set("day", day.clone()).set("stamp", day.clone())
            };
            let driver = driver(&database, way).await;
            let written = write(&driver, vec![row(1), row(2)]).await;
            written.unwrap_or_else(|error| panic!("{case}: {error}: {:?}", error.server_message()));
            let expected = expected.map(|line| {
                let line = line.replace('x', DAY);
                line.replace('y', &format!("{DAY} 00:00:00"))
            });
            assert_eq!(rows(&mut conn, "SELECT * FROM t ORDER BY id").await, expected, "{case}");
            // What is left unset is what the table says.
            let unset = [1, 2, 3].map(|id| Request::new(&schema).set("id", id).set("n", 9));
            let written = write(&driver, unset.into()).await;
            written.unwrap_or_else(|error| panic!("{case}: {error}: {:?}", error.server_message()));
            let zeros = |line: &str| line.replace(DAY, "0000-00-00");
            let [first, second] = match strategy {
                Ignore => expected,
                Replace => expected.map(|line| zeros(&line).replace("|7|", "|9|")),
                _ => expected.map(|line| line.replace("|7|", "|9|")),
            };
            let third = "3|9|0000-00-00|0000-00-00 00:00:00".to_owned();
            let expected = [first, second, third];
            assert_eq!(rows(&mut conn, "SELECT * FROM t ORDER BY id").await, expected, "{case}");
            driver.close().await;
        }
    }
}
