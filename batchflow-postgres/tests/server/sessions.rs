//! Sessions in a real table.

use std::sync::Arc;

use batchflow_postgres::client::Client;
use batchflow_postgres::session::{CREATE_TABLE, Session, SessionWriter};
use batchflow_postgres::{ErrorKind, PostgresDriver, Timestamp};

use crate::support::{connect, execute, fresh, rows, url};

async fn table() -> (Arc<PostgresDriver>, SessionWriter, Client, String) {
    let table = fresh("sessions");
    let driver = Arc::new(PostgresDriver::connect(&url()).await.unwrap());
    let writer = SessionWriter::builder(Arc::clone(&driver)).table(&table).build().unwrap();
    execute(&url(), &writer.create_table()).await;
    (driver, writer, connect(&url()).await, table)
}

fn full(id: &str, seconds: i64) -> Session {
    let mut session = Session::new(id);
    session.agent_id = Some("agent".into());
    session.name = Some("na\"me, \\ \u{1F600}".into());
    session.metadata = Some(r#"{"b": [1, 2.50, null], "a": "\u00e9"}"#.into());
    session.runs = Some("[]".into());
    session.created_at = Timestamp::new(seconds, 123_456_000);
    session.updated_at = Timestamp::new(seconds + 1, 0);
    session
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_session_is_stored_whole_and_a_conflict_keeps_when_it_began() {
    let (_, writer, client, table) = table().await;
    assert!(writer.upsert([full("one", 1_000)], true).await.unwrap().all_written());
    let all = format!(
        "SELECT session_id, agent_id, team_id, workflow_id, user_id, name, metadata, state, \
         agent_data, runs, summary, extract(epoch FROM created_at), extract(epoch FROM updated_at) \
         FROM {table}"
    );
    let whole = "one|agent|NULL|NULL|NULL|na\"me, \\ \u{1F600}|\
                 {\"a\": \"\u{e9}\", \"b\": [1, 2.50, null]}|NULL|NULL|[]|NULL|";
    let stored = |began: &str, changed: &str| [format!("{whole}{began}.123456|{changed}.000000")];
    assert_eq!(rows(&client, &all).await, stored("1000", "1001"));

    assert!(writer.upsert([full("one", 2_000)], true).await.unwrap().all_written());
    assert_eq!(rows(&client, &all).await, stored("1000", "2001"));

    assert!(writer.upsert([full("one", 3_000)], false).await.unwrap().all_written());
    let touched = format!("SELECT updated_at > now() - interval '1 minute' FROM {table}");
    assert_eq!(rows(&client, &touched).await, ["t"]);
    execute(&url(), &format!("DROP TABLE {table}")).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn promise_4_every_bad_session_is_named_and_the_others_are_written() {
    let (driver, writer, client, table) = table().await;
    let sessions = (0..12_000).map(|n| {
        let mut session = full(&format!("s{n:05}"), n);
        match n {
            17 => session.name = Some("x".repeat(256)),
            6_000 => session.metadata = Some("{no json".into()),
            11_999 => session.agent_id = Some("a NUL \0".into()),
            _ => {}
        }
        session
    });
    let summary = writer.upsert(sessions, true).await.unwrap();
    assert_eq!((summary.submitted(), summary.written()), (12_000, 11_997));
    let mut named: Vec<_> =
        summary.failures().iter().map(|f| (f.session_id(), f.position())).collect();
    named.sort_unstable();
    assert_eq!(named, [("s00017", 17), ("s06000", 6_000), ("s11999", 11_999)]);
    for failure in summary.failures() {
        assert_eq!(failure.error().error().kind(), ErrorKind::Data, "{failure}");
    }
    assert_eq!(rows(&client, &format!("SELECT count(*) FROM {table}")).await, ["11997"]);
    // The driver is not the writer's to close.
    drop(writer);
    let again = SessionWriter::builder(driver).table(&table).build().unwrap();
    assert!(again.upsert([full("s00017", 0)], true).await.unwrap().all_written());
    execute(&url(), &format!("DROP TABLE {table}")).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn a_missing_table_stops_the_whole_and_hands_the_sessions_back() {
    let driver = PostgresDriver::connect(&url()).await.unwrap();
    let writer = SessionWriter::builder(driver).table(fresh("nowhere")).build().unwrap();
    assert_eq!(writer.upsert([], true).await.unwrap().submitted(), 0);
    let error = writer.upsert([full("one", 1)], true).await.unwrap_err();
    assert_eq!(error.error().kind(), ErrorKind::Schema, "{error}");
    assert_eq!(error.into_rest(), [full("one", 1)]);
    // The text that the documentation gives is one that a server takes.
    let name = fresh("created");
    let create = CREATE_TABLE.replace("\"sessions\"", &name);
    execute(&url(), &format!("{create}; {create}; DROP TABLE {name}")).await;
}
