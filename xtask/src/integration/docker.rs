//! PostgreSQL from a container, where no binaries are found and a Docker engine answers.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{Order, Server, Settings, Source, free_port, wait_until};
use super::takedown;
use crate::{Error, cargo};

/// What is run.
const IMAGE: &str = "postgres:17";

/// Marks our containers, with the number of the process that started them.
const LABEL: &str = "batchflow-integration";

/// An image of PostgreSQL, on an engine that answers.
#[derive(Debug)]
pub(crate) struct Image {
    logs: PathBuf,
    password: String,
}

impl Image {
    /// Fetches the image; `None` where no engine answers.
    pub(crate) fn fetch(logs: &Path) -> Result<Option<Self>, Error> {
        if !cargo::succeeds(docker().args(["version", "--format", "{{.Server.Version}}"])) {
            return Ok(None);
        }
        remove_leftovers();
        // Not while starting: an interrupt would wait for it.
        cargo::output(docker().args(["pull", "--quiet", IMAGE]))?;
        let password = format!("{:016x}", super::random());
        Ok(Some(Self { logs: logs.to_owned(), password }))
    }
}

impl Source for Image {
    fn label(&self) -> String {
        format!("PostgreSQL ({IMAGE})")
    }

    fn origin(&self) -> String {
        format!("Docker image {IMAGE}")
    }

    fn start(
        &self,
        name: &str,
        durable: bool,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, Error> {
        let port = free_port()?;
        let mut run = run_command(port, durable, settings);
        // By name only: arguments are there for everyone to see.
        run.env("POSTGRES_PASSWORD", &self.password);
        let id = takedown::container(|| Ok(cargo::output(&mut run)?.trim().to_owned()))?;
        let password = self.password.clone();
        let log = self.logs.join(format!("{name}.log"));
        let container = Container { id, password, log, port, left: false };
        container.wait()?;
        Ok(Box::new(container))
    }
}

fn docker() -> Command {
    Command::new("docker")
}

fn run_command(port: u16, durable: bool, settings: &Settings) -> Command {
    let mut run = docker();
    run.args(["run", "--detach", "--env", "POSTGRES_PASSWORD"]);
    run.arg("--label").arg(format!("{LABEL}={}", std::process::id()));
    run.arg("--publish").arg(format!("127.0.0.1:{port}:5432"));
    run.args([IMAGE, "-c", "max_connections=200", "-c", "timezone=UTC"]);
    if !durable {
        run.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    for (name, value) in settings {
        run.arg("-c").arg(format!("{name}={value}"));
    }
    run
}

/// Removes a container, running or not, with its data.
pub(super) fn remove(id: &str) {
    cargo::succeeds(docker().args(["rm", "--force", "--volumes", id]));
}

/// Removes the containers of runs that were killed before they could.
fn remove_leftovers() {
    let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
    let filter = format!("label={LABEL}");
    let mut list = docker();
    list.args(["ps", "--all", "--filter", &filter, "--format", &format]);
    for line in cargo::output(&mut list).unwrap_or_default().lines() {
        let Some((id, owner)) = line.split_once(' ') else { continue };
        if owner.parse().is_ok_and(|owner| !super::system::is_alive(owner)) {
            remove(id);
        }
    }
}

/// A running container: dropped, it is removed.
#[derive(Debug)]
struct Container {
    id: String,
    password: String,
    log: PathBuf,
    port: u16,
    left: bool,
}

impl Container {
    /// Waits until it takes connections: while it sets itself up it takes none by TCP.
    fn wait(&self) -> Result<(), Error> {
        wait_until("the start of a container", || {
            let mut ask = docker();
            ask.args(["exec", &self.id, "pg_isready", "--quiet", "--host=127.0.0.1"]);
            Ok(cargo::succeeds(&mut ask))
        })
    }

    fn tell(&self, words: &[&str]) -> Result<(), Error> {
        cargo::output(docker().args(words).arg(&self.id)).map(|_| ())
    }
}

impl Server for Container {
    fn url(&self) -> String {
        format!("postgresql://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn label(&self) -> String {
        format!("PostgreSQL ({IMAGE})")
    }

    fn password(&self) -> &str {
        &self.password
    }

    fn obey(&mut self, order: Order) -> Result<(), Error> {
        match order {
            Order::Stop => self.tell(&["stop"]),
            Order::Kill => self.tell(&["kill"]),
            Order::Restart => {
                self.tell(&["restart"])?;
                self.wait()
            }
            Order::Stall => self.tell(&["pause"]),
            Order::Resume => self.tell(&["unpause"]),
            Order::Promote => Err("a container is no standby".into()),
        }
    }

    fn leave(mut self: Box<Self>) {
        takedown::forget_container(&self.id);
        self.left = true;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.left {
            if let Ok(log) = docker().args(["logs", &self.id]).output() {
                let _ = std::fs::write(&self.log, [log.stdout, log.stderr].concat());
            }
            remove(&self.id);
            takedown::forget_container(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_reached_from_this_machine_alone_and_shows_no_password() {
        let settings = [("max_connections".to_owned(), "5".to_owned())];
        let line = cargo::shown(&run_command(15_432, false, &settings));
        assert!(line.contains("--publish 127.0.0.1:15432:5432"), "{line}");
        assert!(line.contains("--env POSTGRES_PASSWORD --label"), "{line}");
        assert!(line.ends_with("-c max_connections=5"), "the last one counts: {line}");
    }
}
