//! One running MySQL or MariaDB.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::install::{Install, USER, argument};
use crate::Error;
use crate::integration::daemon::Daemon;
use crate::integration::server::{Order, Server, free_port};
use crate::integration::system::{self, Signal};

/// A server with its data folder.
#[derive(Debug)]
pub(super) struct Instance {
    install: Install,
    home: PathBuf,
    data: PathBuf,
    /// Its settings, as arguments.
    arguments: Vec<String>,
    port: u16,
    daemon: Daemon,
    /// What is run at the first start: it makes the tests' account and their database.
    first: Option<PathBuf>,
}

impl Instance {
    /// Starts a server on a data folder, in a folder that nothing else is in, at a free port.
    pub(super) fn start(
        install: Install,
        name: &str,
        data: PathBuf,
        arguments: Vec<String>,
    ) -> Result<Self, Error> {
        let home = data.parent().unwrap_or(&data).to_owned();
        let daemon = Daemon::new(name, home.clone(), install.log(name));
        let mut server = Self { install, home, data, arguments, port: 0, daemon, first: None };
        server.first = Some(server.first_statements()?);
        // Between finding a port free and listening on it another program may take it.
        let mut tries = 3;
        loop {
            server.port = free_port()?;
            match server.run() {
                Ok(()) => break,
                Err(error) if tries == 1 => return Err(error),
                Err(_) => tries -= 1,
            }
        }
        if let Some(first) = server.first.take() {
            std::fs::remove_file(first)?;
        }
        Ok(server)
    }

    /// A file of the statements to be run at the first start, one a line.
    fn first_statements(&self) -> Result<PathBuf, Error> {
        let path = self.home.join("first.sql");
        let password = self.install.password();
        let statements = format!(
            "CREATE DATABASE IF NOT EXISTS test;\n\
             CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        );
        std::fs::write(&path, "")?;
        system::set_mode(&path, 0o600)?;
        std::fs::write(&path, statements)?;
        self.install.account().give(&path)?;
        Ok(path)
    }

    fn run(&mut self) -> Result<(), Error> {
        let pid_file = self.data.join("mysqld.pid");
        let shown = |path: &Path| path.display().to_string();
        let mut command = self.install.program().command(self.install.account());
        command.arg(argument("datadir", &shown(&self.data)));
        command.arg(argument("tmpdir", &shown(&self.home)));
        command.arg(argument("pid-file", &shown(&pid_file)));
        command.arg(argument("port", &self.port.to_string())).args(&self.arguments);
        if let Some(first) = &self.first {
            command.arg(argument("init-file", &shown(first)));
        }
        // A clock of its own zone says nothing to who reads the tests.
        command.env("TZ", "UTC").current_dir(&self.data);
        let port = self.port;
        self.daemon.run(&mut command, |pid| is_of(&pid_file, pid) && greets(port))
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.daemon.stop(Signal::Terminate, Duration::from_secs(60))
    }
}

/// Whether a server notes that it is this process. One that was killed leaves its note.
fn is_of(note: &Path, pid: u32) -> bool {
    let noted = std::fs::read_to_string(note).unwrap_or_default();
    noted.trim() == pid.to_string()
}

/// Whether a server greets who connects: it listens before it does.
fn greets(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let limit = Duration::from_millis(500);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else { return false };
    let mut head = [0; 5];
    // Three bytes of length, a number, and the protocol's version.
    stream.set_read_timeout(Some(limit)).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head[4] == 10
}

impl Server for Instance {
    fn url(&self) -> String {
        format!("mysql://{USER}:{}@127.0.0.1:{}/test", self.install.password(), self.port)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn label(&self) -> String {
        self.install.program().label()
    }

    fn password(&self) -> &str {
        self.install.password()
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
            Order::Promote => Err(format!("{} is no replica", self.daemon.name()).into()),
        }
    }

    fn leave(mut self: Box<Self>) {
        self.daemon.leave();
    }
}
