//! What must end with this program, however it ends: servers, cargo's runs, the run's folder.
//!
//! Guards take down what they own when they are dropped, on success, failure and panic. Ctrl-C,
//! SIGTERM and SIGHUP find everything in one register instead, end it and then this program. What
//! a `kill -9` leaves behind is found by the next run, see [`super::folder`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::system::{self, Signal};
use crate::Error;

static REGISTER: Mutex<Register> = Mutex::new(Register {
    next: 0,
    closed: false,
    processes: BTreeMap::new(),
    folders: Vec::new(),
    containers: Vec::new(),
});

#[derive(Debug)]
struct Register {
    next: u64,
    /// A signal came: nothing more is started.
    closed: bool,
    processes: BTreeMap<u64, u32>,
    folders: Vec<PathBuf>,
    containers: Vec<String>,
}

fn register() -> MutexGuard<'static, Register> {
    REGISTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on Ctrl-C, SIGTERM and SIGHUP end what is registered, then this program.
pub(crate) fn on_interrupt() -> Result<(), Error> {
    ctrlc::set_handler(|| {
        eprintln!("\nxtask: interrupted: taking down what was started");
        // The lock is kept to the end of the program: nothing can be started any more.
        let mut register = register();
        register.closed = true;
        for pid in register.processes.values() {
            kill_tree(*pid);
        }
        for container in &register.containers {
            super::docker::remove(container);
        }
        for folder in &register.folders {
            super::folder::remove(folder);
        }
        std::process::exit(130);
    })?;
    Ok(())
}

/// A folder that goes when this program is interrupted, until [`forget_folder`].
pub(crate) fn note_folder(folder: PathBuf) {
    register().folders.push(folder);
}

pub(crate) fn forget_folder(folder: &std::path::Path) {
    register().folders.retain(|other| other != folder);
}

/// Starts a container of this name, and notes it.
pub(crate) fn container(
    name: &str,
    start: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let mut register = register();
    if register.closed {
        return Err("interrupted".into());
    }
    start()?;
    register.containers.push(name.to_owned());
    Ok(())
}

pub(crate) fn forget_container(name: &str) {
    register().containers.retain(|other| other != name);
}

/// A process in a group of its own, with all that it starts: dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    number: u64,
    ended: bool,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Error> {
        system::own_group(command);
        // Noted under the lock: no signal finds a process that is started and not yet noted.
        let mut register = register();
        if register.closed {
            return Err("interrupted".into());
        }
        let child = command
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", command.get_program().display()))?;
        let number = register.next;
        register.next += 1;
        register.processes.insert(number, child.id());
        Ok(Self { child, number, ended: false })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>, Error> {
        // Under the lock: once it was asked about, another process may get its number.
        let mut register = register();
        let status = self.child.try_wait()?;
        if status.is_some() {
            register.processes.remove(&self.number);
            self.ended = true;
        }
        Ok(status)
    }

    /// Waits for its end; `None` where that does not come in time.
    pub(crate) fn wait(
        &mut self,
        within: Duration,
    ) -> Result<Option<std::process::ExitStatus>, Error> {
        let until = Instant::now() + within;
        loop {
            let status = self.ended()?;
            if status.is_some() || Instant::now() >= until {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        if self.ended {
            Err("it has ended".into())
        } else {
            Ok(system::signal(self.pid(), signal)?)
        }
    }

    /// Leaves it running when this is dropped and when this program ends.
    pub(crate) fn leave(mut self) {
        register().processes.remove(&self.number);
        self.ended = true;
    }

    /// Stops every process of the tree where it stands, and sees that it stands; or lets each go on.
    pub(crate) fn stall(&self, stalled: bool) -> Result<(), Error> {
        if stalled {
            let (tree, until) = (stop_tree(self.pid()), Instant::now() + Duration::from_secs(10));
            while let Some(pid) = tree.iter().find(|pid| !system::is_stopped(**pid)) {
                if Instant::now() >= until {
                    return Err(format!("process {pid} was told to stop, and goes on").into());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            return Ok(());
        }
        for child in system::children(self.pid()) {
            let _ = system::signal(child, Signal::Continue);
        }
        self.signal(Signal::Continue)
    }

    /// Kills the whole tree at one moment, as a machine that loses its power does, and waits
    /// until none of it is left.
    pub(crate) fn kill(&mut self) {
        if self.ended {
            return;
        }
        let killed = kill_tree(self.pid());
        let _ = self.wait(Duration::from_secs(10));
        let until = Instant::now() + Duration::from_secs(10);
        while killed.iter().any(|pid| system::is_alive(*pid)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Stops a process first, so that it starts no more, then what it started.
fn stop_tree(root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&pid) = tree.get(at) {
        let _ = system::signal(pid, Signal::Stop);
        tree.extend(system::children(pid));
        at += 1;
    }
    tree
}

/// Kills a process and all that it started, and its group. Which processes those were.
pub(crate) fn kill_tree(root: u32) -> Vec<u32> {
    let tree = stop_tree(root);
    for pid in &tree {
        let _ = system::signal(*pid, Signal::Kill);
    }
    let _ = system::signal_group(root, Signal::Kill);
    tree
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_killed_to_its_leaves() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & sleep 60 & wait"]);
        let process = Process::spawn(&mut shell).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        let mut leaves = Vec::new();
        while leaves.len() < 2 && Instant::now() < until {
            leaves = system::children(process.pid());
        }
        assert_eq!(leaves.len(), 2);
        drop(process);
        assert!(leaves.iter().all(|leaf| !system::is_alive(*leaf)));
    }

    #[test]
    fn a_stalled_process_goes_on_when_told_to() {
        let mut shell = Command::new("sh");
        let mut process = Process::spawn(shell.args(["-c", "sleep 0.1; exit 3"])).unwrap();
        process.stall(true).unwrap();
        assert!(process.wait(Duration::from_millis(300)).unwrap().is_none());
        process.stall(false).unwrap();
        assert_eq!(process.wait(Duration::from_secs(10)).unwrap().unwrap().code(), Some(3));
    }
}
