//! Promise 7, close, and what `describe` must tell.

use std::time::Duration;

use tokio::time::Instant;

use crate::batch::Batch;
use crate::driver::{Attempt, ColumnKind, ErrorKind};
use crate::schema::{ConflictStrategy, Schema};
use crate::testing::{Column, Table};

use super::harness::{Harness, fresh};
use super::run::Run;

fn table(what: &str) -> Table {
    Table::new(fresh(what))
        .column(Column::new("id", ColumnKind::Integer).not_null())
        .column(Column::new("name", ColumnKind::Text))
        .unique(["id"])
}

/// A close writes all that was submitted, and every later submit gets its request back.
pub async fn close_writes_what_is_held_and_takes_no_more(harness: &dyn Harness) {
    let table = table("close");
    let schema = Schema::new(table.name(), ConflictStrategy::Update, ["id", "name"]).unwrap();
    let run = Run::new(harness, table, |flow| {
        flow.flush_size(64).flush_interval(Duration::from_secs(3_600))
    })
    .await;
    for id in 0..500 {
        run.flow.submit(schema.row((id, "held")).unwrap()).await.unwrap();
    }
    let summary = run.flow.close().await.unwrap();
    assert!(summary.all_written(), "promise 1: {:?}", summary.stats);
    assert_eq!(run.rows().await.len(), 500);
    let late = schema.row((500_i64, "late")).unwrap();
    let refused = run.flow.submit(late.clone()).await.unwrap_err();
    assert!(refused.is_closed() && refused.into_request() == late, "promise 7");
    assert_eq!(run.rows().await.len(), 500);
}

/// Promise 7: a cancelled flow queues no more, gives every later submit its request back, and writes
/// what it holds.
pub async fn a_cancelled_flow_writes_what_it_holds_and_takes_no_more(harness: &dyn Harness) {
    let table = table("cancelled_flow");
    let schema = Schema::new(table.name(), ConflictStrategy::Update, ["id", "name"]).unwrap();
    let (cancel, cancelled) = tokio::sync::oneshot::channel::<()>();
    let run = Run::new(harness, table, |flow| {
        let flow = flow.flush_size(1_000).flush_interval(Duration::from_secs(3_600));
        flow.cancel_on(async { drop(cancelled.await) })
    })
    .await;
    for id in 0..100 {
        run.flow.submit(schema.row((id, "held")).unwrap()).await.unwrap();
    }
    cancel.send(()).unwrap();
    let late = schema.row((100_i64, "late")).unwrap();
    let (mut before, until) = (0, Instant::now() + Duration::from_secs(10));
    let refused = loop {
        match run.flow.submit(late.clone()).await {
            // The signal is on its way.
            Ok(()) => before = 1,
            Err(refused) => break refused,
        }
        assert!(Instant::now() < until, "promise 7: it is not cancelled");
        tokio::task::yield_now().await;
    };
    assert!(refused.is_closed() && refused.into_request() == late, "promise 7");
    let summary = run.flow.close().await.unwrap();
    assert!(summary.all_written(), "promise 1: {:?}", summary.stats);
    assert_eq!(run.rows().await.len(), 100 + before);
}

/// A table, a column or a usable unique key that is missing is a [`Schema`](ErrorKind::Schema)
/// error that names it; a batch for it is refused whole. Where the driver does not describe, only
/// the latter.
///
/// Needs [`Harness::has_constraints`]. Returns whether it ran.
pub async fn what_is_missing_is_named(harness: &dyn Harness) -> bool {
    if !harness.has_constraints() {
        return false;
    }
    let table = table("missing");
    harness.create(&table).await;
    let driver = harness.driver().await;
    let name = table.name();
    let nowhere = format!("{name}_nowhere");
    let cases = [
        (Schema::new(&nowhere, ConflictStrategy::Ignore, ["id"]).unwrap(), nowhere.as_str()),
        (Schema::new(name, ConflictStrategy::Ignore, ["id", "shoe"]).unwrap(), "shoe"),
        (Schema::new(name, ConflictStrategy::Ignore, ["name"]).unwrap(), name),
    ];
    for (schema, named) in cases {
        if driver.capabilities().describes() {
            let error = driver.describe(&schema).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
        let values: Vec<crate::Value> = vec![crate::Value::I64(1); schema.width()];
        let batch = Batch::from_requests(vec![schema.row(values).unwrap()]).unwrap();
        let error = driver.write(batch, &Attempt::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    }
    if driver.capabilities().describes() {
        let good = Schema::new(name, ConflictStrategy::Update, ["id", "name"]).unwrap();
        assert!(driver.describe(&good).await.unwrap().is_checked());
    }
    driver.close().await;
    true
}

/// A driver that was told to stop before it began applies nothing.
pub async fn a_cancelled_attempt_applies_nothing_or_says_so(harness: &dyn Harness) {
    let table = table("cancelled");
    harness.create(&table).await;
    let driver = harness.driver().await;
    let schema = Schema::new(table.name(), ConflictStrategy::Ignore, ["id"]).unwrap();
    let batch = Batch::from_requests(vec![schema.row((1_i64,)).unwrap()]).unwrap();
    let attempt = Attempt::new();
    attempt.cancel();
    let written = tokio::time::timeout(Duration::from_secs(10), driver.write(batch, &attempt));
    let written = written.await.expect("promise 9: a cancelled attempt returns");
    let rows = harness.read(&table).await.len();
    match written {
        Ok(_) => assert_eq!(rows, 1, "promise 2"),
        Err(error) if error.applied() == crate::Applied::Nothing => assert_eq!(rows, 0),
        Err(_) => {}
    }
    driver.close().await;
}
