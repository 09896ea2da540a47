//! Unset is not NULL.

use crate::driver::ColumnKind;
use crate::request::Request;
use crate::schema::{ConflictStrategy, Schema};
use crate::testing::{Column, Table};
use crate::value::Value;

use super::harness::{Harness, fresh};
use super::history::Fate;
use super::run::Run;
use super::show::show_rows;

/// A column never set takes the default on insert and stays on update; `set_null` writes NULL.
///
/// Needs [`Harness::has_constraints`]. Returns whether it ran.
pub async fn unset_is_not_null(harness: &dyn Harness) -> bool {
    if !harness.has_constraints() {
        return false;
    }
    let table = Table::new(fresh("unset"))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("a", ColumnKind::Text).default_value("default"))
        .column(Column::new("b", ColumnKind::Integer))
        .unique(["id"]);
    let update = Schema::new(table.name(), ConflictStrategy::Update, ["id", "a", "b"]).unwrap();
    let row = |id: i64| Request::new(&update).set("id", id);
    let mut run = Run::new(harness, table, |flow| flow).await;
    let steps = [
        row(1),
        row(2).set_null("a").set("b", 5_i64),
        row(3).set("a", "set").set("b", 6_i64),
        row(4).set("a", "set").set("b", 7_i64),
        row(5).set("a", "set").set("b", 8_i64),
        // Updates of what is there.
        row(3).set("b", 60_i64),
        row(4).set_null("a"),
        row(5),
    ];
    for step in steps {
        assert_eq!(run.write(step).await, Fate::Written);
    }
    let expected: [[Value; 3]; 5] = [
        [1_i64.into(), "default".into(), Value::Null],
        [2_i64.into(), Value::Null, 5_i64.into()],
        [3_i64.into(), "set".into(), 60_i64.into()],
        [4_i64.into(), Value::Null, 7_i64.into()],
        [5_i64.into(), "set".into(), 8_i64.into()],
    ];
    let rows = run.rows().await;
    assert!(rows == expected, "the table holds {}", show_rows(&rows));
    drop(run.finish().await);
    true
}
