//! Every feature of every library builds alone: none leans on another being switched on.

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo};

pub(crate) fn check(steps: &mut Steps, workspace: &Workspace) -> Result<(), Error> {
    for member in workspace.libraries() {
        let combinations = std::iter::once("").chain(member.features.iter().map(String::as_str));
        for combination in combinations {
            let name = if combination.is_empty() { "no feature" } else { combination };
            // The library alone: test targets would bring in their dependencies' features.
            let mut clippy = cargo::command("clippy");
            clippy.args(["--package", &member.name, "--lib", "--no-default-features"]);
            clippy.args(["--features", combination, "--", "-D", "warnings"]);
            steps.command(&format!("{} with {name}", member.name), &mut clippy)?;
        }
    }
    Ok(())
}
