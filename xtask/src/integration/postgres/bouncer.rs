//! PgBouncer in transaction mode, before a server.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::config;
use crate::Error;
use crate::integration::context::Context;
use crate::integration::daemon::Daemon;
use crate::integration::folder::Folder;
use crate::integration::server::{Order, Server, Settings, Source, Variant, free_port};
use crate::integration::system::{Account, Signal};

/// Where it stands when it is not on `PATH`: distributions count it among the system's programs.
const USUAL: [&str; 4] = [
    "/usr/sbin/pgbouncer",
    "/usr/local/sbin/pgbouncer",
    "/opt/homebrew/bin/pgbouncer",
    "/usr/local/bin/pgbouncer",
];

/// The first version that keeps prepared statements apart in transaction mode.
const PREPARES: (u32, u32) = (1, 21);

/// A program `pgbouncer` that runs.
#[derive(Clone, Debug)]
pub(crate) struct Bouncer {
    program: PathBuf,
    version: String,
    account: Account,
}

impl Bouncer {
    /// Those that are given; else the first that runs, on `PATH` or in the usual places.
    pub(crate) fn find(given: &[PathBuf], account: &Account) -> Result<Vec<Self>, Error> {
        if !given.is_empty() {
            return given.iter().map(|program| Self::at(program, account)).collect();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| folder.join("pgbouncer"));
        let places = on_path.chain(USUAL.map(PathBuf::from)).filter(|program| program.is_file());
        let mut runs = places.filter_map(|program| Self::at(&program, account).ok());
        Ok(runs.next().into_iter().collect())
    }

    fn at(program: &Path, account: &Account) -> Result<Self, Error> {
        let mut command = account.command(program);
        command.arg("--version").current_dir("/");
        let output = crate::cargo::output(&mut command)?;
        let version = output.split_whitespace().nth(1).ok_or("it does not say its version");
        let version = version.map_err(|error| format!("{}: {error}", program.display()))?;
        let (program, account) = (program.to_owned(), account.clone());
        Ok(Self { program, version: version.to_owned(), account })
    }

    fn label(&self) -> String {
        format!("PgBouncer {}", self.version)
    }

    fn keeps_prepared_statements(&self) -> bool {
        let mut parts = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= PREPARES
    }

    /// Starts one before a server.
    pub(crate) fn before(
        &self,
        name: &str,
        server: &dyn Server,
        folder: &Arc<Folder>,
        logs: &Path,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, Error> {
        let home = folder.own(name, &self.account)?;
        let password = server.password().to_owned();
        let users = format!("\"postgres\" \"{password}\"\n");
        config::write(&home.join("users"), &users, &self.account)?;
        let mut pooler = Pooler {
            bouncer: self.clone(),
            daemon: Daemon::new(name, home.clone(), logs.join(format!("{name}.log"))),
            home,
            password,
            port: 0,
        };
        let mut tries = 3;
        loop {
            pooler.port = free_port()?;
            pooler.configure(server.port(), settings)?;
            match pooler.run() {
                Ok(()) => return Ok(Box::new(pooler)),
                Err(error) if tries == 1 => return Err(error),
                Err(_) => tries -= 1,
            }
        }
    }
}

impl Variant for Bouncer {
    fn label(&self) -> String {
        format!("behind {}", self.label())
    }

    fn tests(&self) -> &'static [&'static str] {
        &["conformance::", "strategies::", "shared::"]
    }

    fn variables(&self, shared: &dyn Server) -> Vec<(&'static str, String)> {
        vec![("BATCHFLOW_POSTGRES_DIRECT_URL", shared.url())]
    }

    fn start(
        &self,
        context: &Context,
        _source: &dyn Source,
        shared: &dyn Server,
    ) -> Result<Box<dyn Server>, Error> {
        let name = context.name("pgbouncer");
        self.before(&name, shared, &context.folder, &context.logs, &[])
    }
}

/// A PgBouncer with its folder.
#[derive(Debug)]
struct Pooler {
    bouncer: Bouncer,
    home: PathBuf,
    password: String,
    port: u16,
    daemon: Daemon,
}

impl Pooler {
    fn configure(&self, server: u16, settings: &Settings) -> Result<(), Error> {
        let home = self.home.display();
        let mut lines = vec![
            "[databases]".to_owned(),
            format!("* = host=127.0.0.1 port={server}"),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {}", self.port),
            "unix_socket_dir =".to_owned(),
            "pool_mode = transaction".to_owned(),
            "auth_type = scram-sha-256".to_owned(),
            format!("auth_file = {home}/users"),
            format!("pidfile = {home}/pgbouncer.pid"),
            "admin_users = postgres".to_owned(),
            "max_client_conn = 1000".to_owned(),
            // Few, so that clients do share and change connections.
            "default_pool_size = 10".to_owned(),
            "server_login_retry = 0".to_owned(),
        ];
        if self.bouncer.keeps_prepared_statements() {
            lines.push("max_prepared_statements = 100".to_owned());
        }
        for (name, value) in settings {
            config::check(name)?;
            lines.push(format!("{name} = {value}"));
        }
        let text = lines.join("\n") + "\n";
        config::write(&self.home.join("pgbouncer.ini"), &text, &self.bouncer.account)
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut command: Command = self.bouncer.account.command(&self.bouncer.program);
        command.arg(self.home.join("pgbouncer.ini")).current_dir(&self.home);
        // One that was killed leaves its note, and the next refuses to start.
        let _ = std::fs::remove_file(self.home.join("pgbouncer.pid"));
        let port = self.port;
        self.daemon.run(&mut command, |_| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// SIGTERM ends it at once; an end in order would wait for every client.
    fn stop(&mut self) -> Result<(), Error> {
        self.daemon.stop(Signal::Terminate, Duration::from_secs(10))
    }
}

impl Server for Pooler {
    fn url(&self) -> String {
        format!("postgresql://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn label(&self) -> String {
        self.bouncer.label()
    }

    fn password(&self) -> &str {
        &self.password
    }

    fn obey(&mut self, order: Order) -> Result<(), Error> {
        match order {
            Order::Stop => self.stop(),
            Order::Kill => self.daemon.kill(),
            Order::Restart => {
                if self.daemon.is_running() {
                    self.stop()?;
                }
                self.run()
            }
            Order::Stall => self.daemon.stall(),
            Order::Resume => self.daemon.resume(),
            Order::Promote => Err("a PgBouncer is not promoted".into()),
        }
    }

    fn leave(mut self: Box<Self>) {
        self.daemon.leave();
    }
}
