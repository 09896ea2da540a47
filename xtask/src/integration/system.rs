//! What the operating system does for servers: accounts, process groups, signals, owners of files.
//!
//! Everything that is not the same everywhere stands here; elsewhere than on Unix it fails, and
//! servers come by URL or from Docker.

use std::path::Path;
use std::process::Command;

use crate::Error;

/// What is asked of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: PostgreSQL's fast shutdown.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGKILL: no chance to do anything more.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGUSR1: tells PostgreSQL to look for a request to promote.
    User1,
}

/// Whom a server runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// Who runs this.
    Own,
    /// Another, since servers refuse to run as root.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// Who runs this; for root the first of these accounts that there is.
    pub(crate) fn for_servers() -> Result<Self, Error> {
        if !is_root() {
            return Ok(Self::Own);
        }
        let found = ["postgres", "mysql", "nobody"].into_iter().find_map(Self::named);
        found.ok_or_else(|| "servers refuse to run as root, and there is no account \"postgres\", \"mysql\" or \"nobody\" to run them as".into())
    }

    fn named(name: &str) -> Option<Self> {
        let id = |flag: &str| {
            let output = Command::new("id").args([flag, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self::Other { name: name.to_owned(), uid: id("-u")?, gid: id("-g")? })
    }

    /// A command that runs as this account.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Self::Other { uid, gid, .. } = self {
            run_as(&mut command, *uid, *gid);
        }
        command
    }

    /// Makes a folder or file this account's own.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => Ok(chown(path, *uid, *gid)?),
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::Metadata;
    use std::io;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;

    use rustix::process::{self, Pid};

    use super::Signal;

    impl From<Signal> for process::Signal {
        fn from(signal: Signal) -> Self {
            match signal {
                Signal::Interrupt => Self::INT,
                Signal::Terminate => Self::TERM,
                Signal::Kill => Self::KILL,
                Signal::Stop => Self::STOP,
                Signal::Continue => Self::CONT,
                Signal::User1 => Self::USR1,
            }
        }
    }

    fn pid(raw: u32) -> io::Result<Pid> {
        let pid = i32::try_from(raw).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| io::Error::other("no process has this number"))
    }

    pub(crate) fn is_root() -> bool {
        process::geteuid().is_root()
    }

    /// The standard library drops root's supplementary groups on the way.
    pub(super) fn run_as(command: &mut Command, uid: u32, gid: u32) {
        command.uid(uid).gid(gid);
    }

    pub(super) fn chown(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
    }

    /// Lets others than the owner pass through a folder, or not even that.
    pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    }

    /// Whether a file is of the account that runs this.
    pub(crate) fn is_ours(file: &Metadata) -> bool {
        file.uid() == process::geteuid().as_raw()
    }

    /// Keeps a Ctrl-C in the terminal from reaching the command: it is ended in its turn.
    pub(crate) fn own_group(command: &mut Command) {
        command.process_group(0);
    }

    pub(crate) fn signal(to: u32, signal: Signal) -> io::Result<()> {
        Ok(process::kill_process(pid(to)?, signal.into())?)
    }

    /// To every process of a group, which is known by the number of its first.
    pub(crate) fn signal_group(to: u32, signal: Signal) -> io::Result<()> {
        Ok(process::kill_process_group(pid(to)?, signal.into())?)
    }

    pub(super) fn may_be_signalled(number: u32) -> bool {
        pid(number).is_ok_and(|pid| process::test_kill_process(pid).is_ok())
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::fs::Metadata;
    use std::io;
    use std::path::Path;
    use std::process::Command;

    use super::Signal;

    fn unsupported() -> io::Error {
        io::Error::other("private servers are started on Unix only: name one by its URL")
    }

    pub(crate) fn is_root() -> bool {
        false
    }

    pub(super) fn run_as(_: &mut Command, _: u32, _: u32) {}

    pub(super) fn chown(_: &Path, _: u32, _: u32) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn is_ours(_: &Metadata) -> bool {
        false
    }

    pub(crate) fn own_group(_: &mut Command) {}

    pub(crate) fn signal(_: u32, _: Signal) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn signal_group(_: u32, _: Signal) -> io::Result<()> {
        Err(unsupported())
    }

    pub(super) fn may_be_signalled(_: u32) -> bool {
        false
    }
}

#[cfg(not(unix))]
use elsewhere::{chown, may_be_signalled, run_as};
#[cfg(not(unix))]
pub(crate) use elsewhere::{is_ours, is_root, own_group, set_mode, signal, signal_group};
#[cfg(unix)]
use unix::{chown, may_be_signalled, run_as};
#[cfg(unix)]
pub(crate) use unix::{is_ours, is_root, own_group, set_mode, signal, signal_group};

/// Whether a process runs, or is stopped. One that ended and that nobody asked about does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !matches!(field(&stat, 0), Some("Z" | "X")),
        Err(_) => !Path::new("/proc/self/stat").exists() && may_be_signalled(pid),
    }
}

/// Whether all threads of a process stand still, or have ended. SIGSTOP takes hold of each only
/// when it would run next.
pub(crate) fn is_stopped(pid: u32) -> bool {
    let still = |state: Option<&str>| state.is_some_and(|state| state.starts_with(['T', 'Z', 'X']));
    if let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) {
        // One whose file is gone has ended.
        let mut stats =
            threads.flatten().flat_map(|t| std::fs::read_to_string(t.path().join("stat")));
        return stats.all(|stat| still(field(&stat, 0)));
    }
    let output = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output();
    let state = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    state.map_or(true, |state| state.is_empty() || still(Some(&state)))
}

/// When a process began, in a unit of the system's own, so that another of its number is not
/// taken for it. Empty where the system does not say.
pub(crate) fn began(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.ok().and_then(|stat| field(&stat, 19).map(str::to_owned)).unwrap_or_default()
}

/// A process's command line, as one string.
pub(crate) fn command_line(pid: u32) -> String {
    if let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        return String::from_utf8_lossy(&line).replace('\0', " ");
    }
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
}

/// The processes that a process started and that have not ended.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let parent = pid.to_string();
    let Ok(processes) = std::fs::read_dir("/proc/self").and_then(|_| std::fs::read_dir("/proc"))
    else {
        return children_by_ps(&parent);
    };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            field(&stat, 1) == Some(&parent) && !matches!(field(&stat, 0), Some("Z" | "X"))
        })
        .collect()
}

fn children_by_ps(parent: &str) -> Vec<u32> {
    let Ok(output) = Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid="]).output() else {
        return Vec::new();
    };
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = lines.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    pairs.filter(|(_, of)| of.trim() == parent).filter_map(|(pid, _)| pid.parse().ok()).collect()
}

/// A field of `/proc/PID/stat` behind the program's name, which may hold anything.
fn field(stat: &str, at: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(at)
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_process_and_its_children_are_told_from_what_has_ended() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        assert!(is_alive(pid) && children(std::process::id()).contains(&pid));
        // The system lets us go on a little before it shows the words of what was started.
        let until = Instant::now() + Duration::from_secs(10);
        while !command_line(pid).starts_with("sleep") {
            assert!(Instant::now() < until, "{}", command_line(pid));
            std::thread::yield_now();
        }
        assert!(!is_stopped(pid));
        signal(pid, Signal::Stop).unwrap();
        while !is_stopped(pid) {
            assert!(Instant::now() < until, "it goes on");
            std::thread::yield_now();
        }
        assert!(is_alive(pid), "stopped is not ended");
        signal(pid, Signal::Kill).unwrap();
        child.wait().unwrap();
        assert!(!is_alive(pid) && !children(std::process::id()).contains(&pid));
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        assert_eq!(field("7 (a) b) S 42 7", 0), Some("S"));
        assert_eq!(field("7 (a) b) S 42 7", 1), Some("42"));
    }
}
