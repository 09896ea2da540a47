//! What Prometheus' own programs say of what is exported, where they are found or installed.

use std::process::Command;

use crate::integration::{Options, apt};
use crate::steps::Steps;
use crate::{Error, cargo};

const NAME: &str = "tests that need Prometheus";

/// The package that has both programs, on Debian and Ubuntu.
const PACKAGE: &str = "prometheus";

fn is_found() -> bool {
    let says = |program: &str| cargo::succeeds(Command::new(program).arg("--version"));
    says("promtool") && says("prometheus")
}

/// Runs the tests that need the programs. Without them it is a failure where it `must_run`, else a
/// loud line.
pub(crate) fn check(steps: &mut Steps, options: &Options, must_run: bool) -> Result<(), Error> {
    if !is_found() && options.install {
        let line = apt::line(&[PACKAGE]);
        steps.step("Prometheus installed", &line, || {
            apt::install(&[PACKAGE]).map(|()| String::new())
        })?;
    }
    if !is_found() {
        let why = format!("needs promtool and prometheus: {}", apt::line(&[PACKAGE]));
        steps.not_run(NAME, &why);
        return if must_run { Err(format!("{NAME}: {why}").into()) } else { Ok(()) };
    }
    let mut tests = cargo::command("test");
    tests.args(["--workspace", "--all-features", "--test", "prometheus", "--", "--ignored"]);
    steps.command(NAME, &mut tests)
}
