//! What is written: rows of 5 narrow columns, and sessions of 13 columns, 5 of them JSON.

use batchflow_postgres::session::CREATE_TABLE;

/// The narrow row as a program has it before it makes anything of it.
pub(crate) type Row = (i64, String, String, i64, f64);

/// The columns of the narrow table, and what a conflict changes.
pub(crate) const COLUMNS: &str = "id, name, email, hits, score";
pub(crate) const ON_CONFLICT: &str = "ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, \
    email = EXCLUDED.email, hits = EXCLUDED.hits, score = EXCLUDED.score";

/// Makes the narrow table anew. Autovacuum stays out of it, so that none works in another's turn.
pub(crate) fn narrow_table(table: &str) -> String {
    format!(
        "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id bigint PRIMARY KEY, name text, \
         email text, hits bigint, score double precision) WITH (autovacuum_enabled = off)"
    )
}

/// Makes the table of sessions anew.
pub(crate) fn sessions_table(table: &str) -> String {
    let create = CREATE_TABLE.replacen("\"sessions\"", table, 1);
    format!("DROP TABLE IF EXISTS {table}; {create} WITH (autovacuum_enabled = off)")
}

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
