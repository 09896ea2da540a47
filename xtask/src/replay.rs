//! `cargo xtask replay SEED`: one seeded schedule again.

use lexopt::prelude::*;

use crate::steps::Steps;
use crate::{Error, cargo, no_more};

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Error> {
    let seed: u64 = match arguments.next()? {
        Some(Value(seed)) => seed.parse()?,
        Some(other) => return Err(other.unexpected().into()),
        None => return Err("which seed? cargo xtask replay SEED".into()),
    };
    no_more(arguments)?;
    let mut test = cargo::command("test");
    test.env("BATCHFLOW_SEED", seed.to_string());
    test.args([
        "--package",
        "batchflow-core",
        "--all-features",
        "--test",
        "schedules",
        "--",
        "--nocapture",
    ]);
    Steps::new().command(&format!("schedule {seed}"), &mut test)
}
