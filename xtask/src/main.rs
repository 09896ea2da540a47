//! `cargo xtask`: the workspace's own commands, one file each.

mod bench;
mod cargo;
mod ci;
mod coverage;
mod features;
mod integration;
mod loom;
mod prometheus;
mod replay;
mod steps;
mod test;
mod tree;
mod workspace;

use std::process::ExitCode;

use lexopt::prelude::*;

const HELP: &str = "\
The workspace's own commands.

Usage: cargo xtask COMMAND [OPTIONS]

Commands:
  test      Unit, documentation and model-checked tests of every crate, line coverage where a
            tool for it is installed, those that need Prometheus where it is installed, then
            `integration` of every backend that can be tested here
              --no-coverage   without the coverage
              --all           fail where a backend cannot be tested; so does CI in the environment
  ci        Everything that a change must pass: format, lints, documentation, dependency tree,
            feature combinations, then `test`
              --no-test       without `test`
  integration [TEST…]
            Every backend's tests, or those of these names, against servers that it finds by URL
            (BATCHFLOW_POSTGRES_URL, BATCHFLOW_MYSQL_URL, BATCHFLOW_REDIS_URL), starts from binaries, or runs in Docker, and takes down
              --backend A,B       these only: sqlite, postgres, mysql, redis
              --postgres-bin DIR  PostgreSQL's binaries; more than once for more than one version
              --pgbouncer PATH    PgBouncer's program; more than once for more than one version
              --mysqld PATH       MySQL's or MariaDB's program; more than once for more than one
              --redis-server PATH Redis's program; more than once for more than one version
              --install           install what is missing by apt-get (done as root where CI is set)
              --seeds N           repeat each fault N times, 1 left out
              --seed S            the first seed, a fresh one left out
              --keep              leave the servers up, and print their URLs
              --down              end what --keep left, and nothing else
              --report FILE       write what was run, and what became of it, as JSON
  loom      The model-checked tests alone
  replay    The seeded schedules test with one seed: cargo xtask replay SEED
  bench     Benchmarks, against their rivals:
              cargo xtask bench core|sqlite|postgres|mysql|redis|metrics
              --mysqld PATH   against a server of this program's, for mysql; again for more
              --json FILE     write the figures as JSON too
              --quick         a run of seconds, which shows only that it works
  help      Print this
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<(), Error> {
    let mut arguments = lexopt::Parser::from_env();
    let command = match arguments.next()? {
        None | Some(Short('h') | Long("help")) => "help".to_owned(),
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "help" => {
            print!("{HELP}");
            Ok(())
        }
        "bench" => bench::run(arguments),
        "ci" => ci::run(arguments),
        "integration" => integration::run(arguments),
        "loom" => loom::run(arguments),
        "replay" => replay::run(arguments),
        "test" => test::run(arguments),
        other => Err(format!("there is no command {other:?}; `cargo xtask` lists them").into()),
    }
}

/// What a command ends with when it fails: one line for `main` to print.
type Error = Box<dyn std::error::Error>;

/// Refuses whatever arguments are left.
fn no_more(mut arguments: lexopt::Parser) -> Result<(), Error> {
    match arguments.next()? {
        None => Ok(()),
        Some(argument) => Err(argument.unexpected().into()),
    }
}
