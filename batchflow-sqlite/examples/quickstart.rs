//! Rows one by one into SQLite, in batches: from a CSV file, or made up.
//!
//! ```text
//! cargo run --release -p batchflow-sqlite --example quickstart -- --help
//! ```

#[path = "quickstart/load.rs"]
mod load;
#[path = "quickstart/options.rs"]
mod options;
#[path = "quickstart/rows.rs"]
mod rows;
#[path = "quickstart/table.rs"]
mod table;

use std::process::ExitCode;
use std::time::Duration;

use batchflow_sqlite::{BatchFlow, ConflictStrategy, Request, Schema, SqliteDriver, Value};

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

    load::load(flow, &schema, &rows, &options.db().display().to_string()).await?;
    let found = table::check(&rows, options.db())?;
    println!("check       {} rows, {} NULLs: every cell as given", found.rows, found.nulls);
    Ok(())
}
