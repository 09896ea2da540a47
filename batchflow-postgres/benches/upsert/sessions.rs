//! Sessions: 13 columns, 5 of them JSON, half of them new.

use std::time::{Duration, SystemTime};

use batchflow_postgres::session::{Session, SessionWriter};

use crate::World;
use crate::harness::{Bar, Bench, Rival};
use crate::ours;
use crate::rivals::sessions::{Own, upsert};
use crate::rows::{documents, sessions_table};
use crate::server::{SCHEMA, Server, timed};

const SESSIONS: usize = 50_000;
const ROUNDS: usize = 5;
/// The rival's best size of a batch, as measured.
const RIVAL_SIZE: usize = 5_000;

const FIGURES: [&str; 2] = ["sessions/s", "client's processor time a session in µs"];

pub(crate) fn measure(bench: &mut Bench, world: &World) {
    let full = bench.pick(SESSIONS, 1_000);
    let count = |warming| if warming { full / 10 } else { full };
    let mut hand = |warming| world.run(by_hand(world.server.clone(), count(warming)));
    let rivals = vec![Rival {
        name: "COPY, temporary table",
        bars: [Bar::AtLeast(0.95), Bar::None],
        turn: &mut hand,
    }];
    let mut ours = |warming| world.run(by_writer(world.server.clone(), count(warming)));
    bench.contest("sessions, 1 connection", FIGURES, ROUNDS, &mut ours, rivals);
}

fn moment(id: usize) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + id as u64 * 977)
}

fn own(id: usize, pass: usize) -> Own {
    Own {
        session_id: format!("session-{id:08}"),
        agent_id: format!("agent-{}", id % 50),
        team_id: id.is_multiple_of(3).then(|| format!("team-{}", id % 7)),
        workflow_id: None,
        user_id: format!("user-{}", id % 10_000),
        name: format!("What table {id} holds"),
        json: documents(id, pass),
        created_at: moment(id),
        updated_at: moment(id + pass),
    }
}

/// Half of them once, then all of them: half is new, half conflicts.
fn passes<T>(count: usize, make: impl Fn(usize, usize) -> T) -> (Vec<T>, Vec<T>) {
    let half = (0..count).filter(|id| id % 2 == 0).map(|id| make(id, 0)).collect();
    (half, (0..count).map(|id| make(id, 1)).collect())
}

async fn by_hand(server: Server, count: usize) -> [f64; 2] {
    let table = format!("{SCHEMA}.sessions_by_hand");
    server.execute(&sessions_table(&table)).await;
    let (half, all) = passes(count, own);
    let client = server.connect().await;
    upsert(&client, &table, half, RIVAL_SIZE).await;
    let took = timed(upsert(&client, &table, all, RIVAL_SIZE)).await;
    assert_eq!(server.count(&table).await, count);
    [count as f64 / took.wall, took.cpu / count as f64 * 1e6]
}

async fn by_writer(server: Server, count: usize) -> [f64; 2] {
    let table = format!("{SCHEMA}.sessions");
    server.execute(&sessions_table(&table)).await;
    let (half, all) = passes(count, |id, pass| session(own(id, pass)));
    let driver = ours::driver(ours::config(&server, 1)).await;
    let writer = SessionWriter::builder(driver).table(&table).build().expect("the name is sound");
    let write = async |sessions: Vec<Session>| {
        let summary = writer.upsert(sessions, true).await.expect("the sessions are written");
        assert!(summary.all_written(), "{summary}");
    };
    write(half).await;
    let took = timed(write(all)).await;
    assert_eq!(server.count(&table).await, count);
    [count as f64 / took.wall, took.cpu / count as f64 * 1e6]
}

fn session(own: Own) -> Session {
    let mut session = Session::new(own.session_id);
    session.agent_id = Some(own.agent_id);
    session.team_id = own.team_id;
    session.workflow_id = own.workflow_id;
    session.user_id = Some(own.user_id);
    session.name = Some(own.name);
    let [metadata, state, agent_data, runs, summary] = own.json.map(|text| Some(text.into()));
    (session.metadata, session.state, session.agent_data) = (metadata, state, agent_data);
    (session.runs, session.summary) = (runs, summary);
    session.created_at = Some(own.created_at.into());
    session.updated_at = Some(own.updated_at.into());
    session
}
