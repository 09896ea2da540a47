//! An upsert that another unique key sets off changes no other row: it is that row's
//! `duplicate_key`, and its neighbours are written.

use batchflow_core::{BatchWriter, ConflictStrategy, Driver as _, ErrorKind, Schema, WriteSummary};
use batchflow_mysql::{Request, Way};

use crate::support::Database;
use crate::ways::{WAYS, driver, write};

const STRATEGIES: [ConflictStrategy; 3] =
    [ConflictStrategy::Ignore, ConflictStrategy::Update, ConflictStrategy::Replace];

async fn write_all(database: &Database, way: Option<Way>, rows: Vec<Request>) -> WriteSummary {
    let writer = BatchWriter::builder(driver(database, way).await).batch_size(1_000).build();
    writer.unwrap().write(rows).await.unwrap_or_else(|error| {
        panic!("{way:?}: {}: {:?}", error.error(), error.error().server_message())
    })
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_5_another_unique_key_refuses_its_row_and_changes_none() {
    let database = Database::new("guard").await;
    for way in WAYS {
        for strategy in STRATEGIES {
            database.execute("DROP TABLE IF EXISTS t").await;
            database
                .execute(
                    "CREATE TABLE t (a int, b varchar(9), code varchar(20), n int, \
                     PRIMARY KEY (a, b), UNIQUE (code))",
                )
                .await;
            database
                .execute("INSERT INTO t VALUES (-1, 'x', 'taken', 7), (5, 'x', 'own', 7)")
                .await;
            let schema = Schema::builder("t").columns(["a", "b", "code", "n"]).key(["a", "b"]);
            let schema = schema.on_conflict(strategy).build().unwrap();
            let row = |a: i32, code: &str| schema.row((a, "X", code, a)).unwrap();
            let mut some: Vec<Request> = (0..300).map(|a| row(a, &format!("code {a}"))).collect();
            // One is new, the other has a row of its key; both would take another's code.
            some[200] = row(200, "TAKEN");
            some[5] = row(5, "own");
            let case = format!("{strategy:?} by {way:?}");
            let summary = write_all(&database, way, some).await;
            assert_eq!((summary.written(), summary.rejected()), (299, 1), "{case}");
            let letter = &summary.failures()[0];
            assert_eq!(letter.request().get::<i64>("a").unwrap(), Some(200), "{case}");
            let error = letter.error().error();
            assert_eq!(error.kind(), ErrorKind::DuplicateKey, "{case}: {error}");
            let n = if strategy == ConflictStrategy::Ignore { 7 } else { 5 };
            let expected = ["-1|x|taken|7".to_owned(), format!("5|x|own|{n}")];
            let sql = "SELECT a, LOWER(b), code, n FROM t WHERE a IN (-1, 5, 200) ORDER BY a";
            assert_eq!(database.rows(sql).await, expected, "{case}");
            assert_eq!(database.rows("SELECT COUNT(*) FROM t").await, ["300"], "{case}");
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn an_update_that_takes_another_row_s_code_is_refused() {
    let database = Database::new("taken").await;
    for way in WAYS {
        database.execute("DROP TABLE IF EXISTS t").await;
        database.execute("CREATE TABLE t (id int PRIMARY KEY, code int UNIQUE, n int)").await;
        database.execute("INSERT INTO t VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0)").await;
        let schema = Schema::new("t", ConflictStrategy::Update, ["id", "code", "n"]).unwrap();
        let row = |id: i32, code: i32| schema.row((id, code, 9)).unwrap();
        let summary = write_all(&database, way, vec![row(1, 1), row(2, 3), row(3, 4)]).await;
        assert_eq!((summary.written(), summary.rejected()), (2, 1), "{way:?}");
        assert_eq!(summary.failures()[0].error().error().kind(), ErrorKind::DuplicateKey);
        let sql = "SELECT * FROM t ORDER BY id";
        assert_eq!(database.rows(sql).await, ["1|1|9", "2|2|0", "3|4|9"], "{way:?}");
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_key_that_is_null_or_unset_is_no_other_row_s() {
    let database = Database::new("null").await;
    for way in WAYS {
        for strategy in STRATEGIES {
            database.execute("DROP TABLE IF EXISTS t, u").await;
            database
                .execute("CREATE TABLE t (email varchar(20) UNIQUE, code int UNIQUE, n int)")
                .await;
            database.execute("INSERT INTO t VALUES (NULL, 1, 1)").await;
            let schema = Schema::new("t", strategy, ["email", "code", "n"]).unwrap();
            let case = format!("{strategy:?} by {way:?}");
            let driver = driver(&database, way).await;
            let null =
                |code: i32| Request::new(&schema).set_null("email").set("code", code).set("n", 2);
            let error = write(&driver, vec![null(3), null(1)]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DuplicateKey, "{case}: {error}");
            write(&driver, vec![null(2), null(3)]).await.unwrap();
            let sql = "SELECT * FROM t ORDER BY code";
            let expected = ["NULL|1|1", "NULL|2|2", "NULL|3|2"];
            assert_eq!(database.rows(sql).await, expected, "{case}");

            database
                .execute(
                    "CREATE TABLE u (id int AUTO_INCREMENT PRIMARY KEY, code int UNIQUE, n int)",
                )
                .await;
            database.execute("INSERT INTO u VALUES (7, 1, 1)").await;
            let schema = Schema::new("u", strategy, ["id", "code", "n"]).unwrap();
            let unset = |code: i32| Request::new(&schema).set("code", code).set("n", 2);
            let error = write(&driver, vec![unset(3), unset(1)]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DuplicateKey, "{case}: {error}");
            write(&driver, vec![unset(2), unset(3)]).await.unwrap();
            let sql = "SELECT code, n, id > 7 FROM u ORDER BY code";
            assert_eq!(database.rows(sql).await, ["1|1|0", "2|2|1", "3|2|1"], "{case}");
            driver.close().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn a_replace_deletes_nothing_so_nothing_cascades() {
    let database = Database::new("cascade").await;
    for way in WAYS {
        for other in ["", ", UNIQUE (code)"] {
            database.execute("DROP TABLE IF EXISTS child, t").await;
            let create = format!("CREATE TABLE t (id int PRIMARY KEY, code int, n int{other})");
            database.execute(&create).await;
            database
                .execute(
                    "CREATE TABLE child (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) \
                     REFERENCES t (id) ON DELETE CASCADE ON UPDATE CASCADE)",
                )
                .await;
            database.execute("INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)").await;
            database.execute("INSERT INTO child VALUES (1, 1), (2, 2)").await;
            let schema = Schema::new("t", ConflictStrategy::Replace, ["id", "code", "n"]).unwrap();
            let driver = driver(&database, way).await;
            let some = vec![schema.row((1, 1, 10)).unwrap(), schema.row((2, 3, 20)).unwrap()];
            write(&driver, some).await.unwrap();
            assert_eq!(database.rows("SELECT * FROM t ORDER BY id").await, ["1|1|10", "2|3|20"]);
            assert_eq!(database.rows("SELECT * FROM child ORDER BY id").await, ["1|1", "2|2"]);
            driver.close().await;
        }
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn an_ignored_row_hides_no_other_error() {
    let database = Database::new("hidden").await;
    database.execute("CREATE TABLE parent (id int PRIMARY KEY)").await;
    database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, name varchar(3) NOT NULL, parent int, \
             FOREIGN KEY (parent) REFERENCES parent (id))",
        )
        .await;
    database.execute("INSERT INTO parent VALUES (1)").await;
    let schema = Schema::new("t", ConflictStrategy::Ignore, ["id", "name", "parent"]).unwrap();
    for way in WAYS {
        let row = |id: i32| Request::new(&schema).set("id", id);
        let some = vec![
            row(1).set("name", "abc").set("parent", 1),
            row(2).set("name", "abcd").set("parent", 1),
            row(3).set_null("name").set("parent", 1),
            row(4).set("name", "abc").set("parent", 2),
            row(1).set("name", "new").set("parent", 1),
        ];
        let summary = write_all(&database, way, some).await;
        assert_eq!((summary.written(), summary.rejected()), (2, 3), "{way:?}");
        let mut kinds: Vec<_> = summary
            .failures()
            .iter()
            .map(|letter| {
                let id = letter.request().get::<i64>("id").unwrap();
                (id.unwrap(), letter.error().error().kind())
            })
            .collect();
        kinds.sort_by_key(|(id, _)| *id);
        let (data, constraint) = (ErrorKind::Data, ErrorKind::Constraint);
        assert_eq!(kinds, [(2, data), (3, constraint), (4, constraint)], "{way:?}");
        assert_eq!(database.rows("SELECT * FROM t").await, ["1|abc|1"], "{way:?}");
        database.execute("DELETE FROM t").await;
    }
}
