//! `cargo xtask test`: every test of every crate, on every backend that is found or can be
//! started, and line coverage where it can be measured.

use lexopt::prelude::*;

use crate::integration::{self, Options, must_run_all};
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo, coverage, loom, prometheus};

/// Whether line coverage is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    Measured,
    Skipped,
}

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Error> {
    let mut coverage = Coverage::Measured;
    let mut all_backends = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-coverage") => coverage = Coverage::Skipped,
            Long("all") => all_backends = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut steps = Steps::new();
    let result = all(&mut steps, &Workspace::load()?, coverage, all_backends);
    steps.finish(result)
}

/// The steps of `cargo xtask test`. Too little coverage does not keep the tests from running. What
/// needs a server comes last, once; a backend that cannot be tested here is a failure where that
/// is asked for, or a service runs this.
pub(crate) fn all(
    steps: &mut Steps,
    workspace: &Workspace,
    coverage: Coverage,
    all_backends: bool,
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
    // What is built in was tested with the rest.
    let (servers, all_must_run) = (Options::for_servers(), must_run_all(all_backends));
    let watched = prometheus::check(steps, &servers, all_must_run);
    let integrated = integration::all(steps, workspace, &servers, all_must_run);
    covered.and(watched).and(integrated)
}
