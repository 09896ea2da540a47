//! One run of a crate's tests, its output shown and counted.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::takedown::Process;
use crate::Error;

/// No run of a crate's tests takes longer for each seed; one that hangs is ended.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Counts {
    /// Adds what a line of a test program's output says: `test result: ok. 3 passed; 0 failed; …`.
    fn add(&mut self, line: &str) {
        let Some(results) = line.strip_prefix("test result: ") else { return };
        let results = results.split_once(". ").map_or("", |(_, counts)| counts);
        for part in results.split("; ") {
            let mut words = part.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Runs `cargo test`, shown as this line, and counts; an error where a test failed, or none was run.
pub(crate) fn tests(command: &mut Command, line: &str, seeds: u64) -> Result<Counts, Error> {
    println!("$ {line}");
    let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = process.child().stdout.take();
    let reader = std::thread::spawn(move || {
        let mut counts = Counts::default();
        let lines = |output| BufReader::new(output).split(b'\n').map_while(Result::ok);
        for line in output.into_iter().flat_map(lines) {
            // A test may print what is no text.
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            counts.add(line.trim_end());
        }
        counts
    });
    let longest = LONGEST.saturating_mul(seeds.try_into().unwrap_or(u32::MAX));
    let status = process.wait(longest)?;
    drop(process);
    let counts = reader.join().map_err(|_| "the output could not be read")?;
    match status {
        None => Err(format!("not over after {} min, and ended", longest.as_secs() / 60).into()),
        Some(status) if !status.success() => {
            Err(format!("{} passed, {} failed ({status})", counts.passed, counts.failed).into())
        }
        Some(_) if counts.passed == 0 => Err("no test was run: is there one of this name?".into()),
        Some(_) => Ok(counts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_test_programs_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; …",
            "test result: ok. is not how a test's own output begins",
            "test result: FAILED. 40 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; …",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 43, failed: 2, ignored: 1 });
    }
}
