//! The examples, run as a user runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{connect, execute, fresh, rows, url};

/// The example that cargo built beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let example = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(example.exists(), "build it first: cargo build -p batchflow-postgres --examples");
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

fn run(name: &str, arguments: &[&str]) -> Run {
    let mut command = Command::new(example(name));
    let output = command.args(arguments).env("BATCHFLOW_POSTGRES_URL", url()).output().unwrap();
    Run {
        succeeded: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn fails_with_one_line(name: &str, arguments: &[&str], expected: &str) {
    let run = run(name, arguments);
    assert!(!run.succeeded, "{expected}: {}", run.stdout);
    assert!(run.stderr.contains(expected), "{:?} lacks {expected:?}", run.stderr);
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{:?}", run.stderr);
    assert_eq!(run.stdout, "", "{expected}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn the_quickstart_loads_every_observation_and_its_summary_adds_up() {
    for (key, count, nulls) in
        [("origin,time_hour", 26_115, 23_974), ("origin,year,month,day,hour", 26_112, 23_971)]
    {
        let table = fresh("quickstart");
        let run = run("postgres_quickstart", &["--table", &table, "--key", key]);
        assert!(run.succeeded, "{key}: {}", run.stderr);
        assert_eq!(run.number("submitted"), 26_115);
        assert_eq!(run.number("written") + run.number("superseded"), 26_115, "{}", run.stdout);
        assert_eq!(run.number("check"), count, "{}", run.stdout);
        assert!(run.stdout.contains(&format!("{nulls} NULLs")), "{}", run.stdout);
        let taken = format!("relation \"{table}\" already exists");
        fails_with_one_line("postgres_quickstart", &["--table", &table], &taken);
        execute(&url(), &format!("DROP TABLE {table}")).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
async fn sessions_are_upserted_and_the_summary_adds_up() {
    let table = fresh("session_upsert");
    let run = run("session_upsert", &["--table", &table, "--rows", "3001", "--batch", "1000"]);
    assert!(run.succeeded, "{}", run.stderr);
    assert_eq!((run.number("submitted"), run.number("failed")), (3_001 + 1_501, 0));
    assert_eq!(run.number("written"), run.number("submitted"));
    let count = format!("SELECT count(*) FROM {table}");
    assert_eq!(rows(&connect(&url()).await, &count).await, ["3001"]);
    execute(&url(), &format!("DROP TABLE {table}")).await;
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask integration"]
fn a_mistake_is_one_clear_line_and_a_failure() {
    let nowhere = "postgres://u:canary@127.0.0.1:1/d";
    for name in ["postgres_quickstart", "session_upsert"] {
        for (arguments, expected) in [
            (&["--rows", "many"][..], "not \"many\""),
            (&["--rows", "-1"], "not \"-1\""),
            (&["--rows"], "--rows"),
            (&["--fast"], "--fast"),
            (&["--url", nowhere], "cannot connect: connection"),
            (&["--url", "mysql://u:canary@h/d"], "cannot connect"),
            (
                &["--table", "no_such_schema_here.t"],
                "schema \"no_such_schema_here\" does not exist",
            ),
        ] {
            fails_with_one_line(name, arguments, expected);
            assert!(!run(name, arguments).stderr.contains("canary"), "{arguments:?}");
        }
    }
    for (arguments, expected) in [
        (&["nowhere.csv"][..], "cannot read nowhere.csv"),
        (&["--key", "origin,tim_hour"], "no column \"tim_hour\""),
        (&["one.csv", "two.csv"], "two.csv"),
    ] {
        fails_with_one_line("postgres_quickstart", arguments, expected);
    }
    for (arguments, expected) in [
        (&["--batch", "0"][..], "`batch_size`: must be at least 1"),
        (&["--table", ""], "`table`: "),
        (&["file.csv"], "file.csv"),
    ] {
        fails_with_one_line("session_upsert", arguments, expected);
    }
}
