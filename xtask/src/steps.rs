//! Steps: named, timed, stopped at the first that fails, told in a table at the end.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, cargo};

/// The steps of one run.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    end: End,
}

#[derive(Debug)]
enum End {
    Passed { note: String },
    Failed,
    NotRun { why: String },
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Runs a command as a step, its output going where ours goes.
    pub(crate) fn command(&mut self, name: &str, command: &mut Command) -> Result<(), Error> {
        let line = cargo::shown(command);
        self.step(name, &line, || {
            println!("$ {line}");
            let status = command.stdin(Stdio::null()).status();
            match status.map_err(|error| error.to_string())? {
                status if status.success() => Ok(String::new()),
                status => Err(status.to_string().into()),
            }
        })
    }

    /// Runs a check of our own as a step; `rerun` is the command that runs it again. What it
    /// returns stands in the table.
    pub(crate) fn step(
        &mut self,
        name: &str,
        rerun: &str,
        check: impl FnOnce() -> Result<String, Error>,
    ) -> Result<(), Error> {
        println!("\n== {name}");
        let started = Instant::now();
        let result = check();
        let took = started.elapsed();
        let name = name.to_owned();
        match result {
            Ok(note) => {
                self.done.push(Step { name, took, end: End::Passed { note } });
                Ok(())
            }
            Err(error) => {
                let message = format!("{name} failed: {error}\nto run it again:\n  {rerun}");
                self.done.push(Step { name, took, end: End::Failed });
                Err(message.into())
            }
        }
    }

    /// Notes, loudly, what could not be run here and what would bring it.
    pub(crate) fn not_run(&mut self, name: &str, why: &str) {
        println!("\n!! NOT RUN: {name}: {why}");
        let end = End::NotRun { why: why.to_owned() };
        self.done.push(Step { name: name.to_owned(), took: Duration::ZERO, end });
    }

    /// Prints the table of what was done, however it ended.
    pub(crate) fn finish(self, result: Result<(), Error>) -> Result<(), Error> {
        println!("\n{}", self.table());
        result
    }

    fn table(&self) -> String {
        let width = self.done.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
        let mut table = String::new();
        for Step { name, took, end } in &self.done {
            let seconds = took.as_secs_f64();
            let line = match end {
                End::Passed { note } => format!("ok       {name:width$}  {seconds:7.1} s  {note}"),
                End::Failed => format!("FAILED   {name:width$}  {seconds:7.1} s"),
                End::NotRun { why } => format!("NOT RUN  {name:width$}  {why}"),
            };
            let _ = writeln!(table, "{}", line.trim_end());
        }
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        let _ = write!(table, "{:7}  {:width$}  {:7.1} s", "", "in all", total.as_secs_f64());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_names_the_command_that_runs_it_again() {
        let mut steps = Steps::new();
        let error = steps.step("odd", "cargo odd", || Err("no".into())).unwrap_err().to_string();
        assert!(error.contains("odd failed: no") && error.contains("cargo odd"), "{error}");
        assert!(steps.table().starts_with("FAILED   odd"), "{}", steps.table());
    }

    #[test]
    fn the_table_tells_what_was_not_run() {
        let mut steps = Steps::new();
        steps.step("good", "", || Ok("3 of 3".into())).unwrap();
        steps.not_run("coverage", "no tool");
        let table = steps.table();
        assert!(table.contains("ok       good") && table.contains("3 of 3"), "{table}");
        assert!(table.contains("NOT RUN  coverage  no tool"), "{table}");
    }
}
