//! Rows through a flow into a file, against the loop that one would write by hand: the same rows,
//! the same pragmas, the same transactions of 1,000. The two take turns; every ratio is of one
//! turn, and the medians are of all.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use batchflow_sqlite::client::{Connection, params};
use batchflow_sqlite::{BatchFlow, ConflictStrategy, Schema, SqliteDriver};

const ROWS: i64 = 200_000;
const BATCH: usize = 1_000;
const TURNS: usize = 9;
const TRACKED: i64 = 300;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS t \
    (id INTEGER PRIMARY KEY, name TEXT, email TEXT, hits INTEGER, score REAL)";
const UPSERT: &str = "INSERT INTO t (id, name, email, hits, score) VALUES (?, ?, ?, ?, ?) \
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, \
    hits = excluded.hits, score = excluded.score";

type Row = (i64, String, String, i64, f64);

fn rows(turn: i64) -> Vec<Row> {
    let row = |id: i64| {
        let (name, email) = (format!("name {}", id + turn), format!("user{id}@example.com"));
        (id, name, email, id % 97 + turn, id as f64 / 2.0)
    };
    (0..ROWS).map(row).collect()
}

fn schema() -> Schema {
    let columns = ["id", "name", "email", "hits", "score"];
    Schema::new("t", ConflictStrategy::Update, columns).unwrap()
}

/// What one turn measured: rows a second, or seconds a row.
#[derive(Clone, Copy)]
struct Turn {
    new: f64,
    conflicting: f64,
    tracked: f64,
}

async fn ours(path: PathBuf) -> Turn {
    let driver = SqliteDriver::open(&path).await.unwrap();
    driver.execute(TABLE).await.unwrap();
    // Batches that wait for a commit share the next one, all but the last: room for some of them.
    let flow = BatchFlow::builder(driver)
        .flush_size(BATCH)
        .concurrency(4)
        .buffer_size(20 * BATCH)
        .build()
        .unwrap();
    let schema = schema();
    let mut rates = [0.0; 2];
    for (turn, rate) in rates.iter_mut().enumerate() {
        let rows = rows(turn as i64);
        let start = Instant::now();
        for row in rows {
            flow.submit(schema.row(row).unwrap()).await.unwrap();
        }
        assert!(flow.flush().await.unwrap().all_written());
        *rate = ROWS as f64 / start.elapsed().as_secs_f64();
    }
    let mut times = Vec::new();
    for row in rows(2).into_iter().take(TRACKED as usize) {
        let request = schema.row((row.0 + ROWS, row.1, row.2, row.3, row.4)).unwrap();
        let start = Instant::now();
        flow.submit_tracked(request).await.unwrap().await.unwrap();
        times.push(start.elapsed());
    }
    assert!(flow.close().await.unwrap().all_written());
    Turn { new: rates[0], conflicting: rates[1], tracked: median_time(times) }
}

fn by_hand(path: &Path) -> Turn {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = full").unwrap();
    connection.execute_batch(TABLE).unwrap();
    let mut rates = [0.0; 2];
    let mut upsert = connection.prepare(UPSERT).unwrap();
    let mut begin = connection.prepare("BEGIN IMMEDIATE").unwrap();
    let mut commit = connection.prepare("COMMIT").unwrap();
    for (turn, rate) in rates.iter_mut().enumerate() {
        let rows = rows(turn as i64);
        let start = Instant::now();
        for batch in rows.chunks(BATCH) {
            begin.execute([]).unwrap();
            for row in batch {
                upsert.execute(params![row.0, row.1, row.2, row.3, row.4]).unwrap();
            }
            commit.execute([]).unwrap();
        }
        *rate = ROWS as f64 / start.elapsed().as_secs_f64();
    }
    let mut times = Vec::new();
    for row in rows(2).into_iter().take(TRACKED as usize) {
        let start = Instant::now();
        begin.execute([]).unwrap();
        upsert.execute(params![row.0 + ROWS, row.1, row.2, row.3, row.4]).unwrap();
        commit.execute([]).unwrap();
        times.push(start.elapsed());
    }
    Turn { new: rates[0], conflicting: rates[1], tracked: median_time(times) }
}

fn median_time(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// One comparison over all turns.
struct Line {
    name: &'static str,
    ours: f64,
    rival: f64,
    ratio: f64,
    min: f64,
    max: f64,
    bar: f64,
    met: bool,
}

fn line(
    name: &'static str,
    bar: f64,
    more_is_better: bool,
    turns: &[(Turn, Turn)],
    pick: impl Fn(&Turn) -> f64,
) -> Line {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (values[0], values[values.len() / 2], values[values.len() - 1])
    };
    let (_, ours, _) = median(turns.iter().map(|(ours, _)| pick(ours)).collect());
    let (_, rival, _) = median(turns.iter().map(|(_, rival)| pick(rival)).collect());
    let ratios = turns.iter().map(|(ours, rival)| pick(ours) / pick(rival));
    let (min, ratio, max) = median(ratios.collect());
    let met = if more_is_better { ratio >= bar } else { ratio <= bar };
    Line { name, ours, rival, ratio, min, max, bar, met }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs this too, without the word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let json = arguments.iter().position(|argument| argument == "--json");
    let json = json.and_then(|at| arguments.get(at + 1)).map(PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        let folder = tempfile::tempdir().unwrap();
        let hand = || by_hand(&folder.path().join("rival.db"));
        // In a task, as the handlers of a server are.
        let path = folder.path().join("ours.db");
        let flow = || runtime.block_on(runtime.spawn(ours(path))).unwrap();
        // Who goes first changes, so that neither always has the warmer machine.
        let pair = if turn % 2 == 0 {
            let rival = hand();
            (flow(), rival)
        } else {
            (flow(), hand())
        };
        eprintln!("turn {} of {TURNS}", turn + 1);
        turns.push(pair);
    }
    let lines = [
        line("new rows, rows/s", 1.1, true, &turns, |turn| turn.new),
        line("conflicting rows, rows/s", 1.3, true, &turns, |turn| turn.conflicting),
        line("one tracked row idle, p50 in s", 1.3, false, &turns, |turn| turn.tracked),
    ];
    report(&lines, json.as_deref());
}

fn report(lines: &[Line], json: Option<&Path>) {
    if let Some(path) = json {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| {
                serde_json::json!({
                    "name": line.name, "ours": line.ours, "rival": line.rival,
                    "ratio": line.ratio, "min": line.min, "max": line.max,
                    "bar": line.bar, "met": line.met,
                })
            })
            .collect();
        std::fs::write(path, serde_json::to_string_pretty(&lines).unwrap() + "\n").unwrap();
    }
    println!(
        "{:<32} {:>12} {:>12} {:>6} {:>13} {:>5}",
        "SQLite, 5 columns", "ours", "by hand", "ratio", "min–max", "bar"
    );
    for line in lines {
        let show = |value: f64| {
            if value < 1.0 { format!("{:.1} µs", value * 1e6) } else { format!("{value:.0}") }
        };
        println!(
            "{:<32} {:>12} {:>12} {:>6.2} {:>6.2}–{:<6.2} {:>5.1} {}",
            line.name,
            show(line.ours),
            show(line.rival),
            line.ratio,
            line.min,
            line.max,
            line.bar,
            if line.met { "met" } else { "NOT MET" },
        );
    }
}
