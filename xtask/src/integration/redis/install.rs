//! A version of Redis, and what its servers are started with.

use std::path::PathBuf;
use std::sync::Arc;

use super::Program;
use super::server::Instance;
use crate::Error;
use crate::integration::context::Context;
use crate::integration::folder::Folder;
use crate::integration::server::{Server, Settings, Source};
use crate::integration::system::Account;

/// What every server is started with.
const SETTINGS: [(&str, &str); 5] = [
    ("bind", "127.0.0.1"),
    ("save", "\"\""),
    ("daemonize", "no"),
    ("pidfile", "redis.pid"),
    // So that a server that was left behind is known by its folder.
    ("proc-title-template", "\"{title} {listen-addr} {config-file}\""),
];

/// What keeps everything through a crash.
const DURABLE: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// A version of Redis, ready to be started as often as needed.
#[derive(Clone, Debug)]
pub(crate) struct Install {
    program: Program,
    account: Account,
    folder: Arc<Folder>,
    logs: PathBuf,
    password: String,
}

impl Install {
    pub(crate) fn new(program: Program, context: &Context) -> Self {
        Self {
            program,
            account: context.account.clone(),
            folder: Arc::clone(&context.folder),
            logs: context.logs.clone(),
            password: format!("{:016x}", crate::integration::random()),
        }
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

impl Source for Install {
    fn label(&self) -> String {
        self.program.label()
    }

    fn origin(&self) -> String {
        self.program.path.display().to_string()
    }

    fn start(
        &self,
        name: &str,
        durable: bool,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, Error> {
        let home = self.folder.own(name, &self.account)?;
        let durable: &[_] = if durable { &DURABLE } else { &[] };
        let own = SETTINGS.iter().chain(durable).map(|(name, value)| format!("{name} {value}\n"));
        // The last one counts.
        let given = settings.iter().map(|(name, value)| format!("{name} {value}\n"));
        let settings = own.chain(given).collect();
        Ok(Box::new(Instance::start(self.clone(), name, home, settings)?))
    }
}
