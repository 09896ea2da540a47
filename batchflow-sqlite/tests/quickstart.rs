//! The quickstart example, run as a user runs it.

// Tarpaulin builds no example.
#![cfg(not(tarpaulin))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The example that cargo built beside this test.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let example =
        profile.join("examples").join(format!("quickstart{}", std::env::consts::EXE_SUFFIX));
    assert!(
        example.exists(),
        "build it first: cargo build -p batchflow-sqlite --example quickstart, or run every test \
         of the crate"
    );
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

/// Runs the example in `folder`.
fn run(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(example()).args(arguments).current_dir(folder).output().unwrap();
    Run {
        succeeded: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn promise_1_every_observation_arrives_or_is_superseded_and_the_summary_adds_up() {
    let cases =
        [("origin,time_hour", 26_115, 23_974), ("origin,year,month,day,hour", 26_112, 23_971)];
    for (key, rows, nulls) in cases {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path(), &["--key", key]);
        assert!(run.succeeded, "{key}: {}", run.stderr);
        assert_eq!(run.number("submitted"), 26_115);
        assert_eq!(run.number("written") + run.number("superseded"), 26_115, "{}", run.stdout);
        assert!(run.number("superseded") <= 26_115 - rows, "{}", run.stdout);
        assert_eq!(run.number("check"), rows, "{}", run.stdout);
        assert!(run.stdout.contains(&format!("{nulls} NULLs")), "{}", run.stdout);
        assert!(folder.path().join("quickstart.db").exists());
    }
}

#[test]
fn a_second_run_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    for rows in ["3000", "2000"] {
        let run = run(folder.path(), &["--rows", rows]);
        assert!(run.succeeded, "{}", run.stderr);
        assert_eq!(run.number("check").to_string(), rows);
    }
}

#[test]
fn a_mistake_is_one_clear_line_and_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content);
    write("ragged.csv", b"origin,time_hour\nEWR\n").unwrap();
    write("missing.csv", b"origin,time_hour\nEWR,1\nNA,2\n").unwrap();
    write("latin1.csv", b"origin,time_hour\nEWR,\xe9\n").unwrap();
    write("empty.csv", b"").unwrap();
    write("not-a.db", &[b'x'; 5_000]).unwrap();
    assert!(run(folder.path(), &["--rows", "10", "--db", "taken.db"]).succeeded);
    let cases: [(&[&str], &str); 14] = [
        (&["nowhere.csv"], "cannot read nowhere.csv"),
        (&["ragged.csv"], "cannot read ragged.csv"),
        (&["latin1.csv"], "cannot read latin1.csv"),
        (&["missing.csv"], "missing.csv, row 2: the key \"origin\" is NA"),
        (&["empty.csv"], "empty.csv has no column \"origin\""),
        (&["--rows", "many"], "not \"many\""),
        (&["--rows", "-1"], "not \"-1\""),
        (&["--rows"], "--rows"),
        (&["--key", "origin,tim_hour"], "no column \"tim_hour\""),
        (&["--fast"], "--fast"),
        (&["one.csv", "two.csv"], "two.csv"),
        (&["--rows", "10", "--db", "nowhere/x.db"], "cannot write nowhere/x.db"),
        (&["--rows", "10", "--db", "not-a.db"], "cannot write not-a.db"),
        (&["--rows", "10", "--db", "taken.db"], "taken.db has a table made_up already"),
    ];
    for (arguments, expected) in cases {
        fails_with_one_line(&run(folder.path(), arguments), expected);
    }
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_written_is_one_clear_line_and_a_failure() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let read_only = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(folder.path(), read_only).unwrap();
    // Permissions do not bind root, but nobody writes where the kernel keeps its own files.
    let root = std::fs::write(folder.path().join("probe"), "").is_ok();
    let folder = if root { Path::new("/proc/self") } else { folder.path() };
    fails_with_one_line(&run(folder, &["--rows", "10"]), "cannot write quickstart.db");
}

fn fails_with_one_line(run: &Run, expected: &str) {
    assert!(!run.succeeded, "{expected}: {}", run.stdout);
    assert!(run.stderr.contains(expected), "{:?} lacks {expected:?}", run.stderr);
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{:?}", run.stderr);
    assert_eq!(run.stdout, "", "{expected}");
}
