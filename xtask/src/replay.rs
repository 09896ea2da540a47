//! `cargo xtask replay SEED`: one seeded schedule again.

use lexopt::prelude::*;

use crate::steps::Steps;
use crate::{Error, cargo};

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Error> {
    let mut seed = None;
    let mut package = "batchflow-core";
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("sqlite") => package = "batchflow-sqlite",
            Value(value) if seed.is_none() => seed = Some(value.parse::<u64>()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(seed) = seed else { return Err("which seed? cargo xtask replay SEED".into()) };
    let mut test = cargo::command("test");
    test.env("BATCHFLOW_SEED", seed.to_string());
    test.args(["--package", package, "--all-features", "--test", "schedules", "--", "--nocapture"]);
    Steps::new().command(&format!("schedule {seed}"), &mut test)
}
