//! What a [`SessionWriter`] promises, on drivers without a server.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::sync::Arc;
use std::time::Duration;

use batchflow_core::testing::{Blame, Fault, FaultDriver, MemoryDriver, Table};
use batchflow_core::{Batch, ConfigError, ErrorKind, Request, RowError, Timestamp, Value};
use tokio::time::Instant;

use super::{CREATE_TABLE, Session, SessionWriter};

type Driver = Arc<FaultDriver<MemoryDriver>>;

fn driver() -> Driver {
    Arc::new(FaultDriver::new(MemoryDriver::new()))
}

fn writer(driver: &Driver) -> SessionWriter {
    SessionWriter::new(Arc::clone(driver)).unwrap()
}

fn sessions(count: usize) -> impl Iterator<Item = Session> {
    (0..count).map(|n| Session::new(format!("s{n:06}")))
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0).unwrap()
}

fn stored(driver: &Driver, id: &str, column: &str) -> Option<Value> {
    driver.inner().value("sessions", [id], column)
}

#[tokio::test(start_paused = true)]
async fn no_sessions_are_no_work() {
    let driver = driver();
    for preserve in [true, false] {
        let summary = writer(&driver).upsert([], preserve).await.unwrap();
        assert!(summary.all_written() && summary.failures().is_empty());
        assert_eq!((summary.submitted(), summary.batches()), (0, 0));
    }
    assert_eq!(driver.inner().attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn sessions_go_out_in_batches_of_5_000() {
    let driver = driver();
    let summary = writer(&driver).upsert(sessions(12_345), true).await.unwrap();
    let sizes: Vec<usize> = driver.inner().batches().iter().map(Batch::len).collect();
    assert_eq!(sizes, [5_000, 5_000, 2_345]);
    assert_eq!((summary.submitted(), summary.written(), summary.batches()), (12_345, 12_345, 3));
    let shown = "12345 of 12345 sessions written in 3 batches and 3 attempts, 0 failed";
    assert_eq!(summary.to_string(), shown);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_keeps_created_at_and_overwrites_all_else() {
    let driver = driver();
    let mut session = Session::new("one");
    session.name = Some("first".into());
    session.state = Some("{}".into());
    session.created_at = Some(moment(1));
    session.updated_at = Some(moment(2));
    assert!(writer(&driver).upsert([session.clone()], true).await.unwrap().all_written());
    session.name = Some("second".into());
    session.state = None;
    session.created_at = Some(moment(3));
    session.updated_at = Some(moment(4));
    assert!(writer(&driver).upsert([session], true).await.unwrap().all_written());
    for (column, value) in [
        ("name", Value::from("second")),
        ("state", Value::Null),
        ("created_at", moment(1).into()),
        ("updated_at", moment(4).into()),
    ] {
        assert_eq!(stored(&driver, "one", column), Some(value), "{column}");
    }
}

#[tokio::test(start_paused = true)]
async fn updated_at_is_the_sessions_own_where_preserved_else_now() {
    let old = moment(1_000);
    for (own, preserve, kept) in [
        (Some(old), true, true),
        (None, true, false),
        (Some(old), false, false),
        (None, false, false),
    ] {
        let driver = driver();
        let mut session = Session::new("one");
        session.updated_at = own;
        let before = Timestamp::now();
        assert!(writer(&driver).upsert([session], preserve).await.unwrap().all_written());
        let Some(Value::Timestamp(stored)) = stored(&driver, "one", "updated_at") else {
            panic!("{own:?}, {preserve}: no time is stored");
        };
        // The memory driver's clock, which touches, counts in whole microseconds.
        let is_now = stored.unix_nanos() >= before.unix_nanos() - 1_000;
        assert_eq!((stored == old, is_now), (kept, !kept), "{own:?}, {preserve}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_later_of_two_sessions_with_one_id_stands() {
    let driver = driver();
    let named = |name: &str| {
        let mut session = Session::new("one");
        session.name = Some(name.into());
        session
    };
    let summary = writer(&driver).upsert(["a", "b", "c"].map(named), true).await.unwrap();
    assert_eq!(summary.written(), 3);
    assert_eq!(stored(&driver, "one", "name"), Some(Value::from("c")));
}

#[tokio::test(start_paused = true)]
async fn promise_4_every_session_that_failed_is_named() {
    let driver = driver();
    let bad =
        |row: &Request| row.get::<String>("session_id").is_ok_and(|id| id.unwrap().ends_with('7'));
    driver.refuse(ErrorKind::Data, Blame::Every, bad);
    let summary = writer(&driver).upsert(sessions(20_000), true).await.unwrap();
    assert_eq!((summary.written(), summary.failures().len()), (18_000, 2_000));
    assert!(!summary.all_written());
    let mut named: Vec<(usize, String)> = Vec::new();
    for failure in summary.failures() {
        assert!(matches!(failure.error(), RowError::Rejected(e) if e.kind() == ErrorKind::Data));
        named.push((failure.position(), failure.session_id().to_owned()));
    }
    named.sort();
    let all: Vec<_> = (7..20_000).step_by(10).map(|n| (n, format!("s{n:06}"))).collect();
    assert_eq!(named, all);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_halves_the_batch_down_to_500_and_three_are_tried_again() {
    let driver = driver();
    driver.script(std::iter::repeat_n(Fault::fail(ErrorKind::Deadlock), 3));
    let summary = writer(&driver).upsert(sessions(5_000), true).await.unwrap();
    assert!(summary.all_written());
    let sizes: Vec<usize> = driver.inner().batches().iter().map(Batch::len).collect();
    assert_eq!(sizes[0], 625);

    driver.script(std::iter::repeat_n(Fault::fail(ErrorKind::Deadlock), 4));
    let error = writer(&driver).upsert(sessions(6_000), true).await.unwrap_err();
    assert_eq!((error.resume_at(), error.remaining()), (0, 5_000));
    assert_eq!(error.error().kind(), ErrorKind::Deadlock);
    assert!(error.to_string().starts_with("stopped before session 0 of the input: deadlock"));
    let rest = error.into_rest();
    assert!(
        rest.iter()
            .map(|s| &s.session_id)
            .eq(sessions(5_000).map(|s| s.session_id).collect::<Vec<_>>().iter())
    );
}

#[tokio::test(start_paused = true)]
async fn what_remains_is_handed_back_as_it_was() {
    let driver = driver();
    driver.script([Fault::fail(ErrorKind::Permission)]);
    let mut session = Session::new("one");
    session.agent_id = Some("a".into());
    session.team_id = Some("t".into());
    session.workflow_id = Some("w".into());
    session.user_id = Some("u".into());
    session.name = Some("n".into());
    session.metadata = Some("1".into());
    session.state = Some("2".into());
    session.agent_data = Some("3".into());
    session.runs = Some("4".into());
    session.summary = Some("5".into());
    session.created_at = Some(moment(6));
    session.updated_at = Some(moment(7));
    let error = writer(&driver).upsert([session.clone()], true).await.unwrap_err();
    assert_eq!(error.into_rest(), [session]);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_pauses_between_batches() {
    let driver = driver();
    let writer = SessionWriter::builder(Arc::clone(&driver))
        .batch_size(10)
        .throttle(Duration::from_secs(60))
        .build()
        .unwrap();
    let started = Instant::now();
    assert!(writer.upsert(sessions(40), true).await.unwrap().all_written());
    assert_eq!(started.elapsed().as_secs(), 180);
}

#[tokio::test(start_paused = true)]
async fn the_driver_stays_open() {
    let driver = driver();
    let writer = writer(&driver);
    assert!(writer.upsert(sessions(1), true).await.unwrap().all_written());
    drop(writer);
    assert_eq!(driver.inner().closed(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_table_may_have_another_name() {
    let memory = MemoryDriver::with_tables([]);
    let driver: Driver = Arc::new(FaultDriver::new(memory));
    let writer = SessionWriter::builder(Arc::clone(&driver)).table("app.My Sessions").build();
    let writer = writer.unwrap();
    driver.inner().create(Table::of(&writer.preserving));
    assert!(writer.upsert(sessions(3), false).await.unwrap().all_written());
    assert_eq!(driver.inner().len("app.My Sessions"), 3);
    let own = CREATE_TABLE.replace("\"sessions\"", "\"app\".\"My Sessions\"");
    assert_eq!(writer.create_table(), own);
    assert_eq!(self::writer(&driver).create_table(), CREATE_TABLE);
}

#[test]
fn a_bad_setting_is_named() {
    let check = |build: Result<SessionWriter, ConfigError>, field| {
        assert_eq!(build.unwrap_err().field(), field);
    };
    let builder = || SessionWriter::builder(driver());
    check(builder().batch_size(0).build(), "batch_size");
    check(builder().min_batch_size(0).build(), "min_batch_size");
    check(builder().timeout(Duration::ZERO).build(), "timeout");
    check(builder().table("").build(), "table");
}

#[test]
fn promise_10_neither_ids_nor_documents_are_shown() {
    let mut session = Session::new("canary");
    session.name = Some("canary".into());
    session.state = Some("\"canary\"".into());
    let shown = format!("{session:?} {:?}", session.state);
    assert_eq!(shown, r#"Session { set: ["name", "state"], .. } Some(Json(8 bytes))"#);
}
