//! A version of PostgreSQL: its data folder is made once, and copied for each server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::server::Primary;
use super::{Binaries, config};
use crate::Error;
use crate::integration::folder::Folder;
use crate::integration::server::{Server, Settings, Source};
use crate::integration::system::Account;

/// What every server is started with.
const SETTINGS: [(&str, &str); 9] = [
    ("listen_addresses", "127.0.0.1"),
    // A path to a socket in a temporary folder may be longer than the system allows.
    ("unix_socket_directories", ""),
    // Every test has connections of its own, and they run side by side.
    ("max_connections", "200"),
    ("shared_buffers", "64MB"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_line_prefix", "%m [%p] %a "),
    ("wal_keep_size", "256MB"),
    ("max_prepared_transactions", "10"),
];

/// What a server is spared that must not survive a power cut.
const NOT_DURABLE: [(&str, &str); 2] = [("fsync", "off"), ("full_page_writes", "off")];

/// A version of PostgreSQL, ready to be started as often as needed.
#[derive(Clone, Debug)]
pub(crate) struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    binaries: Binaries,
    account: Account,
    folder: Arc<Folder>,
    logs: PathBuf,
    password: String,
    template: PathBuf,
}

impl Cluster {
    /// Makes the data folder that servers get a copy of.
    pub(crate) fn new(
        binaries: Binaries,
        account: Account,
        folder: Arc<Folder>,
        logs: PathBuf,
    ) -> Result<Self, Error> {
        let name = format!("postgres-{}", binaries.version);
        let home = folder.own(&name, &account)?;
        let password = format!("{:016x}", crate::integration::random());
        let secret = home.join("password");
        config::write(&secret, &password, &account)?;
        let template = home.join("template");
        let mut initdb = account.command(binaries.folder.join("initdb"));
        initdb.arg("--pgdata").arg(&template).arg("--pwfile").arg(&secret).current_dir(&home);
        initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8"]);
        // What is written need not reach the disk now: the servers' copies will not either.
        initdb.args(["--locale=C", "--no-sync"]);
        crate::cargo::output(&mut initdb)?;
        std::fs::remove_file(secret)?;
        config::append(&template, SETTINGS)?;
        Ok(Self(Arc::new(Inner { binaries, account, folder, logs, password, template })))
    }

    pub(super) fn binaries(&self) -> &Binaries {
        &self.0.binaries
    }

    pub(super) fn account(&self) -> &Account {
        &self.0.account
    }

    pub(super) fn password(&self) -> &str {
        &self.0.password
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.0.logs.join(format!("{name}.log"))
    }

    /// A data folder for a new server, a copy of another that nothing writes to.
    pub(super) fn copy(&self, from: &Path, name: &str) -> Result<PathBuf, Error> {
        let home = self.0.folder.own(name, &self.0.account)?;
        let data = home.join("data");
        let mut copy = self.0.account.command("cp");
        copy.arg("-Rp").arg(from).arg(&data).current_dir(&home);
        crate::cargo::output(&mut copy)?;
        Ok(data)
    }
}

impl Source for Cluster {
    fn label(&self) -> String {
        format!("PostgreSQL {}", self.0.binaries.version)
    }

    fn origin(&self) -> String {
        self.0.binaries.folder.display().to_string()
    }

    fn start(
        &self,
        name: &str,
        durable: bool,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, Error> {
        let data = self.copy(&self.0.template, name)?;
        if !durable {
            config::append(&data, NOT_DURABLE)?;
        }
        config::append(&data, settings.iter().map(|(name, value)| (&**name, &**value)))?;
        Ok(Box::new(Primary::start(self.clone(), name, data)?))
    }
}
