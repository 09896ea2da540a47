//! `cargo xtask ci`: everything that a change must pass.

use lexopt::prelude::*;

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo, features, test, tree};

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Error> {
    let mut with_test = true;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("no-test") => with_test = false,
            other => return Err(other.unexpected().into()),
        }
    }
    let workspace = Workspace::load()?;
    let mut steps = Steps::new();
    let result = checks(&mut steps, &workspace, with_test);
    steps.finish(result)
}

fn checks(steps: &mut Steps, workspace: &Workspace, with_test: bool) -> Result<(), Error> {
    steps.command("lock file", cargo::command("fetch").arg("--locked"))?;
    steps.command("format", cargo::command("fmt").args(["--all", "--", "--check"]))?;
    tree::check(steps, workspace)?;
    lints(steps, "lints, all features", "--all-features")?;
    lints(steps, "lints, no features", "--no-default-features")?;
    features::check(steps, workspace)?;
    let mut doc = cargo::command("doc");
    doc.env("RUSTDOCFLAGS", "-D warnings").args(["--workspace", "--no-deps", "--all-features"]);
    steps.command("documentation", &mut doc)?;
    if with_test { test::all(steps, workspace, test::Coverage::Measured, false) } else { Ok(()) }
}

fn lints(steps: &mut Steps, name: &str, features: &str) -> Result<(), Error> {
    let mut clippy = cargo::command("clippy");
    clippy.args(["--workspace", "--all-targets", features, "--", "-D", "warnings"]);
    steps.command(name, &mut clippy)
}
