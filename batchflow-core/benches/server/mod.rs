//! What the benchmarks against a server share: rows, their shares among connections, and times.

#![allow(dead_code, reason = "each benchmark uses a part of this")]

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

/// The narrow row as a program has it before it makes anything of it.
pub(crate) type Row = (i64, String, String, i64, f64);

/// Rows with the keys from 0; those of another `pass` differ in their values.
pub(crate) fn narrow(count: usize, pass: usize) -> Vec<Row> {
    let row = |id: usize| {
        let (name, email) = (format!("user number {}", id + pass), format!("user{id}@example.com"));
        (id as i64, name, email, (id % 97 + pass) as i64, id as f64 / 2.0)
    };
    (0..count).map(row).collect()
}

/// Metadata, state, agent data, runs and summary of a session.
pub(crate) type JsonTexts = [String; 5];

/// Five documents, about 1.3 kB in all: a short conversation.
pub(crate) fn documents(id: usize, pass: usize) -> JsonTexts {
    let question = format!("How many rows has table number {id}, and how many had it yesterday?");
    let answer = format!(
        "Table {id} has {} rows today. Yesterday it had {}, so it grew by {} rows; at this pace it \
         doubles within a fortnight.",
        id * 31 + pass,
        id * 30,
        id + pass
    );
    let run = |n: usize| {
        format!(
            r#"{{"run":{n},"input":"{question}","content":"{answer}","model":"large","tokens":{}}}"#,
            n * 211 + id % 97
        )
    };
    [
        format!(r#"{{"source":"web","locale":"en-GB","client":"5.{}","pass":{pass}}}"#, id % 10),
        format!(
            r#"{{"step":{},"open":[1,2,3],"done":{},"draft":null}}"#,
            id % 7,
            id.is_multiple_of(2)
        ),
        format!(r#"{{"agent":"agent-{}","model":"large","temperature":0.2}}"#, id % 50),
        format!("[{},{},{}]", run(1), run(2), run(3)),
        format!(
            r#"{{"content":"Growth of table {id}","run_count":3,"total_tokens":{}}}"#,
            id % 4_096
        ),
    ]
}

/// The rows in equal shares, one a connection: each in a range of keys of its own, so that none
/// waits for another's page of the index.
pub(crate) fn shares(mut rows: Vec<Row>, connections: usize) -> Vec<Vec<Row>> {
    let share = rows.len().div_ceil(connections);
    let mut shares: Vec<_> = (1..connections).map(|_| rows.split_off(rows.len() - share)).collect();
    shares.push(rows);
    shares
}

/// How long something took on the wall, and in this process's processors, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Times a future.
pub(crate) async fn timed(work: impl Future<Output = ()>) -> Took {
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    work.await;
    Took { wall: wall.elapsed().as_secs_f64(), cpu: cpu.elapsed().as_secs_f64() }
}

/// So large a share of the times took no longer, in microseconds.
pub(crate) fn quantile(mut times: Vec<Duration>, share: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len() - 1)).map_or(f64::NAN, Duration::as_secs_f64) * 1e6
}
