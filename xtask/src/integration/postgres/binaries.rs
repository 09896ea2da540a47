//! Finding PostgreSQL's binaries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::integration::places;
use crate::integration::system::Account;

/// Where the distributions and installers put a folder for each version, `*` standing for one
/// part of the path: Debian and Ubuntu, Red Hat, Alpine, the installer from source, Homebrew on
/// either processor, Postgres.app.
const USUAL: [&str; 7] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// A folder with `postgres` and `initdb` that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) folder: PathBuf,
    /// As PostgreSQL says it: `15.4`, `18beta1`.
    pub(crate) version: String,
}

impl Binaries {
    /// Those in the folders that are given; else one of each major version on `PATH` and in the
    /// usual places, the newest last.
    pub(crate) fn find(given: &[PathBuf], account: &Account) -> Result<Vec<Self>, Error> {
        if !given.is_empty() {
            return given.iter().map(|folder| Self::in_folder(folder, account)).collect();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        // What is on PATH may be links: the folder they lead to has the other programs, and is
        // known as the same one.
        let on_path = std::env::split_paths(&path).filter_map(|folder| {
            Some(folder.join("postgres").canonicalize().ok()?.parent()?.into())
        });
        let usual = USUAL.iter().flat_map(|pattern| places::matching(pattern));
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        for folder in on_path.chain(usual) {
            // A folder that does not serve is passed over: another may.
            let Ok(binaries) = Self::in_folder(&folder, account) else { continue };
            found.entry(binaries.major()).or_insert(binaries);
        }
        Ok(found.into_values().collect())
    }

    fn in_folder(folder: &Path, account: &Account) -> Result<Self, Error> {
        let version = |name: &str| -> Result<String, Error> {
            let program = folder.join(name);
            let mut command = account.command(&program);
            command.arg("--version").current_dir("/");
            let output = crate::cargo::output(&mut command)?;
            let version = output.split(") ").nth(1).and_then(|rest| rest.split_whitespace().next());
            version
                .map(str::to_owned)
                .ok_or_else(|| format!("{} does not say its version", program.display()).into())
        };
        let server = version("postgres")?;
        if version("initdb")? != server {
            return Err(format!("{} mixes versions", folder.display()).into());
        }
        Ok(Self { folder: folder.to_owned(), version: server })
    }

    pub(crate) fn major(&self) -> u32 {
        let digits = self.version.find(|c: char| !c.is_ascii_digit());
        self.version[..digits.unwrap_or(self.version.len())].parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_leads() {
        for (version, major) in [("15.4", 15), ("18beta1", 18), ("9", 9), ("", 0)] {
            let binaries = Binaries { folder: PathBuf::new(), version: version.to_owned() };
            assert_eq!(binaries.major(), major, "{version}");
        }
    }
}
