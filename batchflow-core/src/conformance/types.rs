//! Types at their limits: stored as they are, or refused as that row's own fault.

use crate::driver::{ColumnKind, Comparison, ErrorKind};
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::temporal::{Date, Time, Timestamp};
use crate::testing::store::identity;
use crate::testing::{Column, Table};
use crate::value::Value;

use super::harness::{Harness, fresh};
use super::history::Fate;
use super::run::Run;
use super::show::show;

/// Values that every database with such a column keeps, for `digits` digits of a second.
fn kept(kind: ColumnKind, digits: u8) -> Vec<Value> {
    let unit = 10_u32.pow(9 - u32::from(digits.min(9)));
    let last = 1_000_000_000 - unit;
    let date = |year, month, day| Date::from_ymd(year, month, day).unwrap();
    let time =
        |hour, minute, second, nano| Time::from_hms_nano(hour, minute, second, nano).unwrap();
    let at = |date, time| Value::from(Timestamp::from_parts(date, time));
    let decimal = |text: &str| Value::Decimal(text.into());
    match kind {
        ColumnKind::Bool => vec![true.into(), false.into()],
        ColumnKind::Integer => vec![
            0_i64.into(),
            (-1_i64).into(),
            i64::MIN.into(),
            i64::MAX.into(),
            Value::U64(i64::MAX.unsigned_abs()),
        ],
        ColumnKind::Float32 => {
            [0.0, -1.5, 0.1, f32::MIN, f32::MAX, f32::MIN_POSITIVE].map(Value::from).into()
        }
        ColumnKind::Float64 => {
            [0.0, -1.5, 0.1, f64::MIN, f64::MAX, f64::MIN_POSITIVE].map(Value::from).into()
        }
        ColumnKind::Decimal => {
            ["0", "1.5", "-12345.6789", "9999999999999.9999", "-0.0001"].map(decimal).into()
        }
        ColumnKind::Text => vec![
            "".into(),
            "plain".into(),
            "Gr\u{fc}\u{df}e, \u{4e16}\u{754c} \u{1f980}".into(),
            "'; DROP TABLE users; -- \" ` \\ \\N \t\r\n %s $1 ?1".into(),
            " spaces ".into(),
            "x".repeat(100_000).into(),
        ],
        ColumnKind::Bytes => vec![
            Value::from(Vec::<u8>::new()),
            (0..=255).collect::<Vec<u8>>().into(),
            vec![0_u8; 100_000].into(),
        ],
        ColumnKind::Timestamp => vec![
            Timestamp::new(0, 0).unwrap().into(),
            at(date(1000, 1, 1), time(0, 0, 0, 0)),
            at(date(1969, 12, 31), time(23, 59, 59, last)),
            at(date(2024, 2, 29), time(12, 0, 0, unit % 1_000_000_000)),
            at(date(2038, 1, 19), time(3, 14, 8, 0)),
            at(date(9999, 12, 31), time(23, 59, 59, last)),
        ],
        ColumnKind::Date => [(1000, 1, 1), (1969, 12, 31), (2024, 2, 29), (9999, 12, 31)]
            .map(|(year, month, day)| date(year, month, day).into())
            .into(),
        ColumnKind::Time => {
            vec![time(0, 0, 0, 0).into(), time(12, 30, 15, 0).into(), time(23, 59, 59, last).into()]
        }
        ColumnKind::Uuid => [[0; 16], [0xff; 16], *b"0123456789abcdef"].map(Value::Uuid).into(),
        _ => Vec::new(),
    }
}

/// Values that no column of the kind can hold.
fn refused(kind: ColumnKind) -> Vec<Value> {
    match kind {
        ColumnKind::Integer => {
            vec![Value::U64(u64::MAX), Value::U64(1 << 63), "three".into(), vec![1_u8].into()]
        }
        ColumnKind::Bool | ColumnKind::Float32 | ColumnKind::Float64 => {
            vec!["x".into(), vec![1_u8].into()]
        }
        ColumnKind::Decimal => vec![Value::Decimal("12..5".into()), vec![1_u8].into()],
        ColumnKind::Timestamp | ColumnKind::Date | ColumnKind::Time | ColumnKind::Uuid => {
            vec!["x".into(), true.into()]
        }
        _ => Vec::new(),
    }
}

fn column(kind: ColumnKind, digits: u8) -> Column {
    let column = Column::new("value", kind);
    match kind {
        ColumnKind::Decimal => column.scale(4),
        ColumnKind::Timestamp | ColumnKind::Time => column.scale(digits),
        _ => column,
    }
}

/// Every kind's extremes are stored as they are; what its column cannot hold is that row's
/// [`Data`](ErrorKind::Data) error, and its neighbours are written. Never NULL, never cut.
pub async fn types_at_their_limits(harness: &dyn Harness) {
    let digits = harness.second_digits();
    for kind in harness.kinds() {
        let table = Table::new(fresh("types"))
            .column(Column::new("id", ColumnKind::Integer).not_null())
            .column(column(kind, digits))
            .unique(["id"]);
        let schema = Schema::new(table.name(), ConflictStrategy::Replace, ["id", "value"]).unwrap();
        let mut run = Run::new(harness, table, |flow| flow.flush_size(100)).await;
        let good = kept(kind, digits);
        let bad = if harness.is_strict(kind) { refused(kind) } else { Vec::new() };
        let rows = good.iter().map(|value| (value, true)).chain(bad.iter().map(|v| (v, false)));
        let mut entries = Vec::new();
        for (id, (value, fits)) in (0_i64..).zip(rows) {
            let request = Request::new(&schema).set("id", id).set("value", value.clone());
            entries.push((run.submit(request).await, value, fits));
        }
        run.settle().await;
        for (entry, value, fits) in entries {
            let expected = if fits { Fate::Written } else { Fate::Rejected(ErrorKind::Data) };
            let fate = run.history.fate(entry);
            let shown: String = show(value).chars().take(60).collect();
            assert_eq!(fate, Some(expected), "{kind:?}: {shown}");
        }
        let mut rows = run.rows().await;
        rows.sort_by_key(|row| match row[0] {
            Value::I64(id) => id,
            _ => i64::MAX,
        });
        assert_eq!(rows.len(), good.len(), "{kind:?}");
        for (row, value) in rows.iter().zip(&good) {
            let same = |value| identity(Comparison::Natural, value);
            let shown = |value| show(value).chars().take(60).collect::<String>();
            let (found, wanted) = (shown(&row[1]), shown(value));
            assert!(same(&row[1]) == same(value), "{kind:?}: {found} is not {wanted}");
        }
        drop(run.finish().await);
    }
}
