//! The examples, run as a user runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{execute, fresh, url};

/// The example that cargo built beside this test.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let name = format!("mysql_quickstart{}", std::env::consts::EXE_SUFFIX);
    let example = profile.join("examples").join(name);
    assert!(example.exists(), "build it first: cargo build -p batchflow-mysql --examples");
    example
}

struct Run {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

impl Run {
    /// The number after a word at the beginning of a line.
    fn number(&self, word: &str) -> u64 {
        let line = self.stdout.lines().find(|line| line.starts_with(word));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        let number = number.and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("no number after {word:?} in:\n{}", self.stdout))
    }
}

fn run(arguments: &[&str]) -> Run {
    let mut command = Command::new(example());
    let output = command.args(arguments).env("BATCHFLOW_MYSQL_URL", url()).output().unwrap();
    Run {
        succeeded: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn fails_with_one_line(arguments: &[&str], expected: &str) {
    let run = run(arguments);
    assert!(!run.succeeded, "{expected}: {}", run.stdout);
    assert!(run.stderr.contains(expected), "{:?} lacks {expected:?}", run.stderr);
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{:?}", run.stderr);
    assert_eq!(run.stdout, "", "{expected}");
    assert!(!run.stderr.contains("canary"), "{arguments:?}");
}

#[tokio::test]
#[ignore = "needs MySQL: cargo xtask integration"]
async fn the_quickstart_loads_every_observation_and_its_summary_adds_up() {
    for (key, count, nulls) in
        [("origin,time_hour", 26_115, 23_974), ("origin,year,month,day,hour", 26_112, 23_971)]
    {
        let table = fresh("quickstart");
        let run = run(&["--table", &table, "--key", key]);
        assert!(run.succeeded, "{key}: {}", run.stderr);
        assert_eq!(run.number("submitted"), 26_115);
        assert_eq!(run.number("written") + run.number("superseded"), 26_115, "{}", run.stdout);
        assert_eq!(run.number("check"), count, "{}", run.stdout);
        assert!(run.stdout.contains(&format!("{nulls} NULLs")), "{}", run.stdout);
        fails_with_one_line(&["--table", &table], &format!("Table '{table}' already exists"));
        execute(&url(), &format!("DROP TABLE {table}")).await;
    }
}

#[test]
#[ignore = "needs MySQL: cargo xtask integration"]
fn a_mistake_is_one_clear_line_and_a_failure() {
    let nowhere = "mysql://u:canary@127.0.0.1:1/d";
    for (arguments, expected) in [
        (&["--rows", "many"][..], "not \"many\""),
        (&["--rows", "-1"], "not \"-1\""),
        (&["--rows"], "--rows"),
        (&["--fast"], "--fast"),
        (&["--url", nowhere], "cannot connect: connection"),
        (&["--url", "postgres://u:canary@h/d"], "cannot connect"),
        (&["--table", "no_such_database_here.t"], "nknown database 'no_such_database_here'"),
        (&["nowhere.csv"], "cannot read nowhere.csv"),
        (&["--key", "origin,tim_hour"], "no column \"tim_hour\""),
        (&["one.csv", "two.csv"], "two.csv"),
    ] {
        fails_with_one_line(arguments, expected);
    }
}
