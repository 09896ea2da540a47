//! What the parts of one run share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::{self, Folder};
use super::system::Account;
use crate::Error;
use crate::workspace::Workspace;

/// What the parts of one run share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) account: Account,
    pub(crate) folder: Arc<Folder>,
    /// Where servers' logs stay when a run failed, until the next.
    pub(crate) logs: PathBuf,
    next: AtomicU64,
}

impl Context {
    /// Removes what killed runs left, and makes room for this one.
    pub(crate) fn new(workspace: &Workspace) -> Result<Self, Error> {
        folder::remove_leftovers(false);
        let folder = Arc::new(Folder::new()?);
        // One folder a run: two may go on at once.
        let all_logs = workspace.target("integration");
        forget_old(&all_logs);
        let logs = all_logs.join(folder.name());
        std::fs::create_dir_all(&logs)?;
        Ok(Self { account: Account::for_servers()?, folder, logs, next: AtomicU64::new(1) })
    }

    /// A server's name, which no other of this run has.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Removes the logs, where nobody will want to read them.
    pub(crate) fn drop_logs(&self) {
        let _ = std::fs::remove_dir_all(&self.logs);
    }
}

/// Removes the logs of runs that are over.
fn forget_old(logs: &Path) {
    for run in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        if !std::env::temp_dir().join(run.file_name()).exists() {
            let _ = std::fs::remove_dir_all(run.path());
        }
    }
}
