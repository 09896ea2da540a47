//! Servers from containers, where no programs are found and a Docker engine answers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::context::Context;
use super::folder::Folder;
use super::server::{Order, Server, Settings, Source, free_port, wait_until};
use super::takedown;
use crate::{Error, cargo};

/// How an image of a server is run.
#[derive(Debug)]
pub(crate) struct Recipe {
    image: &'static str,
    label: &'static str,
    /// Where it listens inside.
    port: u16,
    /// The variable that sets its superuser's password.
    password_variable: &'static str,
    /// A URL before the password, and behind the port.
    url: (&'static str, &'static str),
    /// What is run before the settings; empty: what the image runs by itself.
    program: &'static [&'static str],
    /// What comes before a setting, as words of their own.
    flag: &'static [&'static str],
    /// What stands between a setting's name and its value.
    between: char,
    settings: &'static [&'static str],
    /// What spares the disk.
    not_durable: &'static [&'static str],
    /// Whether it takes connections: asked by TCP, which it does not listen on while it sets
    /// itself up.
    ready: &'static [&'static str],
}

pub(crate) static POSTGRES: Recipe = Recipe {
    image: "postgres:17",
    label: "PostgreSQL",
    port: 5_432,
    password_variable: "POSTGRES_PASSWORD",
    url: ("postgresql://postgres:", "/postgres"),
    program: &[],
    flag: &["-c"],
    between: '=',
    settings: &["max_connections=200", "timezone=UTC"],
    not_durable: &["fsync=off", "full_page_writes=off"],
    ready: &["pg_isready", "--quiet", "--host=127.0.0.1"],
};

pub(crate) static MYSQL: Recipe = Recipe {
    image: "mysql:9",
    label: "MySQL",
    port: 3_306,
    password_variable: "MYSQL_ROOT_PASSWORD",
    url: ("mysql://root:", "/mysql"),
    program: &[],
    flag: &[],
    between: '=',
    settings: &["--max_connections=300", "--local_infile=ON"],
    not_durable: &["--innodb_flush_log_at_trx_commit=0", "--sync_binlog=0"],
    ready: &["mysqladmin", "--host=127.0.0.1", "--protocol=tcp", "ping"],
};

pub(crate) static MARIADB: Recipe = Recipe {
    image: "mariadb:11",
    label: "MariaDB",
    port: 3_306,
    password_variable: "MARIADB_ROOT_PASSWORD",
    url: ("mysql://root:", "/mysql"),
    program: &[],
    flag: &[],
    between: '=',
    settings: &["--max_connections=300", "--local_infile=ON"],
    not_durable: &["--innodb_flush_log_at_trx_commit=0"],
    ready: &["mariadb-admin", "--host=127.0.0.1", "--protocol=tcp", "ping"],
};

pub(crate) static REDIS: Recipe = Recipe {
    image: "redis:8",
    label: "Redis",
    port: 6_379,
    // As its own client calls it; the server has it from a file alone.
    password_variable: "REDISCLI_AUTH",
    url: ("redis://:", "/0"),
    program: &[
        "sh",
        "-c",
        "printf 'requirepass %s\\nmasterauth %s\\n' \"$REDISCLI_AUTH\" \"$REDISCLI_AUTH\" >redis.conf; \
         exec redis-server ./redis.conf \"$@\"",
        "redis-server",
    ],
    flag: &[],
    between: ' ',
    settings: &["--save \"\"", "--appendonly yes", "--appendfsync always"],
    not_durable: &["--appendonly no"],
    ready: &["sh", "-c", "redis-cli -e -p $PORT ping"],
};

/// An image of a server, on an engine that answers.
#[derive(Debug)]
pub(crate) struct Image {
    recipe: &'static Recipe,
    folder: Arc<Folder>,
    logs: PathBuf,
    password: String,
}

impl Image {
    /// Fetches the image; `None` where no engine answers.
    pub(crate) fn fetch(recipe: &'static Recipe, context: &Context) -> Result<Option<Self>, Error> {
        if !cargo::succeeds(docker().args(["version", "--format", "{{.Server.Version}}"])) {
            return Ok(None);
        }
        // Not while starting: an interrupt would wait for it.
        cargo::output(docker().args(["pull", "--quiet", recipe.image]))?;
        let (folder, logs) = (Arc::clone(&context.folder), context.logs.clone());
        let password = format!("{:016x}", super::random());
        Ok(Some(Self { recipe, folder, logs, password }))
    }
}

impl Source for Image {
    fn label(&self) -> String {
        format!("{} ({})", self.recipe.label, self.recipe.image)
    }

    fn origin(&self) -> String {
        format!("Docker image {}", self.recipe.image)
    }

    fn start(
        &self,
        name: &str,
        durable: bool,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, Error> {
        let (recipe, port) = (self.recipe, free_port()?);
        let inside = if is_on_host(settings) { port } else { recipe.port };
        let container = format!("{}-{name}", self.folder.name());
        // Before it runs: whoever removes the folder removes the container.
        self.folder.note_container(&container)?;
        let mut run = run_command(recipe, &container, port, durable, settings);
        let line = cargo::shown(&run);
        // By name only: arguments are there for everyone to see, and errors show them.
        run.env(recipe.password_variable, &self.password);
        takedown::container(&container, || cargo::output_of(&mut run, &line).map(|_| ()))?;
        let password = self.password.clone();
        let log = self.logs.join(format!("{name}.log"));
        let (name, left) = (container, false);
        let container = Container { recipe, name, password, log, port, inside, left };
        container.wait()?;
        Ok(Box::new(container))
    }
}

fn docker() -> Command {
    Command::new("docker")
}

fn run_command(
    recipe: &Recipe,
    name: &str,
    port: u16,
    durable: bool,
    settings: &Settings,
) -> Command {
    let mut run = docker();
    run.args(["run", "--detach", "--name", name, "--env", recipe.password_variable]);
    for (_, file) in settings.iter().filter(|(_, value)| value.starts_with('/')) {
        run.arg("--volume").arg(format!("{file}:{file}:ro"));
    }
    let is_on_host = is_on_host(settings);
    if is_on_host {
        run.args(["--network", "host"]);
    } else {
        run.arg("--publish").arg(format!("127.0.0.1:{port}:{}", recipe.port));
    }
    run.arg(recipe.image).args(recipe.program);
    if is_on_host {
        run.args(["--bind", "127.0.0.1", "--port"]).arg(port.to_string());
    }
    let spared: &[_] = if durable { &[] } else { recipe.not_durable };
    for setting in recipe.settings.iter().chain(spared) {
        run.args(recipe.flag).arg(setting);
    }
    for (name, value) in settings {
        let dashes = if recipe.flag.is_empty() { "--" } else { "" };
        run.args(recipe.flag).arg(format!("{dashes}{name}{}{value}", recipe.between));
    }
    run
}

/// Whether the server listens on this machine itself: a cluster's nodes reach each other where
/// clients reach them, and another port is one that the test chose.
fn is_on_host(settings: &Settings) -> bool {
    settings.iter().any(|(name, _)| matches!(&**name, "cluster-enabled" | "tls-port"))
}

/// Removes a container, running or not, with its data.
pub(super) fn remove(name: &str) {
    cargo::succeeds(docker().args(["rm", "--force", "--volumes", name]));
}

/// A running container: dropped, it is removed.
#[derive(Debug)]
struct Container {
    recipe: &'static Recipe,
    name: String,
    password: String,
    log: PathBuf,
    port: u16,
    /// Where it listens inside.
    inside: u16,
    left: bool,
}

impl Container {
    fn wait(&self) -> Result<(), Error> {
        wait_until("the start of a container", || {
            let mut ask = docker();
            let port = format!("PORT={}", self.inside);
            ask.args(["exec", "--env", &port, &self.name]).args(self.recipe.ready);
            Ok(cargo::succeeds(&mut ask))
        })
    }

    fn tell(&self, words: &[&str]) -> Result<(), Error> {
        cargo::output(docker().args(words).arg(&self.name)).map(|_| ())
    }
}

impl Server for Container {
    fn url(&self) -> String {
        let (start, end) = self.recipe.url;
        format!("{start}{}@127.0.0.1:{}{end}", self.password, self.port)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn label(&self) -> String {
        format!("{} ({})", self.recipe.label, self.recipe.image)
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
        takedown::forget_container(&self.name);
        self.left = true;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.left {
            if let Ok(log) = docker().args(["logs", &self.name]).output() {
                let _ = std::fs::write(&self.log, [log.stdout, log.stderr].concat());
            }
            remove(&self.name);
            takedown::forget_container(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_reached_from_this_machine_alone_and_shows_no_password() {
        let settings = [("max_connections".to_owned(), "5".to_owned())];
        let run = |recipe| cargo::shown(&run_command(recipe, "n", 15_432, false, &settings));
        let line = run(&POSTGRES);
        assert!(line.contains("--publish 127.0.0.1:15432:5432"), "{line}");
        assert!(line.contains("--env POSTGRES_PASSWORD --publish"), "{line}");
        assert!(line.ends_with("-c max_connections=5"), "the last one counts: {line}");
        assert!(run(&MYSQL).ends_with(" --max_connections=5"));
        let line = run(&REDIS);
        assert!(
            line.contains("--env REDISCLI_AUTH --publish 127.0.0.1:15432:6379 redis:8"),
            "{line}"
        );
        assert!(line.ends_with("'--appendonly no' '--max_connections 5'"), "{line}");
    }

    #[test]
    fn a_node_of_a_cluster_listens_where_it_is_reached_and_reads_the_files_it_is_given() {
        let settings = [("cluster-enabled", "yes"), ("tls-key-file", "/tmp/key")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let line = cargo::shown(&run_command(&REDIS, "n", 15_432, true, &settings));
        assert!(line.contains("--volume /tmp/key:/tmp/key:ro --network host redis:8"), "{line}");
        assert!(line.contains(" --bind 127.0.0.1 --port 15432 "), "{line}");
        let given = "'--appendfsync always' '--cluster-enabled yes' '--tls-key-file /tmp/key'";
        assert!(line.ends_with(given), "{line}");
    }
}
