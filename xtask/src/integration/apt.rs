//! Installing servers on Debian and Ubuntu.

use std::path::Path;
use std::process::{Command, Stdio};

use super::system;
use crate::{Error, cargo};

/// Whether this is a system with `apt-get`.
pub(crate) fn is_here() -> bool {
    Path::new("/etc/debian_version").exists()
        && cargo::succeeds(Command::new("apt-get").arg("--version"))
}

/// The command that installs packages, to be typed.
pub(crate) fn line(packages: &[&str]) -> String {
    cargo::shown(&install_command(packages))
}

/// Installs packages; what it prints goes where our output goes.
pub(crate) fn install(packages: &[&str]) -> Result<(), Error> {
    let mut update = apt_get();
    update.args(["--quiet", "update"]);
    for mut command in [update, install_command(packages)] {
        println!("$ {}", cargo::shown(&command));
        let status = command.stdin(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("{} failed: {status}", cargo::shown(&command)).into());
        }
    }
    Ok(())
}

fn install_command(packages: &[&str]) -> Command {
    let mut command = apt_get();
    command.args(["--quiet", "--yes", "--no-install-recommends", "install"]).args(packages);
    command
}

/// As root, if need be by `sudo` where that asks for no password.
fn apt_get() -> Command {
    if system::is_root() {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        return command;
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}
