//! `cargo xtask test`: every test of every crate, and line coverage where it can be measured.

use lexopt::prelude::*;

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo, coverage, loom};

/// Whether line coverage is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    Measured,
    Skipped,
}

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Error> {
    let mut coverage = Coverage::Measured;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-coverage") => coverage = Coverage::Skipped,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut steps = Steps::new();
    let result = all(&mut steps, &Workspace::load()?, coverage);
    steps.finish(result)
}

/// The steps of `cargo xtask test`. The plain tests come last, so that their counts stand at the
/// end of the output; too little coverage does not keep them from running.
pub(crate) fn all(
    steps: &mut Steps,
    workspace: &Workspace,
    coverage: Coverage,
) -> Result<(), Error> {
    let covered = match coverage {
        Coverage::Measured => coverage::check(steps, workspace),
        Coverage::Skipped => {
            steps.not_run("coverage", "switched off by --no-coverage");
            Ok(())
        }
    };
    loom::check(steps, workspace)?;
    let mut tests = cargo::command("test");
    tests.args(["--workspace", "--all-features"]);
    steps.command("tests", &mut tests)?;
    covered
}
