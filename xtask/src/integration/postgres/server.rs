//! One running PostgreSQL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Cluster, config};
use crate::Error;
use crate::integration::daemon::Daemon;
use crate::integration::server::{Order, Server, free_port, wait_until};
use crate::integration::system::Signal;

/// A server with its data folder.
#[derive(Debug)]
pub(super) struct Primary {
    cluster: Cluster,
    data: PathBuf,
    port: u16,
    daemon: Daemon,
}

impl Primary {
    /// Starts a server on a data folder, in a folder that nothing else is in, at a free port.
    pub(super) fn start(cluster: Cluster, name: &str, data: PathBuf) -> Result<Self, Error> {
        let home = data.parent().unwrap_or(&data).to_owned();
        let daemon = Daemon::new(name, home, cluster.log(name));
        let mut server = Self { cluster, data, port: 0, daemon };
        // Between finding a port free and listening on it another program may take it.
        let mut tries = 3;
        loop {
            server.port = free_port()?;
            match server.run() {
                Ok(()) => return Ok(server),
                Err(error) if tries == 1 => return Err(error),
                Err(_) => tries -= 1,
            }
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut command =
            self.cluster.account().command(self.cluster.binaries().folder.join("postgres"));
        command.arg("-D").arg(&self.data).args(["-p", &self.port.to_string()]);
        // A message in another language says nothing to who reads the log.
        command.env("LC_MESSAGES", "C").current_dir(&self.data);
        self.daemon.run(&mut command, |pid| says_ready(&self.data, pid))
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.daemon.stop(Signal::Interrupt, Duration::from_secs(30))
    }

    /// Asks for the end of recovery as `pg_ctl promote` does, and waits for it.
    fn promote(&mut self) -> Result<(), Error> {
        let signal = self.data.join("standby.signal");
        if !signal.exists() {
            return Err(format!("{} is no standby", self.daemon.name()).into());
        }
        config::write(&self.data.join("promote"), "", self.cluster.account())?;
        self.daemon.process()?.signal(Signal::User1)?;
        wait_until(&format!("promoting {}", self.daemon.name()), || {
            Ok(is_in_production(&self.data))
        })
    }
}

/// PostgreSQL notes in its lock file that it takes connections, in the eighth line.
fn says_ready(data: &Path, pid: u32) -> bool {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    lines.first() == Some(&&*pid.to_string()) && lines.get(7) == Some(&"ready")
}

/// Whether a server takes writes, as its control file says: the state stands behind two numbers,
/// of eight bytes and of four, and another of four.
fn is_in_production(data: &Path) -> bool {
    const IN_PRODUCTION: u32 = 6;
    let control = std::fs::read(data.join("global/pg_control")).unwrap_or_default();
    control.get(16..20).is_some_and(|state| state == IN_PRODUCTION.to_ne_bytes())
}

impl Server for Primary {
    fn url(&self) -> String {
        let password = self.cluster.password();
        format!("postgresql://postgres:{password}@127.0.0.1:{}/postgres", self.port)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn label(&self) -> String {
        format!("PostgreSQL {}", self.cluster.binaries().version)
    }

    fn password(&self) -> &str {
        self.cluster.password()
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
            Order::Promote => self.promote(),
        }
    }

    fn standby(&mut self, name: &str) -> Result<Box<dyn Server>, Error> {
        // The copy of a server that ended in order is whole: no other program is needed for it.
        self.stop()?;
        let data = self.cluster.copy(&self.data, name)?;
        let account = self.cluster.account();
        config::write(&data.join("standby.signal"), "", account)?;
        let password = self.cluster.password();
        let primary = format!(
            "host=127.0.0.1 port={} user=postgres password={password} application_name='{name}'",
            self.port,
        );
        config::append(&data, [("primary_conninfo", &*primary)])?;
        let waited_for = format!("\"{name}\"");
        config::append(&self.data, [("synchronous_standby_names", &*waited_for)])?;
        self.run()?;
        Ok(Box::new(Self::start(self.cluster.clone(), name, data)?))
    }

    fn leave(mut self: Box<Self>) {
        self.daemon.leave();
    }
}
