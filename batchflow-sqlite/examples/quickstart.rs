//! Rows one by one into SQLite, in batches: from a CSV file, or made up.
//!
//! ```text
//! cargo run --release -p batchflow-sqlite --example quickstart -- --help
//! ```

#[path = "quickstart/options.rs"]
mod options;
#[path = "quickstart/rows.rs"]
mod rows;
#[path = "quickstart/table.rs"]
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use batchflow_sqlite::{BatchFlow, ConflictStrategy, Request, Schema, SqliteDriver, Value};
use indicatif::{ProgressBar, ProgressStyle};

use options::Options;
use rows::Rows;

/// Any error here ends the program with one line.
type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Options::parse() {
        Ok(Some(options)) => run(&options).await,
        Ok(None) => {
            print!("{}", options::HELP);
            Ok(())
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Error> {
    let rows = Rows::scan(&options.source, options.key.as_deref())?;
    table::create(&rows, options)?;

    let driver = SqliteDriver::open(options.db()).await?;
    let schema = Schema::builder(&rows.table)
        .columns(&rows.columns)
        .key(rows.key_names())
        .on_conflict(ConflictStrategy::Update)
        .build()?;
    let flow = BatchFlow::builder(driver)
        .flush_size(1_000)
        .flush_interval(Duration::from_secs(1))
        .build()?;

    let bar = progress_bar(rows.count);
    let started = Instant::now();
    for record in rows.read()? {
        let record = record?;
        let mut request = Request::new(&schema);
        for (column, value) in rows.columns.iter().zip(rows.values(&record)) {
            request = request.set(column, value);
        }
        flow.submit(request).await?;
        bar.inc(1);
    }
    let summary = flow.close().await?;
    let took = started.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let stats = summary.stats;
    println!("{} -> {}, table {}", rows.source, options.db().display(), rows.table);
    println!("key         {}", rows.key_names().collect::<Vec<_>>().join(", "));
    println!("submitted   {}", stats.submitted);
    println!("written     {}", stats.written);
    println!("superseded  {} by a later row of the same key", stats.superseded);
    println!("took        {took:.2} s, {:.0} rows/s", stats.submitted as f64 / took);
    if !summary.all_written() {
        return Err(format!("{} rows were not written", stats.rejected + stats.unknown).into());
    }
    let found = table::check(&rows, options.db())?;
    println!("check       {} rows, {} NULLs: every cell as given", found.rows, found.nulls);
    Ok(())
}

/// Drawn on stderr, and only where that is a terminal.
fn progress_bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} rows, {per_sec}");
    ProgressBar::new(rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
