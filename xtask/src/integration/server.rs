//! A server that was started here, whatever it runs in, and what can be done to it.

use std::fmt;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use super::context::Context;
use crate::Error;

/// Settings of a server, by name: they override what it is started with otherwise.
pub(crate) type Settings = [(String, String)];

/// What can be done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// An orderly end: no new connection, those there are ended, everything on disk.
    Stop,
    /// `kill -9` of all its processes.
    Kill,
    /// Started again at the same address, if need be after an orderly end.
    Restart,
    /// No process of it runs, none ends: SIGSTOP.
    Stall,
    /// It goes on after a stall.
    Resume,
    /// A standby becomes a primary.
    Promote,
}

/// A server that was started here: dropped, it is taken down.
pub(crate) trait Server: fmt::Debug + Send {
    /// How a client reaches it, with its password.
    fn url(&self) -> String;

    /// Where it stands on this machine.
    fn port(&self) -> u16;

    /// What it is, with its version: `PostgreSQL 17.2`.
    fn label(&self) -> String;

    /// Its superuser's password.
    fn password(&self) -> &str;

    fn obey(&mut self, order: Order) -> Result<(), Error>;

    /// A standby that every commit of this server waits for from now on. The server is stopped
    /// for a moment.
    fn standby(&mut self, name: &str) -> Result<Box<dyn Server>, Error> {
        let _ = name;
        Err(format!("{} cannot be given a standby here", self.label()).into())
    }

    /// Lets it run on when this program ends.
    fn leave(self: Box<Self>);
}

/// A version of a server that can be started, as often as needed.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// What it is, with its version: `PostgreSQL 17.2`.
    fn label(&self) -> String;

    /// Where it is from: a folder, an image.
    fn origin(&self) -> String;

    /// Starts one. A *durable* one keeps what it committed through a power cut, as servers do; one
    /// that is not spares the disk.
    fn start(
        &self,
        name: &str,
        durable: bool,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, Error>;
}

/// Another way to meet a version of a server: through a pooler, or set otherwise.
pub(crate) trait Variant: fmt::Debug + Send + Sync {
    /// How a run's name goes on: `behind PgBouncer 1.21.0`.
    fn label(&self) -> String;

    /// The tests that are run so, by parts of their names.
    fn tests(&self) -> &'static [&'static str];

    /// Variables that tell the tests how they meet the server, and that `shared` is the one
    /// without this.
    fn variables(&self, shared: &dyn Server) -> Vec<(&'static str, String)> {
        let _ = shared;
        Vec::new()
    }

    /// Starts what the tests connect to.
    fn start(
        &self,
        context: &Context,
        source: &dyn Source,
        shared: &dyn Server,
    ) -> Result<Box<dyn Server>, Error>;
}

/// A port that nothing listens on, below those that systems give to clients: else a client could
/// be given a server's port while that is down.
pub(crate) fn free_port() -> Result<u16, Error> {
    for _ in 0..1_000 {
        let port = 10_240 + (super::random() % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port of 127.0.0.1 is free".into())
}

/// Asks every few milliseconds whether something is so, for half a minute.
pub(crate) fn wait_until(
    what: &str,
    mut is_so: impl FnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so()? {
        if Instant::now() >= until {
            return Err(format!("{what} took longer than 30 s").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The last lines of a server's log, for an error.
pub(crate) fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
