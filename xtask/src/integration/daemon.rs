//! [`Daemon`]: a server's process and its folder, whatever the server is.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::folder;
use super::server::{tail, wait_until};
use super::system::Signal;
use super::takedown::Process;
use crate::Error;

/// A process that may be stopped and run again: dropped, it is killed and its folder removed.
#[derive(Debug)]
pub(super) struct Daemon {
    name: String,
    /// Nothing else is in it.
    home: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    stalled: bool,
    left: bool,
}

impl Daemon {
    pub(super) fn new(name: &str, home: PathBuf, log: PathBuf) -> Self {
        Self { name: name.to_owned(), home, log, process: None, stalled: false, left: false }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(super) fn process(&mut self) -> Result<&mut Process, Error> {
        let name = &self.name;
        self.process.as_mut().ok_or_else(|| format!("{name} does not run").into())
    }

    /// Runs it, and waits until it `is_ready`, which is asked with its process's number.
    pub(super) fn run(
        &mut self,
        command: &mut Command,
        is_ready: impl Fn(u32) -> bool,
    ) -> Result<(), Error> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = Process::spawn(command)?;
        wait_until(&format!("the start of {}", self.name), || {
            if process.ended()?.is_some() {
                let said = tail(&self.log);
                return Err(format!("{} did not start:\n{said}", self.name).into());
            }
            Ok(is_ready(process.pid()))
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Asks it to end; killed where it has not within `patience`, which is an error.
    pub(super) fn stop(&mut self, signal: Signal, patience: Duration) -> Result<(), Error> {
        self.resume()?;
        self.process()?.signal(signal)?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if process.wait(patience)?.is_none() {
            let (name, seconds) = (&self.name, patience.as_secs());
            return Err(format!("{name} did not end within {seconds} s, and was killed").into());
        }
        Ok(())
    }

    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.process()?.kill();
        self.process = None;
        self.stalled = false;
        Ok(())
    }

    pub(super) fn stall(&mut self) -> Result<(), Error> {
        self.process()?.stall(true)?;
        self.stalled = true;
        Ok(())
    }

    pub(super) fn resume(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.stalled) { self.process()?.stall(false) } else { Ok(()) }
    }

    /// Lets it run on when this program ends.
    pub(super) fn leave(&mut self) {
        self.left = true;
        if let Some(process) = self.process.take() {
            process.leave();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.left {
            self.process = None;
            folder::remove(&self.home);
        }
    }
}
