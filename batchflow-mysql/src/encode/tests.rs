//! What is sent of each value, against what the server makes of the same value as a literal.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod speed;
mod values;

use std::mem::discriminant;

use batchflow_core::{Batch, ConflictStrategy, Request, Schema, Value, ValueRef};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Params};

use self::values::edges;
use super::{parameters, plain};
use crate::server::{Family, Server};
use crate::table::Table;
use crate::unit::{clean_up, connect, run, texts};

/// Every type there is a rule for, lengths and character sets with them.
const TYPES: &[&str] = &[
    "TINYINT",
    "TINYINT(1)",
    "TINYINT UNSIGNED",
    "SMALLINT",
    "SMALLINT UNSIGNED",
    "MEDIUMINT",
    "MEDIUMINT UNSIGNED",
    "INT",
    "INT UNSIGNED ZEROFILL",
    "BIGINT",
    "BIGINT UNSIGNED",
    "DECIMAL(10,2)",
    "DECIMAL(5,0) UNSIGNED",
    "DECIMAL(30,30)",
    "DECIMAL(65,2)",
    "FLOAT",
    "FLOAT UNSIGNED",
    "FLOAT(7,3)",
    "DOUBLE",
    "DOUBLE(9,2) UNSIGNED",
    "BIT(1)",
    "BIT(9)",
    "BIT(64)",
    "YEAR",
    "DATE",
    "TIME",
    "TIME(3)",
    "TIME(6)",
    "DATETIME",
    "DATETIME(3)",
    "DATETIME(6)",
    "TIMESTAMP NULL",
    "TIMESTAMP(3) NULL",
    "TIMESTAMP(6) NULL",
    "CHAR(4)",
    "VARCHAR(5)",
    "VARCHAR(40)",
    "VARCHAR(5) CHARACTER SET latin1",
    "VARCHAR(5) CHARACTER SET ascii",
    "VARCHAR(5) CHARACTER SET utf8mb3",
    "VARCHAR(5) CHARACTER SET ucs2",
    "VARCHAR(5) CHARACTER SET utf16",
    "VARCHAR(5) CHARACTER SET koi8r",
    "TINYTEXT",
    "TINYTEXT CHARACTER SET latin1",
    "TINYTEXT CHARACTER SET utf32",
    "TEXT",
    "LONGTEXT",
    "BINARY(4)",
    "VARBINARY(5)",
    "TINYBLOB",
    "BLOB",
    "ENUM('sad', 'ok', 'It''s \\\\ \\n')",
    "SET('sad', 'ok')",
    "JSON",
];

const OF_MARIADB: &[&str] = &["INET6", "UUID", "INET4"];

/// What became of a value: its bytes in the table, in hexadecimal, or who refused it.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Stored(Option<String>),
    /// Stored as something else than it was, as the server's warning says.
    Changed(Option<String>),
    Refused,
    /// Refused before it was sent, for this.
    Checked(String),
}

struct Target<'a> {
    conn: &'a mut Conn,
    sql: &'a str,
    schema: Schema,
    table: Table,
    server: &'a Server,
}

impl<'a> Target<'a> {
    async fn new(conn: &'a mut Conn, server: &'a Server, sql: &'a str) -> Self {
        run(conn, "DROP TABLE IF EXISTS t").await;
        run(conn, &format!("CREATE TABLE t (id BIGINT PRIMARY KEY, c {sql})")).await;
        let schema = Schema::new("t", ConflictStrategy::Fail, ["id", "c"]).unwrap();
        let table = Table::read(conn, server, &schema).await.unwrap();
        Self { conn, sql, schema, table, server }
    }

    fn encode(&self, values: &[Value]) -> Result<Vec<mysql_async::Value>, String> {
        let row = |(id, value): (i64, &Value)| {
            Request::new(&self.schema).set("id", id).set("c", value.clone())
        };
        let batch = Batch::from_requests((0..).zip(values).map(row).collect()).unwrap();
        parameters(self.server, &self.table, &[0, 1], &batch).map_err(|error| {
            assert_eq!(error.column(), Some("c"));
            assert_eq!(error.blame(), [0]);
            error.message().unwrap_or_default().to_owned()
        })
    }

    async fn stored(&mut self) -> Vec<Option<String>> {
        texts(self.conn, "SELECT HEX(CAST(c AS CHAR)) FROM t ORDER BY id").await.unwrap()
    }

    async fn insert(&mut self, expression: &str) -> Fate {
        run(self.conn, "DELETE FROM t").await;
        match self.conn.query_drop(format!("INSERT INTO t VALUES (0, {expression})")).await {
            Ok(()) => {
                let warned = self.conn.get_warnings() > 0;
                let text = self.stored().await.remove(0);
                if warned { Fate::Changed(text) } else { Fate::Stored(text) }
            }
            Err(Error::Server(_)) => Fate::Refused,
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    async fn send(&mut self, value: &Value) -> Fate {
        let values = match self.encode(std::slice::from_ref(value)) {
            Ok(values) => values,
            Err(why) => return Fate::Checked(why),
        };
        run(self.conn, "DELETE FROM t").await;
        let sent = self.conn.exec_drop("INSERT INTO t VALUES (?, ?)", Params::Positional(values));
        match sent.await {
            Ok(()) => {
                assert_eq!(self.conn.get_warnings(), 0, "{} {value:?}", self.sql);
                Fate::Stored(self.stored().await.remove(0))
            }
            Err(Error::Server(_)) => Fate::Refused,
            Err(error) => panic!("{}: {error}", self.sql),
        }
    }

    /// All at once, by the server's bulk command or one by one as the client does it.
    async fn send_all(&mut self, values: &[Value]) -> Vec<Option<String>> {
        run(self.conn, "DELETE FROM t").await;
        let parameters = self.encode(values).unwrap();
        let rows = parameters.chunks(2).map(|row| Params::Positional(row.to_vec()));
        self.conn.exec_batch("INSERT INTO t VALUES (?, ?)", rows).await.unwrap();
        let mut kinds = parameters.iter().skip(1).step_by(2);
        if let Some(first) = kinds.next() {
            let same = |value: &mysql_async::Value| {
                *value == mysql_async::Value::NULL || discriminant(value) == discriminant(first)
            };
            assert!(kinds.all(same), "{}: of several kinds", self.sql);
        }
        self.stored().await
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

fn literal(text: &str) -> String {
    let bytes = hex(text.as_bytes());
    format!("_utf8mb4 X'{bytes}'")
}

/// The value as an expression of its kind; `None` where there is none.
fn expression(value: &Value, sql: &str) -> Option<String> {
    Some(match value.as_ref() {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Bool(value) => value.to_string(),
        ValueRef::I64(value) => value.to_string(),
        ValueRef::U64(value) => value.to_string(),
        // To a decimal or a text, a float counts by its shortest text.
        ValueRef::F64(value) if value.is_finite() && !by_text(sql) => format!("{value:e}"),
        ValueRef::F32(value) if value.is_finite() && !by_text(sql) => {
            format!("{:e}", f64::from(value))
        }
        ValueRef::Decimal(text) if !text.is_empty() && text.bytes().all(is_numeric) => {
            text.to_owned()
        }
        ValueRef::Bytes(bytes) => {
            let bytes = hex(bytes);
            format!("X'{bytes}'")
        }
        ValueRef::Uuid(uuid) if sql.contains("BINARY") || sql.contains("BLOB") => {
            let bytes = hex(uuid);
            format!("X'{bytes}'")
        }
        ValueRef::Array(_) => return None,
        value => literal(&plain::text(value).ok()?),
    })
}

fn by_text(sql: &str) -> bool {
    sql.starts_with("DECIMAL") || sql.contains("CHAR") || sql.contains("TEXT")
}

fn is_numeric(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'-')
}

/// What we refuse and the server takes as it is, on purpose.
fn is_stricter(sql: &str, value: &Value, why: &str) -> bool {
    // Numbers for members and years, times for dates, texts that are numbers in other spellings.
    why.contains("takes no such kind")
        || why.contains("ISO 8601")
        || why.contains("is not the text of")
        || why.contains("is not a decimal")
        || (sql.starts_with("YEAR") && why.contains("year of four digits"))
        || (sql.starts_with("ENUM") || sql.starts_with("SET")) && why.contains("members")
        // Years of fewer digits, and of another century.
        || (sql == "YEAR" && !matches!(value, Value::I64(100..)))
        // Below what is a number at all.
        || ((sql.starts_with("FLOAT") || sql == "DOUBLE") && why.contains("range"))
        // The bits of negative numbers.
        || (sql == "BIT(64)" && matches!(value, Value::I64(..0)))
        // MariaDB stores fractions of the last second.
        || (sql.starts_with("TIME(") && matches!(value, Value::Text(text) if text.contains(":59.")))
        // MariaDB checks no number's size.
        || (sql == "JSON" && matches!(value, Value::Text(text) if &**text == "1e400"))
        // Spaces beyond the end are cut, with a note or without one.
        || (sql.contains("CHAR") && why.contains("longer"))
}

/// What we take and the server does not read, or reads otherwise.
fn is_wider(sql: &str, value: &Value) -> bool {
    let temporal = ["DATE", "TIME", "YEAR"].iter().any(|name| sql.starts_with(name));
    match value {
        // Zones; a timestamp's day and time are its own, where the server rounds or warns; and
        // MySQL rounds a time's seventh digit up, whatever it is.
        Value::Text(_) | Value::Timestamp(_) | Value::Date(_) | Value::Time(_) => temporal,
        // A decimal stays the text that it is.
        Value::Decimal(_) => sql.contains("CHAR") || sql.contains("TEXT"),
        // MariaDB cuts the literal of a number in four bytes a digit.
        Value::I64(_) | Value::U64(_) => sql.contains("utf32"),
        // Spaces around a number, and rounded halves of doubles.
        Value::F32(_) | Value::F64(_) => true,
        // Bytes of a number.
        Value::Bytes(_) => sql.starts_with("BIT"),
        _ => false,
    }
}

fn same(ours: Option<&str>, theirs: &Fate) -> bool {
    matches!(theirs, Fate::Stored(text) | Fate::Changed(text) if text.as_deref() == ours)
}

async fn check(target: &mut Target<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut taken = Vec::new();
    for value in edges() {
        let Some(expression) = expression(&value, target.sql) else {
            let refused = matches!(target.send(&value).await, Fate::Checked(_));
            assert!(refused || !matches!(value, Value::Array(_)), "{}", target.sql);
            continue;
        };
        let ours = target.send(&value).await;
        let theirs = target.insert(&expression).await;
        let shown: String = expression.chars().take(90).collect();
        let shown = format!("{} <- {:?} {shown}: {ours:?}, {theirs:?}", target.sql, value.kind());
        match &ours {
            Fate::Stored(text) => {
                if !same(text.as_deref(), &theirs) && !is_wider(target.sql, &value) {
                    faults.push(format!("differs: {shown}"));
                }
                taken.push((value, text.clone()));
            }
            Fate::Checked(why) => {
                if matches!(theirs, Fate::Stored(_)) && !is_stricter(target.sql, &value, why) {
                    faults.push(format!("refused: {shown}"));
                }
            }
            Fate::Refused | Fate::Changed(_) => {
                // Of other character sets only the server knows.
                if !target.sql.contains("koi8r") {
                    faults.push(format!("the server refused what was sent: {shown}"));
                }
            }
        }
    }
    taken.push((Value::Null, None));
    let (values, texts): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
    let found = target.send_all(&values).await;
    for ((value, text), found) in values.iter().zip(&texts).zip(&found) {
        if text != found {
            faults.push(format!("{} at once {value:?}: {found:?}, not {text:?}", target.sql));
        }
    }
    faults
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn each_type_stores_what_the_server_makes_of_the_same_literal() {
    let (mut conn, server) = connect().await;
    // Each statement by itself would wait for a disk.
    run(&mut conn, "SET autocommit = 0").await;
    let mut types = TYPES.to_vec();
    if server.family == Family::MariaDb {
        // So that it rounds as it would in a session of the driver's.
        run(&mut conn, "SET sql_mode = CONCAT(@@sql_mode, ',TIME_ROUND_FRACTIONAL')").await;
        let newer = [server.version >= (10, 5, 0), server.version >= (10, 7, 0)];
        let has = |at: usize| newer.get(at).copied().unwrap_or(server.version >= (10, 10, 0));
        types.extend(OF_MARIADB.iter().enumerate().filter(|(at, _)| has(*at)).map(|(_, sql)| *sql));
    }
    let mut faults = Vec::new();
    for sql in types {
        let mut target = Target::new(&mut conn, &server, sql).await;
        faults.extend(check(&mut target).await);
    }
    clean_up(conn).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
