//! Line coverage, by whichever tool is installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Error, cargo};

const NAME: &str = "coverage";

/// The crates measured, and the least share of their lines that tests must reach, in per cent.
const MEASURED: [&str; 2] = ["batchflow-core", "batchflow-sqlite"];
const LEAST: f64 = 85.0;

/// Instrumented code is slow: a part of the seeded schedules reaches the same lines.
const SCHEDULES: (&str, &str) = ("BATCHFLOW_SCHEDULES", "200");

/// Lines reached and lines in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lines {
    reached: u64,
    all: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        100.0 * self.reached as f64 / self.all.max(1) as f64
    }
}

/// Lines by source file.
type Files = Vec<(PathBuf, Lines)>;

#[derive(Clone, Copy, Debug)]
enum Tool {
    Tarpaulin,
    LlvmCov,
}

pub(crate) fn check(steps: &mut Steps, workspace: &Workspace) -> Result<(), Error> {
    let Some(tool) = Tool::installed() else {
        steps.not_run(NAME, "needs a tool: cargo install --locked cargo-tarpaulin");
        return Ok(());
    };
    let packages: Vec<&str> =
        MEASURED.into_iter().filter(|name| workspace.member(name).is_some()).collect();
    let folder = workspace.target("coverage");
    let mut command = tool.command(&packages, &folder);
    steps.step(NAME, &cargo::shown(&command), || {
        println!("$ {}", cargo::shown(&command));
        println!("its output: {}", folder.join("log").display());
        run(&mut command, &folder)?;
        let report = std::fs::read_to_string(tool.report(&folder))?;
        let files = tool.files(&serde_json::from_str(&report)?).ok_or("cannot read its report")?;
        let crates = by_crate(&files, &packages);
        let mut shares = Vec::new();
        for (name, lines) in &crates {
            println!("{name}: {:.1} % of {} lines", lines.percent(), lines.all);
            shares.push(format!("{name} {:.1} %", lines.percent()));
        }
        let share = shares.join(", ");
        if crates.values().any(|lines| lines.percent() < LEAST) {
            return Err(format!("{share}; each must reach {LEAST} %").into());
        }
        Ok(share)
    })
}

/// Runs the tool with its output in a file, whose end is shown when it fails.
fn run(command: &mut Command, folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join("log");
    let log = std::fs::File::create(&path)?;
    let status = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).status()?;
    if status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
    let lines: Vec<&str> = log.lines().collect();
    println!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
    Err(status.to_string().into())
}

impl Tool {
    /// `cargo llvm-cov` counts more exactly, but needs the toolchain's `llvm-tools` beside it.
    fn installed() -> Option<Self> {
        let tools = || {
            let rustc = Command::new("rustc").args(["--print", "target-libdir"]).output().ok()?;
            let libraries = PathBuf::from(String::from_utf8(rustc.stdout).ok()?.trim());
            let tool = format!("llvm-profdata{}", std::env::consts::EXE_SUFFIX);
            libraries.parent().map(|folder| folder.join("bin").join(tool).exists())
        };
        if cargo::succeeds(cargo::command("llvm-cov").arg("--version")) && tools() == Some(true) {
            return Some(Self::LlvmCov);
        }
        cargo::succeeds(cargo::command("tarpaulin").arg("--version")).then_some(Self::Tarpaulin)
    }

    fn command(self, packages: &[&str], folder: &Path) -> Command {
        let mut command = match self {
            Self::Tarpaulin => {
                let mut command = cargo::command("tarpaulin");
                command.args(["--engine=llvm", "--skip-clean", "--timeout=600", "--out=Json"]);
                command.arg("--target-dir").arg(folder).arg("--output-dir").arg(folder);
                command
            }
            Self::LlvmCov => {
                let mut command = cargo::command("llvm-cov");
                command.env("CARGO_LLVM_COV_TARGET_DIR", folder);
                command.args(["--json", "--summary-only", "--output-path"]);
                command.arg(self.report(folder));
                command
            }
        };
        command.env(SCHEDULES.0, SCHEDULES.1).args(["--profile=quick", "--all-features"]);
        for package in packages {
            command.args(["--package", package]);
        }
        command
    }

    fn report(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Tarpaulin => "tarpaulin-report.json",
            Self::LlvmCov => "llvm-cov.json",
        })
    }

    fn files(self, report: &Value) -> Option<Files> {
        match self {
            Self::Tarpaulin => report["files"].as_array()?.iter().map(tarpaulin_file).collect(),
            Self::LlvmCov => {
                report["data"][0]["files"].as_array()?.iter().map(llvm_cov_file).collect()
            }
        }
    }
}

fn tarpaulin_file(file: &Value) -> Option<(PathBuf, Lines)> {
    let path = file["path"].as_array()?.iter().filter_map(Value::as_str).collect();
    Some((path, Lines { reached: file["covered"].as_u64()?, all: file["coverable"].as_u64()? }))
}

fn llvm_cov_file(file: &Value) -> Option<(PathBuf, Lines)> {
    let lines = &file["summary"]["lines"];
    let lines = Lines { reached: lines["covered"].as_u64()?, all: lines["count"].as_u64()? };
    Some((file["filename"].as_str()?.into(), lines))
}

/// Adds up the files under each crate's `src`.
fn by_crate<'a>(files: &Files, crates: &[&'a str]) -> BTreeMap<&'a str, Lines> {
    let mut sums: BTreeMap<&str, Lines> =
        crates.iter().map(|name| (*name, Lines::default())).collect();
    for (path, lines) in files {
        for (name, sum) in &mut sums {
            let source = Path::new(name).join("src");
            let source: Vec<_> = source.components().collect();
            let path: Vec<_> = path.components().collect();
            if path.windows(source.len()).any(|part| part == source) {
                sum.reached += lines.reached;
                sum.all += lines.all;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_reports_are_added_up_by_crate() {
        let tarpaulin = r#"{"files": [
            {"path": ["/", "w", "a", "src", "x.rs"], "covered": 3, "coverable": 4},
            {"path": ["/", "w", "a", "src", "m", "y.rs"], "covered": 0, "coverable": 1},
            {"path": ["/", "w", "a", "tests", "z.rs"], "covered": 9, "coverable": 9}]}"#;
        let llvm_cov = r#"{"data": [{"files": [
            {"filename": "/w/a/src/x.rs", "summary": {"lines": {"covered": 3, "count": 5}}},
            {"filename": "/w/b/src/x.rs", "summary": {"lines": {"covered": 9, "count": 9}}}]}]}"#;
        for (tool, report) in [(Tool::Tarpaulin, tarpaulin), (Tool::LlvmCov, llvm_cov)] {
            let files = tool.files(&serde_json::from_str(report).unwrap()).unwrap();
            let sums = by_crate(&files, &["a"]);
            assert_eq!(sums["a"], Lines { reached: 3, all: 5 }, "{tool:?}");
        }
    }
}
