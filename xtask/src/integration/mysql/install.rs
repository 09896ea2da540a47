//! A version of MySQL or MariaDB: its data folder is made once, and copied for each server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::server::Instance;
use super::{Family, Program};
use crate::Error;
use crate::integration::context::Context;
use crate::integration::folder::Folder;
use crate::integration::places;
use crate::integration::server::{Server, Settings, Source};
use crate::integration::system::Account;

/// Who the tests are. Servers make accounts of their own at their installation, `root` among them,
/// that would be taken for one of the same name that may come from everywhere.
pub(super) const USER: &str = "batchflow";

/// What every server is started with.
const SETTINGS: [(&str, &str); 7] = [
    ("bind_address", "127.0.0.1"),
    // A path to a socket in a temporary folder may be longer than the system allows.
    ("socket", ""),
    ("skip_name_resolve", "ON"),
    // Every test has connections of its own, and they run side by side.
    ("max_connections", "300"),
    ("local_infile", "ON"),
    // A client that is gone without a word must not hold its locks for a day.
    ("lock_wait_timeout", "60"),
    ("innodb_lock_wait_timeout", "20"),
];

/// What only servers of one family know.
const MYSQL: [(&str, &str); 2] = [("mysqlx", "OFF"), ("innodb_redo_log_capacity", "64M")];
const MARIADB: [(&str, &str); 1] = [("innodb_log_file_size", "64M")];

/// What a server is spared that must not survive a power cut.
const NOT_DURABLE: [(&str, &str); 4] = [
    ("innodb_flush_log_at_trx_commit", "0"),
    ("innodb_flush_method", "nosync"),
    ("innodb_doublewrite", "OFF"),
    ("sync_binlog", "0"),
];

/// A version of MySQL or MariaDB, ready to be started as often as needed.
#[derive(Clone, Debug)]
pub(crate) struct Install(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: Program,
    account: Account,
    folder: Arc<Folder>,
    logs: PathBuf,
    password: String,
    template: PathBuf,
}

impl Install {
    /// Makes the data folder that servers get a copy of.
    pub(crate) fn new(program: Program, context: &Context) -> Result<Self, Error> {
        let account = context.account.clone();
        let home = context.folder.own(&context.name("mysql-template"), &account)?;
        let template = home.join("template");
        let mut install = match program.family {
            Family::MySql => by_itself(&program, &account),
            Family::MariaDb => by_script(&program, &account)?,
        };
        install.arg(argument("datadir", &template.display().to_string()));
        install.arg(argument("tmpdir", &home.display().to_string()));
        for (name, value) in own_settings(program.family) {
            install.arg(argument(name, value));
        }
        install.current_dir(&home);
        crate::cargo::output(&mut install)?;
        Ok(Self(Arc::new(Inner {
            program,
            account,
            folder: Arc::clone(&context.folder),
            logs: context.logs.clone(),
            password: format!("{:016x}", crate::integration::random()),
            template,
        })))
    }

    pub(super) fn program(&self) -> &Program {
        &self.0.program
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

    /// A data folder for a new server.
    fn copy(&self, name: &str) -> Result<PathBuf, Error> {
        let home = self.0.folder.own(name, &self.0.account)?;
        let data = home.join("data");
        let mut copy = self.0.account.command("cp");
        copy.arg("-Rp").arg(&self.0.template).arg(&data).current_dir(&home);
        crate::cargo::output(&mut copy)?;
        // A server's number for itself, which MySQL makes where it is missing: tests must not
        // meet two servers with one.
        match std::fs::remove_file(data.join("auto.cnf")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(data),
        }
    }
}

/// A setting as an argument.
pub(super) fn argument(name: &str, value: &str) -> String {
    format!("--{}={value}", name.replace('_', "-"))
}

fn own_settings(family: Family) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own: &[_] = if family == Family::MySql { &MYSQL } else { &MARIADB };
    own.iter().copied()
}

fn by_itself(program: &Program, account: &Account) -> Command {
    let mut install = program.command(account);
    install.arg("--initialize-insecure");
    install
}

/// MariaDB's server has a script make its data folder.
fn by_script(program: &Program, account: &Account) -> Result<Command, Error> {
    let base = program.path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let script = ["mariadb-install-db", "mysql_install_db"].iter().find_map(|name| {
        let beside = ["bin", "scripts", "sbin"].map(|folder| base.join(folder).join(name));
        let script = beside.into_iter().find(|path| path.is_file());
        script.or_else(|| places::on_path(name))
    });
    let script = script
        .ok_or_else(|| format!("no mariadb-install-db stands beside {}", program.path.display()))?;
    let mut install = account.command(script);
    install.arg("--no-defaults").arg(argument("basedir", &base.display().to_string()));
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    Ok(install)
}

impl Source for Install {
    fn label(&self) -> String {
        self.0.program.label()
    }

    fn origin(&self) -> String {
        self.0.program.path.display().to_string()
    }

    fn start(
        &self,
        name: &str,
        durable: bool,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, Error> {
        let data = self.copy(name)?;
        let spared: &[_] = if durable { &[] } else { &NOT_DURABLE };
        let all = SETTINGS.into_iter().chain(own_settings(self.0.program.family));
        let all = all.chain(spared.iter().copied()).map(|(name, value)| argument(name, value));
        // The last one counts.
        let given = settings.iter().map(|(name, value)| argument(name, value));
        let arguments = all.chain(given).collect();
        Ok(Box::new(Instance::start(self.clone(), name, data, arguments)?))
    }
}
