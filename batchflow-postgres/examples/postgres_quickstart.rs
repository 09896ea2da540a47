//! Rows one by one into PostgreSQL, in batches: from a CSV file, or made up.
//!
//! ```text
//! cargo run --release -p batchflow-postgres --example postgres_quickstart -- --help
//! ```

#[path = "../../batchflow-sqlite/examples/quickstart/load.rs"]
mod load;
#[path = "postgres_quickstart/options.rs"]
mod options;
#[path = "../../batchflow-sqlite/examples/quickstart/rows.rs"]
mod rows;
#[path = "postgres_quickstart/table.rs"]
mod table;

use std::process::ExitCode;
use std::time::Duration;

use batchflow_postgres::{BatchFlow, ConflictStrategy, PostgresDriver, Request, Schema, Value};

use options::{Options, Server};
use rows::Rows;
use table::Table;

/// Which server is written to.
const SERVER: Server = Server {
    name: "PostgreSQL",
    program: "postgres_quickstart",
    variable: "BATCHFLOW_POSTGRES_URL",
    scheme: "postgres",
    usual: "postgres://postgres@127.0.0.1:5432/postgres",
};

/// Any error here ends the program with one line.
type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Options::parse() {
        Ok(Some(options)) => run(&options).await,
        Ok(None) => {
            print!("{}", SERVER.help());
            Ok(())
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", SERVER.program);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Error> {
    let rows = Rows::scan(&options.source, options.key.as_deref())?;
    let cannot_connect = |error| format!("cannot connect: {error}; give --url, see --help");
    let driver = PostgresDriver::connect(&options.url).await.map_err(cannot_connect)?;
    let mut table = Table::create(&rows, options).await?;

    let schema = Schema::builder(&table.name)
        .columns(&rows.columns)
        .key(rows.key_names())
        .on_conflict(ConflictStrategy::Update)
        .build()?;
    let flow = BatchFlow::builder(driver)
        .flush_size(1_000)
        .flush_interval(Duration::from_secs(1))
        .build()?;

    load::load(flow, &schema, &rows, SERVER.name).await?;
    let found = table.check(&rows).await?;
    println!("check       {} rows, {} NULLs: every cell as given", found.rows, found.nulls);
    Ok(())
}
