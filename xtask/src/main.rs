//! `cargo xtask`: the workspace's own commands, one file each.

mod bench;
mod cargo;
mod ci;
mod coverage;
mod features;
mod loom;
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
  test      Unit, integration, documentation and model-checked tests of every crate, and
            line coverage where a tool for it is installed
              --no-coverage   without the coverage
  ci        Everything that a change must pass: format, lints, documentation, dependency tree,
            feature combinations, then `test`
              --no-test       without `test`
  loom      The model-checked tests alone
  replay    The seeded schedules test with one seed: cargo xtask replay SEED
  bench     Benchmarks, against their rivals: cargo xtask bench core|sqlite
              --json FILE     write the figures as JSON too
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
