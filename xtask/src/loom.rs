//! `cargo xtask loom`: the tests that try every interleaving of a small program.

use std::process::Command;

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo, no_more};

const FLAG: &str = "--cfg batchflow_loom";

pub(crate) fn run(arguments: lexopt::Parser) -> Result<(), Error> {
    no_more(arguments)?;
    let mut steps = Steps::new();
    let result = check(&mut steps, &Workspace::load()?);
    steps.finish(result)
}

pub(crate) fn check(steps: &mut Steps, workspace: &Workspace) -> Result<(), Error> {
    steps.command("model-checked tests", &mut tests(workspace))
}

/// The model-checked tests are named `loom_…` and compiled only under [`FLAG`], which needs a
/// build of everything: in a folder of its own.
fn tests(workspace: &Workspace) -> Command {
    let others = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut tests = cargo::command("test");
    tests
        .env("RUSTFLAGS", format!("{others} {FLAG}").trim_start())
        .env("CARGO_TARGET_DIR", workspace.target("loom"))
        .args(["--package", "batchflow-core", "--lib", "--profile", "quick", "loom_"]);
    tests
}
