//! What is found of tables, and what is refused of them.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use ConflictStrategy::{Fail, Ignore, Update};
use mysql_async::prelude::Queryable as _;

use super::*;
use crate::server::Family;
use crate::unit::{clean_up, connect, run, texts};

fn schema(table: &str, strategy: ConflictStrategy, columns: &[&str]) -> Schema {
    Schema::new(table, strategy, columns.iter().copied()).unwrap()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn what_is_missing_or_unfit_is_named() {
    let (mut conn, server) = connect().await;
    run(
        &mut conn,
        "CREATE TABLE t (id BIGINT PRIMARY KEY, a VARCHAR(90), b VARCHAR(90), c INT, d INT, \
           e BIGINT, at DATE, g BIGINT AS (id + 1) STORED, \
           UNIQUE KEY by_start (a(3)), UNIQUE KEY wide (c, d), KEY plain (e));\n\
         CREATE VIEW v AS SELECT * FROM t;\n\
         CREATE TABLE isam (id INT PRIMARY KEY) ENGINE = MyISAM;\n\
         CREATE TABLE memory (id INT PRIMARY KEY) ENGINE = MEMORY;\n\
         CREATE TEMPORARY TABLE temp (id INT PRIMARY KEY)",
    )
    .await;
    let mut cases = vec![
        (schema("nowhere", Fail, &["id"]), vec!["nowhere", "no such table"]),
        (schema("nowhere.t", Fail, &["id"]), vec!["nowhere.t", "there is no"]),
        (schema("a.b.t", Fail, &["id"]), vec!["a.b.t", "at most"]),
        (schema("temp", Fail, &["id"]), vec!["temp", "temporary"]),
        (schema("t", Fail, &["id", "x"]), vec!["column x", "no such column"]),
        (schema("t", Fail, &["id", "a", "A"]), vec!["column A", "same column", "as a"]),
        (schema("t", Ignore, &["e"]), vec!["no unique index", "(e)"]),
        (schema("t", Ignore, &["c"]), vec!["no unique index", "(c)"]),
        (schema("t", Ignore, &["a"]), vec!["by_start", "beginning"]),
        (schema("v", Fail, &["id"]), vec!["a view"]),
        (schema("isam", Fail, &["id"]), vec!["isam", "MyISAM", "no transactions"]),
        (schema("memory", Ignore, &["id"]), vec!["MEMORY", "no transactions"]),
        (schema("information_schema.TABLES", Fail, &["TABLE_NAME"]), vec!["no table"]),
    ];
    if server.family == Family::MySql {
        run(&mut conn, "CREATE UNIQUE INDEX by_lower ON t ((LOWER(b)))").await;
        cases.push((schema("t", Ignore, &["b"]), vec!["no unique index", "(b)"]));
    } else {
        run(&mut conn, "CREATE SEQUENCE s").await;
        cases.push((schema("s", Fail, &["start_value"]), vec!["sequence"]));
    }
    let of = |column: &str, merge| {
        let builder = Schema::builder("t").columns(["id", column]).key(["id"]);
        builder.on_conflict(Update).merge(column, merge).build().unwrap()
    };
    let touched = |column: &str| {
        let builder = Schema::builder("t").columns(["id", column]).key(["id"]);
        builder.on_conflict(Update).touch(column).build().unwrap()
    };
    cases.extend([
        (of("a", Merge::Add), vec!["column a", "varchar", "added up"]),
        (of("a", Merge::Max), vec!["column a", "greatest"]),
        (of("at", Merge::Add), vec!["column at", "date"]),
        (of("g", Merge::Set), vec!["column g", "computed"]),
        (touched("at"), vec!["column at", "no timestamp"]),
    ]);
    for (schema, words) in cases {
        let error = Table::read(&mut conn, &server, &schema).await.expect_err(words[0]);
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Schema, Stage::Describe), "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{error}: {word}");
        }
    }
    let both = Schema::builder("t").columns(["d", "c"]).key(["d", "c"]).on_conflict(Ignore);
    for fine in [
        schema("t", Ignore, &["id", "a"]),
        schema("t", Ignore, &["ID", "A"]),
        of("e", Merge::Add),
        of("at", Merge::Max),
        of("b", Merge::KeepExisting),
        both.build().unwrap(),
    ] {
        Table::read(&mut conn, &server, &fine).await.unwrap();
    }
    let table = schema("t", Ignore, &["id", "a", "g"]);
    let found = Table::read(&mut conn, &server, &table).await.unwrap();
    assert!(found.check_settable(&table, &[0, 1]).is_ok());
    let error = found.check_settable(&table, &[0, 2]).unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::Schema, Some("g")));
    clean_up(conn).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn what_a_user_may_not_do_is_said_before_anything_is_sent() {
    let (mut conn, server) = connect().await;
    let database = texts(&mut conn, "SELECT DATABASE()").await.unwrap().remove(0).unwrap();
    let user = format!("bf_{}", std::process::id());
    run(
        &mut conn,
        &format!(
            "CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL);\n\
             CREATE TABLE hidden (id INT PRIMARY KEY);\n\
             DROP USER IF EXISTS {user};\n\
             CREATE USER {user} IDENTIFIED BY 'x';\n\
             GRANT SELECT ON {database}.t TO {user}"
        ),
    )
    .await;
    let opts = conn.opts().clone();
    let opts = mysql_async::OptsBuilder::from_opts(opts)
        .user(Some(user.clone()))
        .pass(Some("x"))
        .db_name(Some(database.clone()));
    let mut theirs = Conn::new(opts).await.unwrap();
    let insert = schema("t", Fail, &["id", "a"]);
    let upsert = schema("t", Ignore, &["id", "a"]);
    let hidden = schema("hidden", Fail, &["id"]);
    let refused = async |schema: &Schema, theirs: &mut Conn| {
        Table::read(theirs, &server, schema).await.err().map(|error| error.kind())
    };
    assert_eq!(refused(&insert, &mut theirs).await, Some(ErrorKind::Permission));
    assert_eq!(refused(&hidden, &mut theirs).await, Some(ErrorKind::Permission));
    run(&mut conn, &format!("GRANT INSERT ON {database}.t TO {user}")).await;
    assert_eq!(refused(&insert, &mut theirs).await, None);
    assert_eq!(refused(&upsert, &mut theirs).await, Some(ErrorKind::Permission));
    run(&mut conn, &format!("GRANT UPDATE ON {database}.t TO {user}")).await;
    let found = Table::read(&mut theirs, &server, &upsert).await.unwrap();
    assert!(!found.may_stage);
    // A trigger that this user may not see could fill it in.
    assert!(!found.columns[1].refuses_null);
    run(
        &mut conn,
        &format!(
            "GRANT TRIGGER ON {database}.t TO {user};\n\
             GRANT CREATE TEMPORARY TABLES ON {database}.* TO {user}"
        ),
    )
    .await;
    let found = Table::read(&mut theirs, &server, &upsert).await.unwrap();
    assert!(found.may_stage && found.columns[1].refuses_null);
    theirs.disconnect().await.unwrap();
    run(&mut conn, &format!("DROP USER {user}")).await;
    clean_up(conn).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn names_are_taken_as_they_are() {
    let (mut conn, server) = connect().await;
    run(
        &mut conn,
        "CREATE TABLE `Odd ``name``, with'quotes\\` (`Id` BIGINT PRIMARY KEY, `a'b ``c` TEXT)",
    )
    .await;
    let odd = Schema::new(r#""Odd `name`, with'quotes\""#, Ignore, ["Id", "a'b `c"]).unwrap();
    let table = Table::read(&mut conn, &server, &odd).await.unwrap();
    assert_eq!(table.columns[1].name, "a'b `c");
    conn.query_drop(format!("SELECT 1 FROM {} WHERE 1 = 0", table.name)).await.unwrap();
    clean_up(conn).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn keys_compare_as_their_columns_do() {
    let (mut conn, server) = connect().await;
    run(
        &mut conn,
        "CREATE TABLE t (i INT UNIQUE, f FLOAT UNIQUE, fd FLOAT(7,3) UNIQUE, d DOUBLE UNIQUE, \
           n DECIMAL(10,2) UNIQUE, v VARCHAR(9) COLLATE utf8mb4_general_ci UNIQUE, \
           c CHAR(4) COLLATE utf8mb4_bin UNIQUE, l VARCHAR(9) CHARACTER SET latin1 UNIQUE, \
           tr VARCHAR(9) COLLATE utf8mb4_turkish_ci UNIQUE, b BINARY(16) UNIQUE, \
           vb VARBINARY(16) UNIQUE, ts TIMESTAMP(3) NULL UNIQUE, dt DATETIME UNIQUE, \
           ti TIME(6) UNIQUE, da DATE UNIQUE, e ENUM('a', 'b') UNIQUE, s SET('a', 'b') UNIQUE, \
           y YEAR UNIQUE, bi BIT(9) UNIQUE)",
    )
    .await;
    let mut cases = vec![
        ("i", ColumnKind::Integer, Comparison::Natural, None),
        ("f", ColumnKind::Float32, Comparison::Natural, None),
        ("fd", ColumnKind::Other, Comparison::Natural, None),
        ("d", ColumnKind::Float64, Comparison::Natural, None),
        ("n", ColumnKind::Decimal, Comparison::Natural, Some(2)),
        ("v", ColumnKind::Text, Comparison::PrintableNoCaseTrimEnd, None),
        ("c", ColumnKind::Text, Comparison::TrimEnd, None),
        ("l", ColumnKind::Text, Comparison::PrintableNoCaseTrimEnd, None),
        ("tr", ColumnKind::Text, Comparison::Opaque, None),
        ("b", ColumnKind::Bytes, Comparison::TrimEndZeros, None),
        ("vb", ColumnKind::Bytes, Comparison::Natural, None),
        ("ts", ColumnKind::Timestamp, Comparison::Natural, Some(3)),
        ("dt", ColumnKind::Timestamp, Comparison::Natural, Some(0)),
        ("ti", ColumnKind::Time, Comparison::Natural, Some(6)),
        ("da", ColumnKind::Date, Comparison::Natural, None),
        ("e", ColumnKind::Text, Comparison::Natural, None),
        ("s", ColumnKind::Other, Comparison::Natural, None),
        ("y", ColumnKind::Integer, Comparison::Natural, None),
        ("bi", ColumnKind::Integer, Comparison::Natural, None),
    ];
    if server.family == Family::MariaDb {
        run(&mut conn, "ALTER TABLE t ADD n6 INET6 UNIQUE").await;
        cases.push(("n6", ColumnKind::Other, Comparison::Natural, None));
    }
    if server.family == Family::MariaDb && server.version >= (10, 7, 0) {
        run(&mut conn, "ALTER TABLE t ADD u UUID UNIQUE").await;
        cases.push(("u", ColumnKind::Uuid, Comparison::Natural, None));
    }
    for (name, kind, comparison, scale) in cases {
        let table = Table::read(&mut conn, &server, &schema("t", Ignore, &[name])).await.unwrap();
        let info = table.info();
        let column = info.column(0).unwrap();
        let found = (column.kind(), column.comparison(), column.scale());
        assert_eq!(found, (kind, comparison, scale), "{name}: {}", table.columns[0].ty.sql);
    }
    clean_up(conn).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn what_a_column_does_of_itself_is_known() {
    let (mut conn, server) = connect().await;
    run(
        &mut conn,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL, b INT, \
           c VARCHAR(9) DEFAULT 'NULL', d DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL, \
           e VARCHAR(90) DEFAULT (CONCAT('a', 'b')), f INT DEFAULT NULL, g INT AS (a + 1), \
           h ENUM('x', 'y') NOT NULL, i TEXT NOT NULL, j JSON, k BIGINT UNSIGNED DEFAULT 0, \
           l VARCHAR(9) DEFAULT '' NOT NULL)",
    )
    .await;
    let names = ["id", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let all = schema("t", Fail, &names);
    let table = Table::read(&mut conn, &server, &all).await.unwrap();
    let shown = |what: fn(&TableColumn) -> bool| -> String {
        let found = table.columns.iter().filter(|column| what(column));
        found.map(|column| column.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown(|column| column.not_null), "id a d h i l");
    assert_eq!(shown(|column| column.refuses_null), "a d h i l");
    assert_eq!(shown(|column| column.has_default), "id c d e g h k l");
    assert_eq!(shown(|column| column.generated), "g");
    assert_eq!(shown(|column| column.auto_increment), "id");
    assert_eq!(shown(|column| column.ty.kind == TypeKind::Json), "j");
    assert_eq!(shown(|column| column.charset.is_some()), {
        if server.family == Family::MySql { "c e h i l" } else { "c e h i j l" }
    });
    run(&mut conn, "CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 1").await;
    let table = Table::read(&mut conn, &server, &all).await.unwrap();
    assert!(table.columns.iter().all(|column| !column.refuses_null && column.has_default));
    clean_up(conn).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn only_a_unique_key_that_a_row_could_violate_is_another() {
    let (mut conn, server) = connect().await;
    let ignored = if server.family == Family::MySql { "INVISIBLE" } else { "IGNORED" };
    let has_ignored = server.family == Family::MySql || server.version >= (10, 6, 0);
    let cases = [
        ("id INT PRIMARY KEY, a INT", false),
        ("id INT PRIMARY KEY, a INT UNIQUE", true),
        ("id INT PRIMARY KEY, a INT, UNIQUE (id, a)", false),
        ("id INT PRIMARY KEY, a VARCHAR(9), UNIQUE (id, a(3))", true),
        ("n INT AUTO_INCREMENT PRIMARY KEY, id INT UNIQUE, a INT", false),
        ("n INT DEFAULT 5 PRIMARY KEY, id INT UNIQUE, a INT", true),
        ("id INT PRIMARY KEY, a INT, n INT UNIQUE", false),
        ("id INT PRIMARY KEY, a INT, n INT DEFAULT 5 UNIQUE", true),
        ("id INT PRIMARY KEY, a INT, n INT AS (a + 1) UNIQUE", true),
        ("id INT, a INT, UNIQUE hidden (id)", false),
    ];
    for (columns, expected) in cases {
        run(&mut conn, &format!("CREATE TABLE t ({columns})")).await;
        if columns.contains("hidden") && has_ignored {
            run(&mut conn, &format!("ALTER TABLE t ALTER INDEX hidden {ignored}")).await;
        }
        let upsert = schema("t", Ignore, &["id", "a"]);
        let table = Table::read(&mut conn, &server, &upsert).await.unwrap();
        assert_eq!(table.other_unique_keys, expected, "{columns}");
        let plain = schema("t", Fail, &["id", "a"]);
        let table = Table::read(&mut conn, &server, &plain).await.unwrap();
        assert!(!table.other_unique_keys, "{columns}: a plain insert updates no row");
        // An index that the optimizer leaves alone still finds the row.
        run(&mut conn, "INSERT INTO t (id, a) VALUES (7, 1)").await;
        let again = "INSERT INTO t (id, a) VALUES (7, 2) ON DUPLICATE KEY UPDATE id = 7";
        run(&mut conn, again).await;
        assert_eq!(texts(&mut conn, "SELECT a FROM t").await.unwrap(), [Some("1".into())]);
        run(&mut conn, "DROP TABLE t").await;
    }
    clean_up(conn).await;
}
