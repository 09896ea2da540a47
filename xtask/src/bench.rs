//! `cargo xtask bench core|sqlite|postgres|mysql|redis|metrics`: the benchmarks, against their
//! rivals in the same run.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use lexopt::prelude::*;
use serde_json::Value as Json;

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo, integration};

/// What can be benchmarked: its name here, its crate, its bench targets.
const BENCHES: [(&str, &str, &[&str]); 6] = [
    ("core", "batchflow-core", &["core", "allocations"]),
    ("sqlite", "batchflow-sqlite", &["upsert"]),
    ("postgres", "batchflow-postgres", &["upsert"]),
    ("mysql", "batchflow-mysql", &["upsert"]),
    ("redis", "batchflow-redis", &["write"]),
    ("metrics", "xtask", &["metrics"]),
];

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<(), Error> {
    let mut which = None;
    let mut json = None;
    let mut quick = false;
    let mut options = integration::Options::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("json") => json = Some(PathBuf::from(arguments.value()?)),
            Long("quick") => quick = true,
            Long("mysqld") => options.mysqld.push(std::path::absolute(arguments.value()?)?),
            Value(name) if which.is_none() => which = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let names = || BENCHES.map(|(name, ..)| name).join("|");
    let Some(which) = which else {
        return Err(format!("which benchmark? cargo xtask bench {}", names()).into());
    };
    let Some((_, package, targets)) = BENCHES.iter().find(|(name, ..)| *name == which) else {
        return Err(format!("there is no benchmark {which:?}, only {}", names()).into());
    };
    if which != "mysql" && !options.mysqld.is_empty() {
        return Err("--mysqld is for the benchmark mysql".into());
    }
    if let Some(path) = &json {
        // Found out before the minutes of measuring, not after.
        write(path, &[])?;
    }
    let workspace = Workspace::load()?;
    let servers = integration::servers_for_bench(&workspace, package, &options)?;
    // Without any, the benchmark finds its server by itself.
    let servers: Vec<_> =
        if servers.is_empty() { vec![None] } else { servers.iter().map(Some).collect() };
    let cluster = integration::cluster_for_bench(&workspace, package, &options)?;
    let mut steps = Steps::new();
    let mut figures = Vec::new();
    for (server, target) in
        servers.iter().flat_map(|server| targets.iter().map(move |t| (*server, t)))
    {
        // Cargo runs a benchmark in its crate's folder: the path must not depend on ours.
        let own = workspace.target(&format!("bench-{package}-{target}.json"));
        let mut command = cargo::command("bench");
        command.args(["--package", package, "--all-features", "--bench", target, "--", "--json"]);
        command.arg(&own);
        if quick {
            command.arg("--quick");
        }
        let (name, line) = (format!("benchmark {package}, {target}"), cargo::shown(&command));
        // Added once the line to run it again is made: it holds a password.
        for own in server.into_iter().chain(&cluster) {
            command.env(own.variable, own.server.url());
        }
        steps.step(&name, &line, || {
            println!("$ {line}");
            match command.stdin(Stdio::null()).status()? {
                status if status.success() => Ok(String::new()),
                status => Err(status.to_string().into()),
            }
        })?;
        let written: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(own)?)?;
        figures.extend(written);
    }
    json.map_or(Ok(()), |path| write(&path, &figures))
}

fn write(path: &Path, figures: &[Json]) -> Result<(), Error> {
    let lines: Vec<String> = figures.iter().map(|figure| format!("  {figure}")).collect();
    let written = std::fs::write(path, format!("[\n{}\n]\n", lines.join(",\n")));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
