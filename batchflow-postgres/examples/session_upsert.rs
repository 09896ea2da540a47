//! Sessions made up, upserted in batches, half of them twice.
//!
//! ```text
//! cargo run --release -p batchflow-postgres --example session_upsert -- --help
//! ```

use std::process::ExitCode;
use std::time::Instant;

use batchflow_postgres::client::{self, NoTls};
use batchflow_postgres::session::{Session, SessionSummary, SessionWriter};
use batchflow_postgres::{PostgresDriver, Timestamp};
use lexopt::prelude::*;

const HELP: &str = "\
Upserts sessions into PostgreSQL, in batches: first all of them, then every second one again.

Usage: session_upsert [OPTIONS]

  --rows N       how many sessions. Default: 10000
  --url URL      postgres://user:password@host:port/database. Default: BATCHFLOW_POSTGRES_URL,
                 else postgres://postgres@127.0.0.1:5432/postgres
  --table NAME   the table, made where there is none. Default: sessions
  --batch N      the most sessions of a batch. Default: 5000
  --preserve     write the sessions' own updated_at, not the server's clock
";

const LOCAL: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// Any error here ends the program with one line.
type Error = Box<dyn std::error::Error>;

struct Options {
    rows: usize,
    url: String,
    table: String,
    batch: usize,
    preserve: bool,
}

impl Options {
    /// `None` where help is asked for.
    fn parse() -> Result<Option<Self>, Error> {
        let url = std::env::var("BATCHFLOW_POSTGRES_URL").unwrap_or_else(|_| LOCAL.to_owned());
        let table = "sessions".to_owned();
        let mut options = Self { rows: 10_000, url, table, batch: 5_000, preserve: false };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("rows") => options.rows = number("--rows", &arguments.value()?.string()?)?,
                Long("batch") => options.batch = number("--batch", &arguments.value()?.string()?)?,
                Long("url") => options.url = arguments.value()?.string()?,
                Long("table") => options.table = arguments.value()?.string()?,
                Long("preserve") => options.preserve = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }
}

fn number(option: &str, given: &str) -> Result<usize, String> {
    given.parse().map_err(|_| format!("{option} takes a number, not {given:?}"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Options::parse() {
        Ok(Some(options)) => run(&options).await,
        Ok(None) => {
            print!("{HELP}");
            Ok(())
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("session_upsert: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Error> {
    let cannot_connect = |error| format!("cannot connect: {error}; give --url, see --help");
    let driver = PostgresDriver::connect(&options.url).await.map_err(cannot_connect)?;
    let writer =
        SessionWriter::builder(driver).table(&options.table).batch_size(options.batch).build()?;
    let (client, connection) = client::connect(&options.url, NoTls).await?;
    // It ends when the client is dropped.
    tokio::spawn(connection);
    let refused = |error: client::Error| match error.as_db_error() {
        Some(server) => format!("cannot make the table: {}", server.message()),
        None => error.to_string(),
    };
    client.batch_execute(&writer.create_table()).await.map_err(refused)?;

    let (begun, mut failed) = (Instant::now(), 0);
    let mut sums = [0; 3];
    for (pass, step) in [("all", 1), ("again", 2)] {
        let sessions = (0..options.rows).step_by(step).map(made_up);
        let summary = writer.upsert(sessions, options.preserve).await?;
        println!("{pass:<11} {summary}");
        name_failures(&summary);
        failed += summary.failures().len();
        sums[0] += summary.submitted();
        sums[1] += summary.written();
        sums[2] += summary.failures().len() as u64;
    }
    let took = begun.elapsed().as_secs_f64();
    let [submitted, written, not_written] = sums;
    println!("submitted   {submitted}");
    println!("written     {written}");
    println!("failed      {not_written}");
    println!("took        {took:.2} s, {:.0} sessions/s", submitted as f64 / took);
    if failed > 0 {
        return Err(format!("{failed} sessions were not written").into());
    }
    Ok(())
}

/// The first of them; a program would keep them all.
fn name_failures(summary: &SessionSummary) {
    for failure in summary.failures().iter().take(10) {
        println!("not written {}: {}", failure.session_id(), failure.error());
    }
}

fn made_up(id: usize) -> Session {
    let mut session = Session::new(format!("session-{id:08}"));
    session.agent_id = Some(format!("agent-{}", id % 50));
    session.user_id = Some(format!("user-{}", id % 1_000));
    session.name = Some(format!("What table {id} holds"));
    session.metadata = Some(r#"{"source": "web", "locale": "en-GB"}"#.into());
    session.state = Some(format!(r#"{{"step": {}}}"#, id % 7).into());
    session.runs = Some(format!(r#"[{{"input": "How many rows?", "content": "{id}"}}]"#).into());
    let created_at = Timestamp::from_unix_micros(1_700_000_000_000_000 + id as i64 * 1_000_000);
    session.created_at = Some(created_at);
    session.updated_at = Some(created_at);
    session
}
