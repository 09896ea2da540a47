//! `cargo xtask bench core|sqlite`: the benchmarks, against their rivals in the same run.

use std::path::{Path, PathBuf};

use lexopt::prelude::*;

use crate::steps::Steps;
use crate::{Error, cargo};

/// What can be benchmarked: its name here, its crate, its bench target.
const BENCHES: [(&str, &str, &str); 2] =
    [("core", "batchflow-core", "core"), ("sqlite", "batchflow-sqlite", "upsert")];

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Error> {
    let mut which = None;
    let mut json = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("json") => json = Some(absolute(Path::new(&arguments.value()?))?),
            Value(name) if which.is_none() => which = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let names = || BENCHES.map(|(name, ..)| name).join("|");
    let Some(which) = which else {
        return Err(format!("which benchmark? cargo xtask bench {}", names()).into());
    };
    let Some((_, package, bench)) = BENCHES.iter().find(|(name, ..)| *name == which) else {
        return Err(format!("there is no benchmark {which:?}, only {}", names()).into());
    };
    let mut command = cargo::command("bench");
    command.args(["--package", package, "--all-features", "--bench", bench, "--"]);
    if let Some(json) = json {
        command.arg("--json").arg(json);
    }
    Steps::new().command(&format!("benchmark {which}"), &mut command)
}

/// Cargo runs a benchmark in its crate's folder; the file is named from ours.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(path)?;
    match path.parent() {
        Some(folder) if !folder.is_dir() => {
            Err(format!("there is no folder {}", folder.display()).into())
        }
        _ => Ok(path),
    }
}
