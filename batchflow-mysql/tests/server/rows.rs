//! Rows at fault among good ones.

use batchflow_mysql::{
    BatchWriter, ConflictStrategy, ErrorKind, Request, Schema, Value, Way, WriteSummary,
};

use crate::support::Database;
use crate::ways::driver;

const WAYS: [Way; 3] = [Way::Bulk, Way::Rows, Way::Load];

/// Where among a thousand a row is at fault.
const PLACES: [usize; 3] = [0, 499, 999];

/// A fault: what of the row is changed, and what it is refused for.
struct Fault {
    what: &'static str,
    column: &'static str,
    value: Value,
    kind: ErrorKind,
    /// The column that the error names.
    names: Option<&'static str>,
}

fn faults() -> Vec<Fault> {
    use ErrorKind::{Constraint, Data, DuplicateKey, Other};

    let data = |what, column, value: Value| {
        let names = Some(column);
        Fault { what, column, value, kind: Data, names }
    };
    let other = |what, column, value: Value, kind| Fault { what, column, value, kind, names: None };
    vec![
        Fault { names: Some("name"), ..other("NULL", "name", Value::Null, Constraint) },
        data("too long", "name", "x".repeat(13).into()),
        data("of another character set", "latin", "\u{4e16}".into()),
        data("out of range", "small", 40_000_i64.into()),
        data("of another kind", "small", "three".into()),
        data("below zero", "big", Value::I64(-1)),
        data("too many digits", "price", Value::Decimal("99999.95".into())),
        data("no number", "ratio", f64::NAN.into()),
        data("no member", "mood", "OK".into()),
        data("no JSON", "doc", Value::Json("{".into())),
        data("no day", "at", "2023-02-29".into()),
        data("no zero date", "at", "0000-00-00".into()),
        data("out of a timestamp's range", "stamp", "2106-02-07T06:28:16Z".into()),
        data("a short year", "born", 24_i64.into()),
        data("too many bits", "flags", 16_i64.into()),
        data("too many bytes", "raw", vec![0_u8; 5].into()),
        other("a foreign key", "parent", 99_i64.into(), Constraint),
        other("a check", "small", (-1_i64).into(), Constraint),
        other("another unique key", "code", "taken".into(), DuplicateKey),
        other("a trigger's own", "name", "cursed".into(), Other),
    ]
}

const COLUMNS: [&str; 15] = [
    "id", "name", "latin", "small", "big", "price", "ratio", "mood", "doc", "at", "stamp", "born",
    "flags", "raw", "parent",
];

async fn make(database: &Database) {
    for sql in [
        "CREATE TABLE parents (id int PRIMARY KEY)",
        "INSERT INTO parents VALUES (1)",
        "CREATE TABLE t (id bigint PRIMARY KEY, name varchar(12) NOT NULL, \
           latin varchar(9) CHARACTER SET latin1, small smallint, big bigint unsigned, \
           price decimal(6,1), ratio double, mood enum('sad', 'ok'), doc json, at datetime(3), \
           stamp timestamp NULL, born year, flags bit(4), raw varbinary(4), parent int, \
           code varchar(40) UNIQUE, CONSTRAINT small_check CHECK (small >= 0), \
           CONSTRAINT parent_fk FOREIGN KEY (parent) REFERENCES parents (id))",
        "INSERT INTO t (id, name, code) VALUES (-1, 'holder', 'taken')",
        "CREATE TRIGGER curse AFTER INSERT ON t FOR EACH ROW \
           IF NEW.name = 'cursed' THEN \
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'canary-trigger'; \
           END IF",
    ] {
        database.execute(sql).await;
    }
}

fn row(schema: &Schema, id: i64) -> Request {
    Request::new(schema)
        .set("id", id)
        .set("name", format!("name {id}"))
        .set("latin", "Gr\u{fc}\u{df}e")
        .set("small", id % 100)
        .set("big", id)
        .set("price", Value::Decimal("12.5".into()))
        .set("ratio", 0.5)
        .set("mood", "ok")
        .set("doc", Value::Json("{\"a\": 1}".into()))
        .set("at", "2024-02-29 12:00:00.5")
        .set("stamp", "2024-02-29T12:00:00Z")
        .set("born", 1999)
        .set("flags", 5)
        .set("raw", vec![0_u8, 255])
        .set("parent", 1)
        .set("code", format!("code {id}"))
}

fn schema(strategy: ConflictStrategy) -> Schema {
    Schema::new("t", strategy, COLUMNS.into_iter().chain(["code"])).unwrap()
}

async fn write_all(database: &Database, way: Way, rows: Vec<Request>) -> WriteSummary {
    let driver = driver(database, Some(way)).await;
    let writer = BatchWriter::builder(driver).batch_size(1_000).build().unwrap();
    writer.write(rows).await.unwrap_or_else(|error| {
        panic!("{way:?}: {}: {:?}", error.error(), error.error().server_message())
    })
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_4_one_bad_row_of_any_sort_in_any_place_harms_no_other() {
    let database = Database::new("rows").await;
    make(&database).await;
    for (way, strategy) in WAYS.into_iter().zip([
        ConflictStrategy::Update,
        ConflictStrategy::Fail,
        ConflictStrategy::Ignore,
    ]) {
        let schema = schema(strategy);
        for fault in faults() {
            for place in PLACES {
                let case = format!("{} at {place} by {way:?}", fault.what);
                let mut batch: Vec<Request> = (0..1_000).map(|id| row(&schema, id)).collect();
                batch[place] = row(&schema, place as i64).set(fault.column, fault.value.clone());
                let summary = write_all(&database, way, batch).await;
                let [letter] = summary.failures() else {
                    let errors: Vec<String> =
                        summary.failures().iter().map(|l| l.error().to_string()).collect();
                    panic!("{case}: {} failures, {:?}", errors.len(), errors.first())
                };
                assert_eq!((summary.written(), summary.rejected()), (999, 1), "{case}");
                let id: Option<i64> = letter.request().get("id").unwrap();
                assert_eq!(id, Some(place as i64), "{case}");
                let error = letter.error().error();
                assert_eq!(error.kind(), fault.kind, "{case}: {error}");
                assert!(!format!("{error} {error:?}").contains("canary"), "{case}: {error}");
                if let Some(name) = fault.names {
                    assert_eq!(error.column(), Some(name), "{case}: {error}");
                }
                let found = database.rows("SELECT COUNT(*) FROM t WHERE id >= 0").await;
                assert_eq!(found, ["999"], "{case}");
                database.execute("DELETE FROM t WHERE id >= 0").await;
            }
        }
    }
}

/// Many of many sorts at once.
#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn promise_4_many_bad_rows_harm_no_other() {
    let database = Database::new("rows").await;
    make(&database).await;
    for way in WAYS {
        let schema = schema(ConflictStrategy::Update);
        let mut batch: Vec<Request> = (0..1_000).map(|id| row(&schema, id)).collect();
        let faults = faults();
        for (fault, place) in faults.iter().zip((7..).step_by(49)) {
            batch[place] = row(&schema, place as i64).set(fault.column, fault.value.clone());
        }
        let summary = write_all(&database, way, batch).await;
        let bad = faults.len() as u64;
        assert_eq!((summary.written(), summary.rejected()), (1_000 - bad, bad), "{way:?}");
        for (letter, place) in summary.failures().iter().zip((7_i64..).step_by(49)) {
            let id: Option<i64> = letter.request().get("id").unwrap();
            let at = faults.get(usize::try_from(id.unwrap() / 49).unwrap());
            let fault = at.unwrap_or_else(|| panic!("{way:?}: {id:?} near {place}"));
            assert_eq!(letter.error().error().kind(), fault.kind, "{way:?}: {}", fault.what);
        }
        let found = database.rows("SELECT COUNT(*) FROM t WHERE id >= 0").await;
        assert_eq!(found, [(1_000 - bad).to_string()], "{way:?}");
        database.execute("DELETE FROM t WHERE id >= 0").await;
    }
}
