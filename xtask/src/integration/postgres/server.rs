//! One running PostgreSQL.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::{Cluster, config};
use crate::Error;
use crate::integration::server::{Order, Server, free_port, tail, wait_until};
use crate::integration::system::Signal;
use crate::integration::takedown::Process;

/// A server with its data folder: dropped, it is killed and the folder removed.
#[derive(Debug)]
pub(super) struct Primary {
    cluster: Cluster,
    name: String,
    /// In a folder that nothing else is in.
    data: PathBuf,
    log: PathBuf,
    port: u16,
    process: Option<Process>,
    stalled: bool,
    left: bool,
}

impl Primary {
    /// Starts a server on a data folder, at a free port.
    pub(super) fn start(cluster: Cluster, name: &str, data: PathBuf) -> Result<Self, Error> {
        let log = cluster.log(name);
        let name = name.to_owned();
        let mut server =
            Self { cluster, name, data, log, port: 0, process: None, stalled: false, left: false };
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
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command =
            self.cluster.account().command(self.cluster.binaries().folder.join("postgres"));
        command.arg("-D").arg(&self.data).args(["-p", &self.port.to_string()]);
        // A message in another language says nothing to who reads the log.
        command.env("LC_MESSAGES", "C").current_dir(&self.data);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = Process::spawn(&mut command)?;
        wait_until(&format!("the start of {}", self.name), || {
            if process.ended()?.is_some() {
                let said = tail(&self.log);
                return Err(format!("{} did not start:\n{said}", self.name).into());
            }
            Ok(self.says_ready(process.pid()))
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// PostgreSQL notes in its lock file that it takes connections, in the eighth line.
    fn says_ready(&self, pid: u32) -> bool {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<&str> = file.lines().map(str::trim).collect();
        lines.first() == Some(&&*pid.to_string()) && lines.get(7) == Some(&"ready")
    }

    fn process(&mut self) -> Result<&mut Process, Error> {
        let name = &self.name;
        self.process.as_mut().ok_or_else(|| format!("{name} does not run").into())
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.resume()?;
        let mut process =
            self.process.take().ok_or_else(|| format!("{} does not run", self.name))?;
        process.signal(Signal::Interrupt)?;
        if process.wait(Duration::from_secs(30))?.is_none() {
            return Err(format!("{} did not end within 30 s, and was killed", self.name).into());
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.stalled) { self.process()?.stall(false) } else { Ok(()) }
    }

    /// Asks for the end of recovery as `pg_ctl promote` does, and waits for it.
    fn promote(&mut self) -> Result<(), Error> {
        let signal = self.data.join("standby.signal");
        if !signal.exists() {
            return Err(format!("{} is no standby", self.name).into());
        }
        config::write(&self.data.join("promote"), "", self.cluster.account())?;
        self.process()?.signal(Signal::User1)?;
        wait_until(&format!("promoting {}", self.name), || Ok(is_in_production(&self.data)))
    }
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
            Order::Kill => {
                self.process()?.kill();
                self.process = None;
                self.stalled = false;
                Ok(())
            }
            Order::Restart => {
                if self.process.is_some() {
                    self.stop()?;
                }
                self.run()
            }
            Order::Stall => {
                self.process()?.stall(true)?;
                self.stalled = true;
                Ok(())
            }
            Order::Resume => self.resume(),
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
        self.left = true;
        if let Some(process) = self.process.take() {
            process.leave();
        }
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        if !self.left {
            self.process = None;
            if let Some(home) = self.data.parent() {
                crate::integration::folder::remove(home);
            }
        }
    }
}
