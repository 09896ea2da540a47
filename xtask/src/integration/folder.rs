//! The folder of a run, and what earlier runs left behind.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::system::{self, Account};
use super::takedown;
use crate::Error;

const PREFIX: &str = "batchflow-integration-";
const OWNER: &str = "owner";
const KEPT: &str = "kept";
const CONTAINERS: &str = "containers";

/// Where a run's servers keep their data: dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    kept: AtomicBool,
}

impl Folder {
    /// A new one under the system's folder for what is temporary.
    pub(crate) fn new() -> Result<Self, Error> {
        let own = std::process::id();
        let path =
            std::env::temp_dir().join(format!("{PREFIX}{own}-{:08x}", super::random() as u32));
        fs::create_dir(&path)
            .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        // The servers' account passes through; the folders in it are its own.
        system::set_mode(&path, 0o711)?;
        takedown::note_folder(path.clone());
        fs::write(path.join(OWNER), format!("{own} {}", system::began(own)))?;
        Ok(Self { path, kept: AtomicBool::new(false) })
    }

    /// Its own name, which no other run's has.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A folder in it that is a server's own.
    pub(crate) fn own(&self, name: &str, account: &Account) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::create_dir(&path)?;
        system::set_mode(&path, 0o700)?;
        account.give(&path)?;
        Ok(path)
    }

    /// Notes a container that goes with this folder.
    pub(crate) fn note_container(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(CONTAINERS);
        let mut file = fs::File::options().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{name}")?)
    }

    /// Leaves it, for servers that outlive this program.
    pub(crate) fn keep(&self) -> Result<(), Error> {
        fs::write(self.path.join(KEPT), "")?;
        takedown::forget_folder(&self.path);
        self.kept.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            remove(&self.path);
            takedown::forget_folder(&self.path);
        }
    }
}

/// Removes a run's folder. A server that is just being killed may still write into it.
pub(crate) fn remove(path: &Path) {
    for _ in 0..50 {
        if fs::remove_dir_all(path).is_ok() || !path.exists() {
            return;
        }
        unmount_below(path);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    eprintln!("xtask: could not remove {}", path.display());
}

/// Unmounts what a killed test mounted in a run's folder.
fn unmount_below(path: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(path)) {
        let _ = Command::new("umount").args(["--lazy", point]).output();
    }
}

/// Ends the servers and removes the folders of runs that were killed before they could; with
/// `kept` also those that were told to leave theirs. How many there were.
pub(crate) fn remove_leftovers(kept: bool) -> usize {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours = entry.metadata().is_ok_and(|file| file.is_dir() && system::is_ours(&file));
        if is_ours && name.to_string_lossy().starts_with(PREFIX) {
            let path = entry.path();
            let is_left = if path.join(KEPT).exists() { kept } else { !is_owned(&path) };
            if is_left {
                println!("removing what an earlier run left: {}", path.display());
                end_servers(&path);
                remove(&path);
                removed += 1;
            }
        }
    }
    removed
}

/// Whether the run that made a folder goes on.
fn is_owned(folder: &Path) -> bool {
    // A folder without a note is just being made, or as good as empty.
    let Ok(owner) = fs::read_to_string(folder.join(OWNER)) else { return true };
    let (pid, began) = owner.split_once(' ').unwrap_or((&owner, ""));
    let Ok(pid) = pid.parse() else { return true };
    system::is_alive(pid) && system::began(pid) == began
}

/// Ends each container that a folder notes, and each server whose data stand in it, if the process
/// of that number is still it.
fn end_servers(folder: &Path) {
    let containers = fs::read_to_string(folder.join(CONTAINERS)).unwrap_or_default();
    for container in containers.lines() {
        super::docker::remove(container);
    }
    let servers = fs::read_dir(folder).into_iter().flatten().flatten();
    for server in servers {
        for file in ["data/postmaster.pid", "data/mysqld.pid", "pgbouncer.pid", "redis.pid"] {
            let text = fs::read_to_string(server.path().join(file)).unwrap_or_default();
            let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
            let Some(pid) = pid.filter(|pid| system::is_alive(*pid)) else { continue };
            if system::command_line(pid).contains(&*server.path().to_string_lossy()) {
                takedown::kill_tree(pid);
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_run_and_one_without_a_run_is_nobodys() {
        let folder = Folder::new().unwrap();
        let path = folder.path.clone();
        assert!(is_owned(&path));
        fs::write(path.join(OWNER), format!("{} 1", std::process::id())).unwrap();
        assert!(!is_owned(&path) || system::began(1).is_empty());
        drop(folder);
        assert!(!path.exists());
    }
}
