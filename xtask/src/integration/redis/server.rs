//! One running Redis.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::install::Install;
use crate::Error;
use crate::integration::daemon::Daemon;
use crate::integration::server::{Order, Server, free_port};
use crate::integration::system::{self, Signal};

/// By how much a node's port for other nodes is greater than that for clients.
const BUS: u16 = 10_000;

/// The first port that systems give to clients.
const CLIENTS: u16 = 32_768;

/// A server with its folder.
#[derive(Debug)]
pub(super) struct Instance {
    install: Install,
    home: PathBuf,
    /// Its settings, a line each.
    settings: String,
    port: u16,
    daemon: Daemon,
}

impl Instance {
    /// Starts a server in a folder that nothing else is in, at a free port.
    pub(super) fn start(
        install: Install,
        name: &str,
        home: PathBuf,
        settings: String,
    ) -> Result<Self, Error> {
        let daemon = Daemon::new(name, home.clone(), install.log(name));
        let mut server = Self { install, home, settings, port: 0, daemon };
        // Between finding a port free and listening on it another program may take it.
        let mut tries = 3;
        loop {
            server.port = server.free_port()?;
            server.configure()?;
            match server.run() {
                Ok(()) => return Ok(server),
                Err(error) if tries == 1 => return Err(error),
                Err(_) => tries -= 1,
            }
        }
    }

    /// A free port. Nodes of a cluster talk at another, too, which must not be one that systems give
    /// to clients either.
    fn free_port(&self) -> Result<u16, Error> {
        let is_node = self.settings.contains("cluster-enabled yes");
        loop {
            let port = free_port()?;
            let bus = port + BUS;
            if !is_node || (bus < CLIENTS && TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
                return Ok(port);
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.home.join("redis.conf")
    }

    /// Writes the settings, the password among them, where nobody else reads them.
    fn configure(&self) -> Result<(), Error> {
        let path = self.file();
        std::fs::write(&path, "")?;
        system::set_mode(&path, 0o600)?;
        let (port, home) = (self.port, self.home.display());
        let password = self.install.password();
        let own =
            format!("port {port}\ndir \"{home}\"\nrequirepass {password}\nmasterauth {password}\n");
        std::fs::write(&path, own + &self.settings)?;
        self.install.account().give(&path)
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut command = self.install.account().command(&self.install.program().path);
        command.arg(self.file()).current_dir(&self.home);
        let (port, password) = (self.port, self.install.password().to_owned());
        self.daemon.run(&mut command, |_| answers(port, &password))
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.daemon.stop(Signal::Terminate, Duration::from_secs(60))
    }
}

/// Whether a server has loaded what it had, and answers.
fn answers(port: u16, password: &str) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let limit = Duration::from_millis(500);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else { return false };
    let mut reply = [0; 12];
    stream.set_read_timeout(Some(limit)).is_ok()
        && stream.write_all(format!("AUTH {password}\r\nPING\r\n").as_bytes()).is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && &reply == b"+OK\r\n+PONG\r\n"
}

impl Server for Instance {
    fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.install.password(), self.port)
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
