//! `cargo xtask integration`: the tests of every backend, against servers that are found or
//! started for it, and always taken down.

pub(crate) mod apt;
mod backend;
mod context;
mod control;
mod daemon;
mod docker;
mod folder;
mod for_bench;
mod mysql;
mod options;
mod places;
mod postgres;
mod redis;
mod report;
mod run;
mod server;
mod suite;
mod system;
mod takedown;
mod together;

use std::hash::{BuildHasher as _, RandomState};

pub(crate) use backend::must_run_all;
pub(crate) use for_bench::{cluster_for_bench, servers_for_bench};
pub(crate) use options::Options;
use suite::Suite;

use crate::Error;
use crate::steps::Steps;
use crate::workspace::Workspace;

pub(crate) fn run(arguments: lexopt::Parser) -> Result<(), Error> {
    let options = Options::parse(arguments)?;
    if options.down {
        let ended = folder::remove_leftovers(true);
        println!("{ended} runs' servers ended");
        return Ok(());
    }
    if let Some(path) = &options.report {
        // Found out before the minutes of testing, not after.
        report::write(path, &options, &[])?;
    }
    let mut steps = Steps::new();
    let result = all(&mut steps, &Workspace::load()?, &options, true);
    steps.finish(result)
}

/// The integration tests of the backends that the options name. What cannot be run is a failure
/// where `all_must_run`, else a loud line. A failed backend does not keep the others from running.
pub(crate) fn all(
    steps: &mut Steps,
    workspace: &Workspace,
    options: &Options,
    all_must_run: bool,
) -> Result<(), Error> {
    takedown::on_interrupt()?;
    println!("seeds: {} from {}, as --seeds and --seed", options.seeds, options.seed);
    let mut suite = Suite::new(workspace, options)?;
    for backend in &options.backends {
        suite.backend(steps, backend);
    }
    suite.together(steps);
    suite.finish(all_must_run)
}

/// A number that nobody can foretell.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
