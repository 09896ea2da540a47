//! What real servers answer, and what the flow makes of it.

use std::time::Duration;

use batchflow_mysql::client::prelude::Queryable as _;
use batchflow_mysql::{
    Applied, Attempt, Batch, ConflictStrategy, Driver as _, ErrorClass, ErrorKind, MysqlConfig,
    MysqlDriver, Request, Schema, Value, WriteError,
};

use crate::support::{Database, fresh};

/// A table, a row for it, and the answer.
struct Case {
    what: &'static str,
    /// Columns of `t` beside its key, and what follows them.
    table: &'static str,
    /// Statements after the table's.
    more: &'static [&'static str],
    column: &'static str,
    value: Value,
    strategy: ConflictStrategy,
    kind: ErrorKind,
    /// MySQL's number, and MariaDB's.
    codes: [u16; 2],
}

fn case(what: &'static str, table: &'static str, value: impl Into<Value>) -> Case {
    Case {
        what,
        table,
        more: &[],
        column: "a",
        value: value.into(),
        strategy: ConflictStrategy::Fail,
        kind: ErrorKind::Data,
        codes: [0, 0],
    }
}

impl Case {
    fn after(self, more: &'static [&'static str]) -> Self {
        Self { more, ..self }
    }

    fn upsert(self) -> Self {
        Self { strategy: ConflictStrategy::Update, ..self }
    }

    fn is(self, kind: ErrorKind, mysql: u16, mariadb: u16) -> Self {
        Self { kind, codes: [mysql, mariadb], ..self }
    }
}

/// What one row alone can be refused for by the server. A trigger that sets a value stands for
/// what no value of a row's can cause, since values are checked before they are sent.
fn cases() -> Vec<Case> {
    use ErrorKind::{Constraint, Data, DuplicateKey, Other, Permission, Schema, Syntax};
    const OTHER: &str = "a varchar(40), b int";
    vec![
        case("a duplicate", "a int UNIQUE", 1).after(&["INSERT INTO t (id, a) VALUES (7, 1)"]).is(
            DuplicateKey,
            1062,
            1062,
        ),
        case("a duplicate of another key", "a int UNIQUE", 1)
            .after(&["INSERT INTO t (id, a) VALUES (7, 1)"])
            .upsert()
            .is(DuplicateKey, 1242, 1242),
        case("a check", "a int CHECK (a > 5)", 1).is(Constraint, 3819, 4025),
        case("a missing parent", "a int, FOREIGN KEY (a) REFERENCES parents (id)", 9)
            .is(Constraint, 1452, 1452),
        case("no default", "a int, b int NOT NULL", 1).is(Constraint, 1364, 1364),
        case("NULL by a trigger", "a int NOT NULL", 1)
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NULL"])
            .is(Constraint, 1048, 1048),
        case("no partition", "a int, PRIMARY KEY (id) ", 1)
            .after(&["ALTER TABLE t PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (0))"])
            .is(Constraint, 1526, 1526),
        case("a trigger's own", OTHER, "x")
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW \
                      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'canary'"])
            .is(Other, 1644, 1644),
        case("a trigger that reads two rows", OTHER, "x")
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW \
                      SET NEW.b = (SELECT 1 UNION SELECT 2)"])
            .is(Other, 1242, 1242),
        case("out of range by a trigger", "a int, b tinyint", 1)
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 300"])
            .is(Data, 1264, 1264),
        case("too long by a trigger", "a int, b varchar(2)", 1)
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 'canary'"])
            .is(Data, 1406, 1406),
        case("no number by a trigger", OTHER, "x")
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 'canary'"])
            .is(Data, 1366, 1366),
        case("no day by a trigger", "a int, b date", 1)
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 'canary'"])
            .is(Data, 1292, 1292),
        case("no member by a trigger", "a int, b enum('x')", 1)
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 'canary'"])
            .is(Data, 1265, 1265),
        case("divided by zero", "a int, b int", 0)
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 1 / NEW.a"])
            .is(Data, 1365, 1365),
        case("an expression out of range", "a bigint, b bigint", i64::MAX)
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = NEW.a + 1"])
            .is(Data, 1690, 1690),
        case("no geometry", "a point", vec![1_u8, 2]).is(Data, 1416, 1416),
        case("of another character set", "a varchar(9) CHARACTER SET koi8r", "\u{4e16}")
            .is(Data, 3988, 1366),
        case("a trigger on a missing table", OTHER, "x")
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW \
                      INSERT INTO nowhere VALUES (1)"])
            .is(Schema, 1146, 1146),
        case("a trigger on a missing procedure", OTHER, "x")
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW CALL nowhere()"])
            .is(Schema, 1305, 1305),
        case("a trigger on its own table", OTHER, "x")
            .after(&["CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW UPDATE t SET b = 1"])
            .is(Other, 1442, 1442),
        case("a trigger of nobody's", OTHER, "x")
            .after(&["CREATE DEFINER = nobody@nowhere TRIGGER x BEFORE INSERT ON t \
                      FOR EACH ROW SET NEW.b = 1"])
            .is(Permission, 1449, 1449),
        case("two texts that cannot be compared", "a varchar(9), b int", "x")
            .after(&["CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.b = \
                      'a' COLLATE utf8mb4_bin = 'b' COLLATE utf8mb4_general_ci"])
            .is(Syntax, 1267, 1267),
    ]
}

async fn is_mariadb(database: &Database) -> bool {
    database.rows("SELECT VERSION()").await[0].contains("MariaDB")
}

async fn write(driver: &MysqlDriver, row: Request) -> Result<(), WriteError> {
    let batch = Batch::from_requests(vec![row]).unwrap();
    driver.write(batch, &Attempt::new()).await.map(|_| ())
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn each_answer_about_a_row_has_its_kind_and_shows_no_value() {
    let database = Database::new("errors").await;
    let family = usize::from(is_mariadb(&database).await);
    database.execute("CREATE TABLE parents (id int PRIMARY KEY)").await;
    for case in cases() {
        let key = if case.table.contains("PRIMARY") { "" } else { " PRIMARY KEY" };
        database.execute("DROP TABLE IF EXISTS t").await;
        database.execute(&format!("CREATE TABLE t (id int{key}, {})", case.table)).await;
        for sql in case.more {
            database.execute(sql).await;
        }
        let driver = MysqlDriver::connect(database.url()).await.unwrap();
        let schema = Schema::new("t", case.strategy, ["id", case.column]).unwrap();
        let row = Request::new(&schema).set("id", 1).set(case.column, case.value.clone());
        let Err(error) = write(&driver, row).await else { panic!("{}: written", case.what) };
        let code = case.codes[family].to_string();
        let said = error.server_message().unwrap_or_default().to_owned();
        assert_eq!(error.code(), Some(code.as_str()), "{}: {error}: {said}", case.what);
        assert_eq!(error.kind(), case.kind, "{}: {error}: {said}", case.what);
        assert_eq!(error.applied(), Applied::Nothing, "{}: {error}", case.what);
        assert_eq!(error.table(), Some("t"), "{}: {error}", case.what);
        assert!(!format!("{error} {error:?}").contains("canary"), "{}: {error}", case.what);
        driver.close().await;
    }
}

/// What has nothing to do with the row.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn each_answer_about_the_session_or_the_server_has_its_kind() {
    let database = Database::new("answers").await;
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a int)").await;
    database.execute("INSERT INTO t VALUES (1, 1)").await;
    let user = fresh("u").replace("batchflow", "bf");
    let user = user.get(..user.len().min(30)).unwrap();
    database.execute(&format!("DROP USER IF EXISTS {user}")).await;
    database.execute(&format!("CREATE USER {user} IDENTIFIED BY 'right'")).await;
    let config = |password: &str| {
        MysqlConfig::from_url(database.url()).unwrap().user(user).password(password)
    };

    let told = MysqlDriver::connect_with(config("wrong-canary")).await.unwrap_err();
    assert_eq!((told.kind(), told.code()), (ErrorKind::Permission, Some("1045")), "{told}");
    assert!(!format!("{told} {told:?}").contains("canary"));
    let told = MysqlDriver::connect_with(config("right")).await.unwrap_err();
    assert_eq!((told.kind(), told.code()), (ErrorKind::Permission, Some("1044")), "{told}");
    let nowhere = crate::support::with_database(database.url(), "nowhere_at_all");
    let told = MysqlDriver::connect(&nowhere).await.unwrap_err();
    assert_eq!((told.kind(), told.code()), (ErrorKind::Schema, Some("1049")), "{told}");

    // With the right to insert alone.
    database.execute(&format!("GRANT INSERT, UPDATE, SELECT ON t TO {user}")).await;
    let theirs = MysqlDriver::connect_with(config("right")).await.unwrap();
    let schema = Schema::new("t", ConflictStrategy::Update, ["id", "a"]).unwrap();
    let row = |id: i32| schema.row((id, 1)).unwrap();
    write(&theirs, row(2)).await.unwrap();
    database.execute(&format!("REVOKE INSERT ON t FROM {user}")).await;
    let told = write(&theirs, row(3)).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Permission, "{told}");
    theirs.close().await;
    database.execute(&format!("ALTER USER {user} WITH MAX_USER_CONNECTIONS 1")).await;
    database.execute(&format!("GRANT INSERT ON t TO {user}")).await;
    let first = MysqlDriver::connect_with(config("right")).await.unwrap();
    let told = MysqlDriver::connect_with(config("right")).await.unwrap_err();
    assert_eq!(told.kind().class(), ErrorClass::Transient, "{told}");
    assert!(matches!(told.code(), Some("1203" | "1226")), "{told}");
    first.close().await;
    database.execute(&format!("DROP USER {user}")).await;

    // A row that another session holds.
    let mut other = database.connect().await;
    other.query_drop("BEGIN").await.unwrap();
    other.query_drop("UPDATE t SET a = 5 WHERE id = 1").await.unwrap();
    let driver = MysqlDriver::connect(database.url()).await.unwrap();
    let batch = Batch::from_requests(vec![row(1)]).unwrap();
    let attempt =
        Attempt::new().with_deadline(tokio::time::Instant::now() + Duration::from_secs(3));
    let told = driver.write(batch, &attempt).await.unwrap_err();
    assert_eq!(told.kind().class(), ErrorClass::Transient, "{told}");
    other.query_drop("ROLLBACK").await.unwrap();

    // A table that is gone, and one that has lost a column.
    database.execute("ALTER TABLE t DROP COLUMN a").await;
    let told = write(&driver, row(4)).await.unwrap_err();
    assert_eq!((told.kind(), told.column()), (ErrorKind::Schema, Some("a")), "{told}");
    database.execute("DROP TABLE t").await;
    let told = write(&driver, row(4)).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Schema, "{told}");
    driver.close().await;
}
